"""Finding the files of a source, and reading their lines, compressed or not."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.files.content.bounds import bounded_lines
from tapedeck_common.files.content.unpacking import unpack
from tapedeck_common.files.errors import FilesUnavailable, InvalidFiles
from tapedeck_common.files.layouts.file_names import declared_parts
from tapedeck_common.files.local_files import LocalFile, OutsideFolder, local_files
from tapedeck_common.files.remote_files import RemoteFile, is_permanent, is_url, remote_files
from tapedeck_crds.files import Files
from tapedeck_crds.text import printable


class InvalidRow(NamedTuple):
    """A row that was rejected: its place (``name:line``), the reason, the row itself, and id and symbol if known."""

    place: str
    reason: str
    payload: str
    id: str = ""
    symbol: str = ""


ERROR_MAX = 200  # characters of a library's message


class SourceFile(NamedTuple):
    """A file, and the symbol of all its rows, empty where they say it. ``name`` is its path below the root."""

    symbol: str
    path: LocalFile | RemoteFile
    name: str


class FilesAccess(NamedTuple):
    """What a pod may read: files below ``root``, and objects of stores that ``endpoints`` permits.

    ``credentials`` is the folder with the credentials for URLs, ``deck_home`` that of the deck, which is not read.
    """

    root: Path
    credentials: Path | None = None
    endpoints: EndpointPolicy = EndpointPolicy()
    deck_home: Path | None = None


Lines: TypeAlias = Iterator[tuple[int, str]]


def find_files(files: Files, access: FilesAccess) -> dict[str, list[SourceFile]]:
    """Symbol → its files, in the order of the sets and by name within each set; those whose rows say it under "".

    Raises InvalidFiles where a pattern matches no file, one that may not be read, or two symbols match the same file,
    or a name is not as declared, and FilesUnavailable.
    """
    owners: dict[Path | RemoteFile, str] = {}
    found: dict[str, list[SourceFile]] = {}
    for chosen in files.sets:
        for path in _matches(chosen.path, access):
            place: Path | RemoteFile = path if isinstance(path, RemoteFile) else path.path.resolve()
            name = path.url if isinstance(path, RemoteFile) else str(path.path.relative_to(path.root))
            symbol = _symbol_of(files, chosen.symbol, path.name, name)
            owner = owners.setdefault(place, symbol)
            if owner != symbol:
                raise InvalidFiles(
                    f"{name}: matched for {owner or 'its own symbols'} and for {symbol or 'its own symbols'}, expected "
                    "one symbol a file"
                )
            series = found.setdefault(symbol, [])
            source = SourceFile(symbol, path, name)
            if source not in series:
                series.append(source)
    return found


def _symbol_of(files: Files, declared: str | None, stem: str, name: str) -> str:
    """The symbol of a file by its set or its name; empty where its rows say it. Raises InvalidFiles."""
    if files.file_name is None:
        return declared or ""
    try:
        parts = declared_parts(files.file_name, stem)
    except ValueError as error:
        raise InvalidFiles(f"{name}: {error}") from None
    if parts.interval not in (None, files.interval):
        raise InvalidFiles(
            f"{name}: interval: got {parts.interval} in its name, expected {files.interval}; give files of other "
            "intervals a source of their own"
        )
    return declared or parts.symbol or ""


def _matches(pattern: str, access: FilesAccess) -> Sequence[LocalFile | RemoteFile]:
    if is_url(pattern):
        return _remote(pattern, access)
    try:
        found = list(local_files(pattern, access.root, access.deck_home))
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
    MemoryError,
    tarfile.TarError,
    OverflowError,
    UnicodeError,
    zipfile.BadZipFile,
    RuntimeError,
)  # zipfile raises RuntimeError for an encrypted file


def read_lines(file: SourceFile) -> Lines:
    """(number from 1, stripped text) of each line that is not blank, of the one file in it. Raises InvalidFiles."""
    try:
        with open_file(file) as raw:
            contents = unpack(file.name, raw, size_of(raw))
            yield from bounded_lines(next(contents).stream, file.name)
            if next(contents, None) is not None:
                raise InvalidFiles(f"{file.name}: holds more than one file, expected one")
    except READ_ERRORS as error:
        raise read_error(file, error) from error


def size_of(stream: BinaryIO) -> int:
    """The bytes of a stream, which is read from its start afterwards."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    return size


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
