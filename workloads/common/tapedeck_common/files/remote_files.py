"""Files behind a URL: s3://bucket/key, and file:///path."""

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
PERMANENT_ERRORS = ("ACCESS_DENIED", "NO_SUCH", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "RESOURCE_NOT_FOUND")
_PERMANENT_STATUS = re.compile(r"HTTP status 4(?!08|29)\d\d")  # 408 (timeout) and 429 (too many requests) are transient


class FilesUnavailable(Unavailable):
    """The file system behind a URL does not answer."""


@dataclass(frozen=True)
class RemoteFile:
    """A file in a file system of pyarrow, with the methods of Path that readers use."""

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


def is_permanent(error: OSError) -> bool:
    """Whether the error is permanent: wrong credentials or region, no such bucket or object."""
    if isinstance(error, PermissionError | FileNotFoundError):
        return True
    return any(word in str(error) for word in PERMANENT_ERRORS) or _PERMANENT_STATUS.search(str(error)) is not None


def is_url(path: str) -> bool:
    """Whether the path is a URL."""
    return "://" in path


def remote_files(url: str, credentials: Path | None) -> list[RemoteFile]:
    """The files that a URL matches, sorted. The last parts of the URL may be glob patterns.

    ``credentials`` is a folder with the files access_key, secret_key, session_token, endpoint and region, where needed.
    Raises ValueError for another scheme or a permanent error of the file system, and FilesUnavailable.
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
        if is_permanent(error):
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
        raise ValueError(f"path: got the scheme {scheme}, expected s3 or file")
    given = _read(credentials)
    if "access_key" not in given:
        given["anonymous"] = True
    return fs.S3FileSystem(connect_timeout=10, request_timeout=30, **given)


def _read(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    texts: Mapping[str, Path] = {argument: folder / name for name, argument in CREDENTIALS.items()}
    return {argument: path.read_text().strip() for argument, path in texts.items() if path.exists()}
