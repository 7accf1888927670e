"""`tapedeck backup` and `restore`: a deck's data in one file."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tapedeck_crds.kinds import KINDS
from tapedeck_deck.cli.context import NOT_RUNNING
from tapedeck_deck.cli.printing import print_note, print_text
from tapedeck_deck.cli.progress import PROGRESS_SECONDS
from tapedeck_deck.embedded.backup_archive import Manifest, sizes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.interruption import interruptible


class BackupProgress:
    """Prints what is being done every two seconds; nothing where it takes less."""

    def __init__(self) -> None:
        self._started = self._printed = time.monotonic()

    def __call__(self, what: str, done: int) -> None:
        now = time.monotonic()
        if now - self._printed >= PROGRESS_SECONDS:
            self._printed = now
            print_note(f"{now - self._started:.0f} s: {what}" + (f", {size_text(done)}" if done else ""))


def backup(home: StateDir, file: Path) -> None:
    """Write a backup of the running deck into a new file."""
    if home.running() is None:
        raise DeckError(NOT_RUNNING)
    from tapedeck_deck.embedded.backup import back_up

    with interruptible(signal.SIGTERM):  # removes unfinished files
        manifest, size = back_up(home, file.absolute(), BackupProgress())
    print_text(f"{file}: {_content(manifest)}, {size_text(size)}; it holds the deck's Secrets: only you can read it")


def restore(home: StateDir, file: Path) -> None:
    """Make a deck's folder from a backup."""
    from tapedeck_deck.embedded.restore import restore as restore_home

    with interruptible(signal.SIGTERM):
        manifest = restore_home(file.absolute(), home, BackupProgress())
    print_text(f"{home.root}: {_content(manifest)}, as of {manifest.made_at}, {size_text(sizes(manifest.parts))}")
    print_note(
        "topics begin empty, and runs that had not ended begin again; "
        f"next: `tapedeck up --home {home.root}` starts the deck"
    )


def size_text(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**20:.1f} MiB" if count < 2**30 else f"{count / 2**30:.2f} GiB"


def _content(manifest: Manifest) -> str:
    counts = [f"{number} {KINDS[kind].plural}" for kind, number in manifest.resources.items() if kind in KINDS]
    return f"store and {', '.join(counts) or 'no resources'}"
