"""Object stores that a user names by a URL, s3:// or gs://, with the user's own credentials.

These are those of the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, …) and the usual
files (~/.aws); without any, access is anonymous. Nothing of them is shown.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from tapedeck_common.files.remote_files import BUCKET
from tapedeck_crds.text import printable
from tapedeck_deck.embedded.errors import DeckError

SCHEMES = ("s3", "gs")
COPY_BYTES = 4 * 2**20
_CONNECT_SECONDS, _REQUEST_SECONDS = 10, 60
_ERROR_MAX = 300
_AWS_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def is_object(text: str) -> bool:
    """Whether a text is the URL of an object store."""
    return text.partition("://")[0] in SCHEMES and "://" in text


class ObjectStore:
    """The store of a URL. ``key`` is the object's place in it, with the bucket."""

    def __init__(self, url: str) -> None:
        self.url = url
        scheme, _, self.key = url.partition("://")
        bucket = self.key.partition("/")[0]
        if BUCKET.fullmatch(bucket) is None or self.key == bucket:
            raise DeckError(f"got {url!r}, expected {scheme}://bucket/key, with a bucket of a-z, 0-9, ., _ and -")
        with self._errors():
            self._files = _s3() if scheme == "s3" else _gcs()

    def objects(self) -> list[str]:
        """The keys of the objects: that of the URL, those below it, or those of its pattern. Raises DeckError."""
        from pyarrow.fs import FileSelector, FileType

        key = self.key.rstrip("/")
        parts = PurePosixPath(key).parts
        fixed = next((i for i, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
        with self._errors():
            if fixed == len(parts):
                found = self._files.get_file_info(key)
                if found.type == FileType.File:
                    return [key]
                listed = self._files.get_file_info(FileSelector(key, allow_not_found=True, recursive=True))
                return sorted(each.path for each in listed if each.type == FileType.File)
            base = str(PurePosixPath(*parts[:fixed]))
            listed = self._files.get_file_info(FileSelector(base, allow_not_found=True, recursive=True))
        return sorted(each.path for each in listed if each.type == FileType.File and _matches(each.path, parts))

    @contextmanager
    def reading(self, key: str) -> Iterator[BinaryIO]:
        """An object's bytes. Raises DeckError."""
        with self._errors(), self._files.open_input_stream(key) as stream:
            yield stream

    def write(self, source: Path, key: str) -> None:
        """Write a file as an object, which appears when it is whole. Raises DeckError."""
        with self._errors(), source.open("rb") as file, self._files.open_output_stream(key) as stream:
            shutil.copyfileobj(file, cast(BinaryIO, stream), COPY_BYTES)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise DeckError(f"{self.url}: {printable(str(error))[:_ERROR_MAX]}") from None


def upload(source: Path, url: str) -> None:
    """Write a file, or each file below a folder, as objects. Raises DeckError."""
    store = ObjectStore(url)
    if source.is_file():
        store.write(source, store.key)
        return
    for path in sorted(each for each in source.rglob("*") if each.is_file()):
        store.write(path, f"{store.key.rstrip('/')}/{path.relative_to(source).as_posix()}")


def _matches(key: str, pattern: tuple[str, ...]) -> bool:
    parts = PurePosixPath(key).parts
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _s3() -> Any:
    from pyarrow import fs

    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")  # it would be looked for on any machine
    given: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS, "request_timeout": _REQUEST_SECONDS,
        "allow_delayed_open": True,  # a small object takes one request
    }  # fmt: skip
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        given["endpoint_override"] = endpoint
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        given["region"] = region
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    if not file.exists() and not any(os.environ.get(name) for name in _AWS_VARIABLES):
        given["anonymous"] = True
    return fs.S3FileSystem(**given)


def _gcs() -> Any:
    from pyarrow import fs

    file = Path.home() / ".config" / "gcloud" / "application_default_credentials.json"
    is_known = file.exists() or bool(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"))
    return fs.GcsFileSystem(anonymous=not is_known, retry_time_limit=timedelta(seconds=_REQUEST_SECONDS))
