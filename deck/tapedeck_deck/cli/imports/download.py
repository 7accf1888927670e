"""Files of an import that are behind URLs: https://, s3:// and gs://. They are copied to this machine first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from tapedeck_crds.text import printable
from tapedeck_deck.cli.object_store import COPY_BYTES, ObjectStore, is_object
from tapedeck_deck.embedded.errors import DeckError

BYTES_MAX = 32 * 2**30
SECONDS_MAX = 3_600.0
FREE_BYTES_MIN = 2**30
"""Of the disk, which the deck needs, too."""
REDIRECTS_MAX = 5
OBJECTS_MAX = 10_000
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
OnBytes = Callable[[str, int], None]
"""Called with the shown URL and the bytes that it has given so far."""


def is_url(text: str) -> bool:
    """Whether an argument is a URL."""
    return "://" in text


class Download:
    """Copies what URLs name into folders of its own below ``folder``, all of it within limits of size and time."""

    def __init__(self, folder: Path, on_bytes: OnBytes = lambda _url, _bytes: None) -> None:
        self._folder = folder
        self._on_bytes = on_bytes
        self._left = BYTES_MAX
        self._end = time.monotonic() + SECONDS_MAX
        self._count = 0

    def fetch(self, url: str) -> Path:
        """The file or the folder with what the URL names. Raises DeckError."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        if url.startswith("https://"):
            return self._https(url, folder)
        if is_object(url):
            return self._objects(url, folder)
        raise DeckError(f"PATH: got {shown(url)}, expected https://, s3:// or gs://")

    def _objects(self, url: str, folder: Path) -> Path:
        store = ObjectStore(url)
        keys = store.objects()
        if not 0 < len(keys) <= OBJECTS_MAX:
            raise DeckError(f"PATH: got {url}, which matches {len(keys)} objects, expected 1 to {OBJECTS_MAX}")
        for key in keys:
            target = folder / _safe(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            with store.reading(key) as stream:
                self._copy(f"{url.partition('://')[0]}://{key}", iter(lambda: stream.read(COPY_BYTES), b""), target)
        return folder / _safe(keys[0]) if len(keys) == 1 else folder

    def _https(self, url: str, folder: Path) -> Path:
        import httpx

        name = PurePosixPath(unquote(urlsplit(url).path)).name
        target = folder / (_safe(name).name if name else "download")
        timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
        with (
            _web_errors(url),
            httpx.Client(
                timeout=timeout, follow_redirects=True, max_redirects=REDIRECTS_MAX, auth=_netrc(),
                event_hooks={"request": [_check_scheme]},
            ) as client,
            client.stream("GET", url) as response,
        ):  # fmt: skip
            response.raise_for_status()
            self._copy(shown(url), response.iter_bytes(COPY_BYTES), target)
        return target

    def _copy(self, where: str, parts: Iterator[bytes], target: Path) -> None:
        size = 0
        with target.open("xb") as out:
            for part in parts:
                self._left -= len(part)
                if self._left < 0:
                    raise DeckError(f"{where}: got more than {BYTES_MAX} bytes, expected at most; import it by parts")
                if time.monotonic() > self._end:
                    raise DeckError(f"{where}: got no end within {SECONDS_MAX:.0f} s; download it, and import the file")
                if shutil.disk_usage(self._folder).free < FREE_BYTES_MIN:
                    raise DeckError(f"{where}: the disk of {self._folder} has less than {FREE_BYTES_MIN} bytes left")
                out.write(part)
                size += len(part)
                self._on_bytes(where, size)


def shown(url: str) -> str:
    """A URL in messages: without a password, or a token in its query."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def _safe(key: str) -> Path:
    """A key as a path below a folder."""
    parts = [part for part in PurePosixPath(key).parts if part not in ("/", "..", ".")]
    return Path(*(part.replace("\\", "_").replace("\0", "_") for part in parts)) if parts else Path("download")


def _netrc() -> Any:
    """The accounts of ~/.netrc; none where it does not exist, or cannot be read."""
    import netrc

    import httpx

    try:
        return httpx.NetRCAuth()
    except (OSError, netrc.NetrcParseError):
        return None


def _check_scheme(request: Any) -> None:
    """Raises DeckError where a redirect leads to a connection that others can read."""
    if request.url.scheme != "https":
        raise DeckError(f"{shown(str(request.url))}: got a redirect to {request.url.scheme}, expected https")


@contextmanager
def _web_errors(url: str) -> Iterator[None]:
    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        raise DeckError(f"{shown(url)}: got the answer {error.response.status_code}, expected a file") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeckError(f"{shown(url)}: {printable(str(error) or type(error).__name__)}") from None
