"""Finding the deck that runs on this machine, by the files of its folder."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from tapedeck.errors import DeckNotFound

HOME_VARIABLE, URL_VARIABLE, TOKEN_VARIABLE = "TAPEDECK_HOME", "TAPEDECK_URL", "TAPEDECK_TOKEN"
HOME = ".tapedeck"


@dataclass(frozen=True)
class LocalDeck:
    """A running deck: its folder, the address of its gateway, and the token that may control it."""

    home: Path
    url: str
    token: str | None


def find_deck(home: str | Path | None = None) -> LocalDeck:
    """The running deck in ``home``, else in TAPEDECK_HOME, else in .tapedeck here or in a folder above.

    Raises DeckNotFound.
    """
    named = home or os.environ.get(HOME_VARIABLE)
    folder = Path(named).expanduser().resolve() if named else _nearest_home()
    try:
        owner = folder.stat().st_uid
        facts = json.loads((folder / "deck.json").read_text()) if owner == os.getuid() else {}
    except (OSError, ValueError):
        facts, owner = {}, os.getuid()
    if owner != os.getuid():
        raise DeckNotFound(f"{folder}: belongs to another user; connect(home=…) names a deck of your own")
    url = facts.get("gateway") if _is_locked(folder) else None
    if not url:
        raise DeckNotFound(f"no deck runs in {folder}: `tapedeck --home {folder} up` starts it")
    return LocalDeck(folder, str(url), _control_token(folder))


def _nearest_home() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_own_home(folder / HOME):
            return folder / HOME
    raise DeckNotFound(
        f"no deck in {here} or a folder above: `tapedeck up` starts one; connect(home=…) names the folder of another, "
        "connect(url, token) an address, and `with tapedeck.deck() as td:` makes one of its own"
    )


def _is_own_home(folder: Path) -> bool:
    """Whether a folder is a deck's, of this user: what another user put into a folder above is none."""
    try:
        return folder.stat().st_uid == os.getuid() and (folder / "version").is_file()
    except OSError:
        return False


def _is_locked(folder: Path) -> bool:
    """Whether a deck runs: it locks its folder until it ends, also where it is killed."""
    try:
        with (folder / "lock").open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _control_token(folder: Path) -> str | None:
    try:
        return (folder / "gateway" / "control.token").read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
