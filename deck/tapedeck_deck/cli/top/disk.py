"""The space that a deck's folder takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own is


@dataclass(frozen=True)
class DiskUse:
    """Bytes that the deck's folder takes, in all and by part, and that its file system has left, of all."""

    used_bytes: int
    free_bytes: int
    total_bytes: int
    parts: dict[str, int]


def disk_use(root: Path) -> DiskUse:
    """The space of a deck's folder."""
    disk = shutil.disk_usage(root)
    parts = {path.name: _bytes(path) for path in sorted(root.iterdir()) if path.is_dir()}
    return DiskUse(sum(parts.values()) + _files(root), disk.free, disk.total, parts)


def _bytes(folder: Path) -> int:
    return sum(_files(Path(path)) for path in _folders(folder))


def _folders(folder: Path) -> Iterator[str]:
    for path, _, _ in os.walk(folder):
        yield path


def _files(folder: Path) -> int:
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
                except FileNotFoundError:  # the servers delete files meanwhile
                    continue
    except (FileNotFoundError, PermissionError):
        return 0
    return total
