"""Files behind a URL: s3://bucket/key."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from tapedeck_common.addresses import AddressRefused, EndpointPolicy
from tapedeck_common.files.errors import FilesUnavailable
from tapedeck_common.files.store_proxy import store_proxy
from tapedeck_common.logs import hide_secret
from tapedeck_crds.secrets import FILE_CREDENTIALS
from tapedeck_crds.text import printable

ARGUMENTS = {"endpoint": "endpoint_override"}  # of S3FileSystem, where they differ from the key of the Secret
PERMANENT_ERRORS = ("ACCESS_DENIED", "NO_SUCH", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "RESOURCE_NOT_FOUND")
REGION = re.compile(r"[a-z0-9-]{1,40}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
ERROR_MAX = 300  # characters of the store's answer in a message
_PERMANENT_STATUS = re.compile(r"HTTP status 4(?!08|29)\d\d")  # 408 (timeout) and 429 (too many requests) are transient


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

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.key).parts

    def open(self) -> BinaryIO:
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


def remote_files(url: str, credentials: Path | None, endpoints: EndpointPolicy) -> list[RemoteFile]:
    """The files that a URL matches, sorted. The last parts of the URL may be glob patterns.

    ``credentials`` is a folder with the files access_key, secret_key, session_token, endpoint and region, where needed.
    Raises ValueError for another scheme, an endpoint that is not permitted or a permanent error of the store, and
    FilesUnavailable.
    """
    from pyarrow.fs import FileSelector, FileType

    scheme, _, key = url.partition("://")
    if scheme != "s3":
        raise ValueError(f"path: got {url!r} with the scheme {scheme}, expected s3")
    parts = PurePosixPath(key).parts
    if not parts or BUCKET.fullmatch(parts[0]) is None:
        raise ValueError(f"path: got {url!r}, expected s3:// and the name of a bucket, of a-z, 0-9, ., _ and -")
    filesystem = _filesystem(credentials, endpoints)
    fixed = next((i for i, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    try:
        if fixed == len(parts):
            found = [filesystem.get_file_info(key)]
        else:
            base = str(PurePosixPath(*parts[:fixed]))
            found = filesystem.get_file_info(FileSelector(base, allow_not_found=True, recursive=len(parts) > fixed + 1))
    except OSError as error:
        text = printable(str(error))[:ERROR_MAX]
        if is_permanent(error):
            raise ValueError(f"path: got {url!r}, which is refused: {text}") from error
        raise FilesUnavailable(f"{url}: {text}") from error
    keys = sorted(info.path for info in found if info.type == FileType.File and _matches(info.path, parts))
    return [RemoteFile(f"s3://{key}", key, filesystem) for key in keys]


def _matches(key: str, pattern: tuple[str, ...]) -> bool:
    parts = PurePosixPath(key).parts
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _filesystem(credentials: Path | None, endpoints: EndpointPolicy) -> Any:
    from pyarrow import fs

    given = {} if credentials is None else _read(credentials)
    for name in ("access_key", "secret_key", "session_token"):
        hide_secret(given.get(name, ""))
    if REGION.fullmatch(given.get("region", "us-east-1")) is None:
        raise ValueError("credentialsSecret: expected a region such as eu-central-1")
    if "endpoint_override" in given:
        _check_endpoint(given["endpoint_override"], endpoints)
    if "access_key" not in given:
        given["anonymous"] = True
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # the library would look for a region there
    proxy = store_proxy(endpoints).options
    return fs.S3FileSystem(connect_timeout=10, request_timeout=30, proxy_options=proxy, **given)


def _check_endpoint(endpoint: str, endpoints: EndpointPolicy) -> None:
    """Raises ValueError where it may not be connected to. The proxy checks each connection; this says why at once."""
    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ValueError("credentialsSecret: expected an endpoint such as https://minio.example.com:9000")
    try:
        endpoints.connection_to(parts.hostname, parts.port or 443)
    except AddressRefused as error:
        raise ValueError(f"credentialsSecret: endpoint: {error.strerror}") from None
    except OSError as error:
        raise FilesUnavailable(f"credentialsSecret: endpoint: {error}") from error


def _read(folder: Path) -> dict[str, Any]:
    """The credentials. Raises FilesUnavailable where there are none: the Secret is missing, or made too late."""
    paths = {ARGUMENTS.get(name, name): folder / name for name in FILE_CREDENTIALS}
    given = {argument: path.read_text().strip() for argument, path in paths.items() if path.exists()}
    if not given:
        raise FilesUnavailable(
            f"credentialsSecret: the Secret is missing or has none of {', '.join(FILE_CREDENTIALS)}; create it"
        )
    return given
