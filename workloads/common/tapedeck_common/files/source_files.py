"""Finding the files of a source, and reading their lines, compressed or not."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias, cast

from tapedeck_common.files.remote_files import FilesUnavailable, RemoteFile, is_permanent, is_url, remote_files
from tapedeck_crds.base import Files
from tapedeck_crds.errors import InvalidInput


class InvalidRow(NamedTuple):
    """A row that was rejected: its place (``name:line``), the reason, the row itself, and the trade's id if known."""

    place: str
    reason: str
    payload: str
    id: str = ""


class InvalidFiles(InvalidInput):
    """The files as a whole cannot be used. The message names the file or pattern and what was expected."""

    reason = "BadFiles"


class SourceFile(NamedTuple):
    """A file, and the symbol of all its rows. ``name`` is its path below the root, for messages."""

    symbol: str
    path: Path | RemoteFile
    name: str


Lines: TypeAlias = Iterator[tuple[int, str]]


def find_files(files: Files, root: Path, credentials: Path | None = None) -> dict[str, list[SourceFile]]:
    """Symbol → its files, in the order of the sets and by name within each set.

    ``credentials`` is the folder with the credentials for URLs. Raises InvalidFiles where a pattern matches no file or
    two symbols match the same file, and FilesUnavailable.
    """
    owners: dict[Path | RemoteFile, str] = {}
    found: dict[str, list[SourceFile]] = {}
    for chosen in files.sets:
        for path in _matches(chosen.path, root, credentials):
            place: Path | RemoteFile
            if isinstance(path, RemoteFile):
                name, place = path.url, path
            else:
                name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
                place = path.resolve()
            owner = owners.setdefault(place, chosen.symbol)
            if owner != chosen.symbol:
                raise InvalidFiles(f"{name}: matched for {owner} and for {chosen.symbol}, expected one symbol a file")
            series = found.setdefault(chosen.symbol, [])
            source = SourceFile(chosen.symbol, path, name)
            if source not in series:
                series.append(source)
    return found


def _matches(pattern: str, root: Path, credentials: Path | None) -> Sequence[Path | RemoteFile]:
    if is_url(pattern):
        return _remote(pattern, credentials)
    if (root / pattern).is_file():  # such as a name with brackets, which are no pattern then
        return [root / pattern]
    path = Path(pattern)
    base = Path(path.anchor) if path.is_absolute() else root
    try:
        found = sorted(p for p in base.glob(str(path.relative_to(path.anchor))) if p.is_file())
    except ValueError as error:
        raise InvalidFiles(f"path: got {pattern!r}, expected a file or a glob pattern ({error})") from None
    if not found:
        raise InvalidFiles(f"path: got {pattern!r}, which matches no file below {root}")
    return found


def _remote(url: str, credentials: Path | None) -> list[RemoteFile]:
    try:
        found = remote_files(url, credentials)
    except ValueError as error:
        raise InvalidFiles(str(error)) from None
    if not found:
        raise InvalidFiles(f"path: got {url!r}, which matches no file")
    return found


READ_ERRORS = (
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
)  # zipfile raises RuntimeError for an encrypted file


def read_lines(file: SourceFile) -> Lines:
    """(number from 1, stripped text) of each line that is not blank. Raises InvalidFiles."""
    try:
        with ExitStack() as stack:
            text = io.TextIOWrapper(_open(file, stack), encoding="utf-8-sig", errors="replace")
            for number, line in enumerate(text, 1):
                if stripped := line.strip():
                    yield number, stripped
    except READ_ERRORS as error:
        raise read_error(file, error) from error


def read_error(file: SourceFile, error: Exception) -> Exception:
    """The error to raise: an error of a local disk is permanent, one of a network is transient."""
    if isinstance(file.path, RemoteFile) and isinstance(error, OSError) and not is_permanent(error):
        return FilesUnavailable(f"{file.name}: {error}")
    return InvalidFiles(f"{file.name}: cannot be read: {error}")


@contextmanager
def open_file(file: SourceFile) -> Iterator[BinaryIO]:
    """The file's bytes, not decompressed. Raises OSError."""
    with file.path.open("rb") as stream:
        yield stream


def _open(file: SourceFile, stack: ExitStack) -> BinaryIO:
    raw = stack.enter_context(open_file(file))
    if file.path.suffix == ".gz":
        return cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
    if file.path.suffix == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(raw))
        members = [m for m in archive.namelist() if not m.endswith("/")]
        if len(members) != 1:
            raise InvalidFiles(f"{file.name}: holds {len(members)} files, expected one")
        return cast(BinaryIO, stack.enter_context(archive.open(members[0])))
    return raw
