"""Finding the files of a source and reading their lines, compressed or not."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias, cast

from tapedeck_crds.base import Files


class BadRow(NamedTuple):
    """A row that could not be taken: where (``name:line``), why, and the row itself."""

    place: str
    reason: str
    payload: str


class BadFiles(ValueError):
    """The files as a whole can't be used; the message names the file or pattern and what was expected."""


class SourceFile(NamedTuple):
    """A file and the symbol of all it holds. ``name`` is its path below the root, for messages."""

    symbol: str
    path: Path
    name: str


Lines: TypeAlias = Iterator[tuple[int, str]]


def find_files(files: Files, root: Path) -> dict[str, list[SourceFile]]:
    """Symbol → its files, in the order of the sets and by name within each.

    Raises BadFiles where a pattern matches no file, or two symbols claim the same one.
    """
    owners: dict[Path, str] = {}
    found: dict[str, list[SourceFile]] = {}
    for chosen in files.sets:
        for path in _matches(chosen.path, root):
            name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
            owner = owners.setdefault(path.resolve(), chosen.symbol)
            if owner != chosen.symbol:
                raise BadFiles(f"{name}: matched for {owner} and for {chosen.symbol}, expected one symbol a file")
            series = found.setdefault(chosen.symbol, [])
            source = SourceFile(chosen.symbol, path, name)
            if source not in series:
                series.append(source)
    return found


def _matches(pattern: str, root: Path) -> list[Path]:
    if (root / pattern).is_file():  # also a name with brackets in it
        return [root / pattern]
    wanted = Path(pattern)
    base = Path(wanted.anchor) if wanted.is_absolute() else root
    try:
        found = sorted(p for p in base.glob(str(wanted.relative_to(wanted.anchor))) if p.is_file())
    except ValueError as error:
        raise BadFiles(f"path: got {pattern!r}, expected a file or a glob pattern ({error})") from None
    if not found:
        raise BadFiles(f"path: got {pattern!r}, which matches no file below {root}")
    return found


_READING_FAILS = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)  # zipfile: RuntimeError if locked


def read_lines(file: SourceFile) -> Lines:
    """(number from 1, text without its line end) of each line that is not blank. Raises BadFiles."""
    try:
        with ExitStack() as stack:
            text = io.TextIOWrapper(_open(file, stack), encoding="utf-8-sig", errors="replace")
            for number, line in enumerate(text, 1):
                if stripped := line.strip():
                    yield number, stripped
    except _READING_FAILS as error:
        raise BadFiles(f"{file.name}: cannot be read: {error}") from error


def _open(file: SourceFile, stack: ExitStack) -> BinaryIO:
    if file.path.suffix == ".gz":
        return cast(BinaryIO, stack.enter_context(gzip.open(file.path)))
    if file.path.suffix == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(file.path))
        members = [m for m in archive.namelist() if not m.endswith("/")]
        if len(members) != 1:
            raise BadFiles(f"{file.name}: holds {len(members)} files, expected one")
        return cast(BinaryIO, stack.enter_context(archive.open(members[0])))
    return stack.enter_context(file.path.open("rb"))
