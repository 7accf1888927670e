"""The files that a strategy may read: its code, and what lies beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

ENTRIES_MAX = 10_000


def readable_entries(folder: Path, secret: Iterable[Path]) -> list[Path]:
    """The files of a folder, and its folders with Python modules, without hidden ones and those with a ``secret`` path.

    The folder is that of the resource's YAML, and may be a home: other folders in it are not the strategy's.
    """
    kept_away = [path.resolve() for path in secret]

    def entries() -> Iterator[Path]:
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            real = entry.resolve()
            if entry.name.startswith(".") or any(path.is_relative_to(real) for path in kept_away):
                continue
            if not real.is_dir() or _has_modules(real):
                yield entry

    return list(islice(entries(), ENTRIES_MAX))


def _has_modules(folder: Path) -> bool:
    try:
        return any(entry.suffix == ".py" for entry in islice(folder.iterdir(), ENTRIES_MAX))
    except OSError:
        return False
