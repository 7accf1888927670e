"""Whether a disk has the space that a deck needs to start, and that its programs need to write."""

from __future__ import annotations

import shutil
from pathlib import Path

from tapedeck_deck.embedded.errors import DeckError

MIN_FREE_BYTES = 1_000_000
START_BYTES = 512 * 1024 * 1024


def require_space(folder: Path) -> None:
    """Raise DeckError where a deck in this folder would have no space to start."""
    free = shutil.disk_usage(folder).free
    if free < START_BYTES:
        raise DeckError(
            f"{folder}: got {free // 2**20} MiB of free space, expected at least {START_BYTES // 2**20}; "
            "free some, or choose another --home"
        )


def full_disk(folder: Path) -> str | None:
    """What to do about the full disk of a folder; None where it has space, or where that is unknown."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    if free >= MIN_FREE_BYTES:
        return None
    return f"No space left on the disk of {folder}: free some; the deck continues by itself and loses nothing"
