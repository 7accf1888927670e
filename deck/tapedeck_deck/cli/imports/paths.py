"""The files that the arguments of an import name: files, folders with all that is below them, and patterns."""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.inspection.listed import Listed

FILES_MAX = 10_000
_COPY_BYTES = 1 << 20


def listed(arguments: Sequence[str]) -> Listed:
    """The files of the arguments, each once, in their order and by name within a folder. Raises DeckError."""
    found: dict[Path, bool] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            for each in _below(path):
                found.setdefault(each, False)
        elif path.exists():
            found[path.resolve()] = True
        elif matches := sorted(glob.glob(argument, recursive=True)):  # noqa: PTH207  of any root
            for match in matches:
                if Path(match).is_file():
                    found[Path(match).resolve()] = True
        else:
            raise DeckError(f"PATH: got {argument}, expected a file, a folder or a pattern that matches files")
        if len(found) > FILES_MAX:
            raise DeckError(f"PATH: got more than {FILES_MAX} files, expected at most so many: import them by folder")
    if not found:
        raise DeckError(f"PATH: got {', '.join(arguments)}, which holds no file")
    root = Path(os.path.commonpath([path.parent for path in found]))
    relative = {path: str(path.relative_to(root)) for path in found}
    chosen = frozenset(relative[path] for path, named in found.items() if named)
    return Listed(root, tuple(relative.values()), chosen)


@contextmanager
def standard_input() -> Iterator[Path]:
    """A file with what comes on standard input, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-stdin-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as copy:
            while part := sys.stdin.buffer.read(_COPY_BYTES):
                copy.write(part)
        yield path


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, without hidden ones, by name."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith((".", "__MACOSX")) for part in relative.parts):
            yield path.resolve()
