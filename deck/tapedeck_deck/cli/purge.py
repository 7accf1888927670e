"""`tapedeck down --purge` and `tapedeck reset`: remove what a deck has stored, after a question."""

from __future__ import annotations

import os
import shutil
import sys

from tapedeck_crds.kinds import KINDS
from tapedeck_deck.cli.backup import size_text
from tapedeck_deck.cli.context import open_objects
from tapedeck_deck.cli.deck import stop_shown
from tapedeck_deck.cli.printing import ask, print_note, print_text
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import owned_folder
from tapedeck_deck.embedded.state_dir import StateDir


def purge(home: StateDir, *, confirmed: bool) -> None:
    """Stop the deck and remove its folder. Raises DeckError where nothing is removed."""
    _require_deck(home)
    _ask(home, "remove the folder with resources, bars, results and settings", confirmed)
    _stop(home)
    shutil.rmtree(home.root)
    print_text(f"{home.root} is removed")


def reset(home: StateDir, *, confirmed: bool) -> bool:
    """Stop the deck and remove resources, bars and results; settings stay. Returns whether the deck ran.

    Raises DeckError where nothing is removed.
    """
    _require_deck(home)
    _ask(home, "remove resources, bars and results (sinks and endpoints stay)", confirmed)
    was_running = _stop(home)
    kept = {home.sinks_file, home.sinks, home.endpoints_file, home.root / "version"}
    for path in home.root.iterdir():
        if path in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    print_text(f"{home.root} is empty but for its settings")
    return was_running


def _require_deck(home: StateDir) -> None:
    """Raises DeckError for a folder that is no deck's: it is not removed."""
    if not (home.root / "version").exists():
        raise DeckError(f"no deck in {home.root}: nothing was removed; --home selects another folder")
    owned_folder(home.root, "--home")


def _stop(home: StateDir) -> bool:
    print_note("stopping the deck")
    return stop_shown(home)


def _ask(home: StateDir, what: str, confirmed: bool) -> None:
    print_note(f"{home.root}: {_content(home)}")
    if confirmed:
        return
    if not sys.stdin.isatty():
        raise DeckError("nothing was removed: standard input is no terminal to answer on; add --yes to remove it")
    if not ask(f"{what}?"):
        raise DeckError("nothing was removed")


def _content(home: StateDir) -> str:
    counts: dict[str, int] = {}
    if home.objects.exists():
        with open_objects(home) as objects:
            counts = {model.plural: len(objects.uids(kind)) for kind, model in KINDS.items()}
    names = ", ".join(f"{count} {plural}" for plural, count in counts.items() if count) or "no resources"
    size = sum(os.lstat(os.path.join(folder, f)).st_size for folder, _, files in os.walk(home.root) for f in files)  # noqa: PTH118
    return f"{names}, {size_text(size)}"
