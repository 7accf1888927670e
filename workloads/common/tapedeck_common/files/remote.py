"""Files behind a URL: s3://bucket/key, and file:///path through the same code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from tapedeck_crds.errors import Unavailable

CREDENTIALS = {"access_key": "access_key", "secret_key": "secret_key", "session_token": "session_token",
               "endpoint": "endpoint_override", "region": "region"}  # fmt: skip
PERMANENT = ("ACCESS_DENIED", "NO_SUCH", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "RESOURCE_NOT_FOUND")
_REFUSED = re.compile(r"HTTP status 4(?!08|29)\d\d")  # but for a timeout and too many requests


class FilesUnavailable(Unavailable):
    """The file system behind a URL does not answer."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a file system of pyarrow; opens as a path does."""

    url: str
    key: str
    filesystem: Any = field(compare=False)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.key).suffix

    def open(self, _mode: str = "rb") -> BinaryIO:
        """Raises OSError."""
        return cast(BinaryIO, self.filesystem.open_input_file(self.key))


def refused(error: OSError) -> bool:
    """Whether asking again can't help: wrong credentials or a wrong region, no such bucket or object."""
    if isinstance(error, PermissionError | FileNotFoundError):
        return True
    return any(word in str(error) for word in PERMANENT) or _REFUSED.search(str(error)) is not None


def is_url(path: str) -> bool:
    """Whether it names a file system too."""
    return "://" in path


def remote_files(url: str, credentials: Path | None) -> list[RemoteFile]:
    """The files that a URL, whose last parts may be patterns, names; sorted.

    ``credentials`` is a folder with files access_key, secret_key, session_token, endpoint and region, as far as
    they are needed. Raises ValueError for a URL of another kind or one that is refused, FilesUnavailable.
    """
    from pyarrow.fs import FileSelector, FileType

    scheme, _, rest = url.partition("://")
    filesystem, key = _filesystem(scheme, credentials), rest if scheme == "s3" else f"/{rest.lstrip('/')}"
    parts = PurePosixPath(key).parts
    fixed = next((i for i, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    try:
        if fixed == len(parts):
            found = [filesystem.get_file_info(key)]
        else:
            base = str(PurePosixPath(*parts[:fixed]))
            found = filesystem.get_file_info(FileSelector(base, allow_not_found=True, recursive=len(parts) > fixed + 1))
    except OSError as error:
        if refused(error):
            raise ValueError(f"path: got {url!r}, which is refused: {error}") from error
        raise FilesUnavailable(f"{url}: {error}") from error
    keys = sorted(info.path for info in found if info.type == FileType.File and _matches(info.path, parts))
    return [RemoteFile(f"{scheme}://{key}", key, filesystem) for key in keys]


def _matches(key: str, pattern: tuple[str, ...]) -> bool:
    parts = PurePosixPath(key).parts
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _filesystem(scheme: str, credentials: Path | None) -> Any:
    from pyarrow import fs

    if scheme == "file":
        return fs.LocalFileSystem()
    if scheme != "s3":
        raise ValueError(f"path: got a URL of {scheme}, expected s3 or file")
    given = _read(credentials)
    if "access_key" not in given:
        given["anonymous"] = True
    return fs.S3FileSystem(connect_timeout=10, request_timeout=30, **given)


def _read(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    texts: Mapping[str, Path] = {argument: folder / name for name, argument in CREDENTIALS.items()}
    return {argument: path.read_text().strip() for argument, path in texts.items() if path.exists()}
