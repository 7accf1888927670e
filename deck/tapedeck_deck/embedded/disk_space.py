"""Whether a disk is so full that programs which write to it fail."""

from __future__ import annotations

import shutil
from pathlib import Path

MIN_FREE_BYTES = 1_000_000


def full_disk(folder: Path) -> str | None:
    """What to do about the full disk of a folder; None where it has space, or where that is unknown."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    if free >= MIN_FREE_BYTES:
        return None
    return f"No space left on the disk of {folder}: free some; the deck continues by itself and loses nothing"
