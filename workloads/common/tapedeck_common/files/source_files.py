"""Finding the files of a source, and reading their lines, compressed or not."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias, cast

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.files.content.bounds import BUFFER_BYTES, ExpansionLimit, ZipContent, bounded_lines
from tapedeck_common.files.errors import FilesUnavailable, InvalidFiles
from tapedeck_common.files.local_files import LocalFile, OutsideFolder, local_files
from tapedeck_common.files.remote_files import RemoteFile, is_permanent, is_url, remote_files
from tapedeck_crds.files import Files
from tapedeck_crds.text import printable


class InvalidRow(NamedTuple):
    """A row that was rejected: its place (``name:line``), the reason, the row itself, and the trade's id if known."""

    place: str
    reason: str
    payload: str
    id: str = ""


ERROR_MAX = 200  # characters of a library's message


class SourceFile(NamedTuple):
    """A file, and the symbol of all its rows. ``name`` is its path below the root, for messages."""

    symbol: str
    path: LocalFile | RemoteFile
    name: str


class FilesAccess(NamedTuple):
    """What a pod may read: files below ``root``, and objects of stores that ``endpoints`` permits.

    ``credentials`` is the folder with the credentials for URLs.
    """

    root: Path
    credentials: Path | None = None
    endpoints: EndpointPolicy = EndpointPolicy()


Lines: TypeAlias = Iterator[tuple[int, str]]


def find_files(files: Files, access: FilesAccess) -> dict[str, list[SourceFile]]:
    """Symbol → its files, in the order of the sets and by name within each set.

    Raises InvalidFiles where a pattern matches no file, one that may not be read, or two symbols match the same file,
    and FilesUnavailable.
    """
    owners: dict[Path | RemoteFile, str] = {}
    found: dict[str, list[SourceFile]] = {}
    for chosen in files.sets:
        for path in _matches(chosen.path, access):
            place: Path | RemoteFile = path if isinstance(path, RemoteFile) else path.path.resolve()
            name = path.url if isinstance(path, RemoteFile) else str(path.path.relative_to(path.root))
            owner = owners.setdefault(place, chosen.symbol)
            if owner != chosen.symbol:
                raise InvalidFiles(f"{name}: matched for {owner} and for {chosen.symbol}, expected one symbol a file")
            series = found.setdefault(chosen.symbol, [])
            source = SourceFile(chosen.symbol, path, name)
            if source not in series:
                series.append(source)
    return found


def _matches(pattern: str, access: FilesAccess) -> Sequence[LocalFile | RemoteFile]:
    if is_url(pattern):
        return _remote(pattern, access)
    try:
        found = list(local_files(pattern, access.root))
    except OutsideFolder as error:
        raise InvalidFiles(f"path: got {pattern!r}, which {error}; expected files below {access.root}") from None
    except ValueError as error:
        raise InvalidFiles(f"path: got {pattern!r}, expected a file or a glob pattern ({error})") from None
    if not found:
        raise InvalidFiles(f"path: got {pattern!r}, which matches no file below {access.root}")
    return found


def _remote(url: str, access: FilesAccess) -> list[RemoteFile]:
    try:
        found = remote_files(url, access.credentials, access.endpoints)
    except ValueError as error:
        raise InvalidFiles(str(error)) from None
    if not found:
        raise InvalidFiles(f"path: got {url!r}, which matches no file")
    return found


READ_ERRORS = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    OverflowError,
    UnicodeError,
    zipfile.BadZipFile,
    RuntimeError,
)  # zipfile raises RuntimeError for an encrypted file


def read_lines(file: SourceFile) -> Lines:
    """(number from 1, stripped text) of each line that is not blank. Raises InvalidFiles."""
    try:
        with ExitStack() as stack:
            yield from bounded_lines(decompressed(file, stack), file.name)
    except READ_ERRORS as error:
        raise read_error(file, error) from error


def read_error(file: SourceFile, error: Exception) -> Exception:
    """The error to raise: an error of a local disk is permanent, one of a network is transient."""
    # A library's message may quote the first bytes of what is no market data.
    text = "Not a gzipped file" if isinstance(error, gzip.BadGzipFile) else printable(str(error))[:ERROR_MAX]
    if isinstance(file.path, RemoteFile) and isinstance(error, OSError) and not is_permanent(error):
        return FilesUnavailable(f"{file.name}: {text}")
    return InvalidFiles(f"{file.name}: cannot be read: {text}")


@contextmanager
def open_file(file: SourceFile) -> Iterator[BinaryIO]:
    """The file's bytes, not decompressed. Raises OSError and InvalidFiles."""
    try:
        opened = file.path.open()
    except OutsideFolder as error:
        raise InvalidFiles(f"{file.name}: {error}; expected a file below it") from None
    with opened as stream:
        yield stream


def decompressed(file: SourceFile, stack: ExitStack) -> BinaryIO:
    """The content of a file, of the one file in a zip, or of a gzip: limited to what market data expands to."""
    raw = stack.enter_context(open_file(file))
    size = raw.seek(0, io.SEEK_END)
    raw.seek(0)
    if file.path.suffix == ".gz":
        content = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
    elif file.path.suffix == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(cast(BinaryIO, ZipContent(raw, file.name))))
        members = [m for m in archive.infolist() if not m.is_dir()]
        if len(members) != 1:
            raise InvalidFiles(f"{file.name}: holds {len(members)} files, expected one")
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidFiles(f"{file.name}: is compressed by another method than deflate; write it with deflate")
        content = cast(BinaryIO, stack.enter_context(archive.open(members[0])))
    else:
        return raw
    return cast(BinaryIO, io.BufferedReader(ExpansionLimit(content, size, file.name), BUFFER_BYTES))
