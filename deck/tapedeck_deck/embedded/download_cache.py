"""Folders that are made once on a machine and kept: downloads, and what is built from them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tapedeck_deck.embedded.private_files import FOLDER, owned_folder


def cache_dir() -> Path:
    """The folder for downloads and caches that all decks of a user share.

    Its programs are run: raises DeckError where another user owns it or every user can write to it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = (Path(base) / "tapedeck").resolve()
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    owned_folder(folder, "the cache folder")
    return folder


def make_once(folder: Path, make: Callable[[Path], None], *, remove: Callable[[Path], object] = shutil.rmtree) -> Path:
    """The folder, made by ``make`` where it does not exist.

    ``make`` fills a folder beside it, which gets its name when it is complete. What an interrupted run left half-made
    is removed by ``remove`` first. A lock lets one process make it while others wait.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            unfinished = folder.with_name(f"{folder.name}.new")
            if unfinished.exists():
                remove(unfinished)
            make(unfinished)
            unfinished.rename(folder)
    return folder
