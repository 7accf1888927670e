"""Where an export goes: files that appear when they are whole, a folder of such files, or standard output."""

from __future__ import annotations

import codecs
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from tapedeck_crds.text import quoted
from tapedeck_deck.cli.printing import escaped
from tapedeck_deck.embedded.errors import DeckError

STDOUT = "-"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content becomes the file at the end of the block; an error leaves what was there before.

    A device or a pipe is written to directly. Raises DeckError for a folder, OSError where the file cannot be written.
    """
    if path.is_dir():
        raise DeckError(f"--output: got {path}, which is a folder, expected a file")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with path.open("wb") as stream:
            yield stream
        return
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise DeckError(f"--output: got {path}, expected a file in an existing folder; create {path.parent} first")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o666 & ~_umask())
            yield stream
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class StandardOutput:
    """Standard output as a stream that knows its position: libraries ask for it, and a pipe has none.

    A pipe or a file gets every byte; a terminal gets text, without what it would obey.
    """

    def __init__(self) -> None:
        self._stream = sys.stdout.buffer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if sys.stdout.isatty() else None
        self._position = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        shown = data if self._decoder is None else escaped(self._decoder.decode(bytes(data))).encode()
        self._stream.write(shown)
        size = memoryview(data).nbytes
        self._position += size
        return size

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """It belongs to the process: it stays open."""
        self.flush()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


@contextmanager
def standard_output(*, binary: bool) -> Iterator[BinaryIO]:
    """Standard output as a stream. Raises DeckError where it is a terminal, which cannot show ``binary`` data."""
    if binary and sys.stdout.isatty():
        raise DeckError("--output: got a terminal, which cannot show this format; expected a file, or a pipe behind -")
    stream = StandardOutput()
    yield cast(BinaryIO, stream)
    stream.flush()


class OutputFolder:
    """Files below one folder, written to a temporary folder until ``finish`` moves them into place."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder = folder
        self._temporary = temporary
        self.files = 0

    @contextmanager
    def file(self, path: PurePath) -> Iterator[BinaryIO]:
        """A new file; ``path`` is relative to the folder. Raises FileExistsError where this export has written it.

        Names of exchanges and symbols are parts of it. Raises DeckError where they lead out of the folder.
        """
        if path.is_absolute() or ".." in path.parts:
            raise DeckError(
                f"--output: got the file {quoted(str(path))}, by its exchange or symbol; expected one below it"
            )
        target = self._temporary / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            yield stream
        self.files += 1

    def finish(self) -> None:
        """Move the files into the folder, each at once; one of the same name is replaced."""
        for source in sorted(path for path in self._temporary.rglob("*") if path.is_file()):
            target = self._folder / source.relative_to(self._temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


@contextmanager
def output_folder(folder: Path, *, empty: bool) -> Iterator[OutputFolder]:
    """A folder whose files appear at the end of the block; an error before leaves it as it was.

    Raises DeckError for a file, and where ``empty`` for a folder with content: its files would be read as a part.
    """
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not folder.is_dir():
        raise DeckError(f"--output: got {folder}, which is a file, expected a folder")
    if empty and folder.is_dir() and any(folder.iterdir()):
        raise DeckError(f"--output: got {folder}, which has files, expected a new or an empty folder")
    # Within a folder that exists: it may be a file system of its own, from which no file can be renamed into it.
    beside = folder if folder.is_dir() else folder.parent
    beside.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=beside))
    try:
        output = OutputFolder(folder, temporary)
        yield output
        output.finish()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found
