"""Folders and files that only their owner can enter and read, also on a machine that others use."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import IO, Any

from tapedeck_deck.embedded.errors import DeckError

UMASK = 0o077  # of the deck's process and of all processes that it starts
FOLDER, FILE = 0o700, 0o600


def private_folder(path: Path, name: str) -> Path:
    """Create the folder, or take the rights of group and others on an existing one away; ``name`` is for errors.

    Raises DeckError where the path is a link or another user's, or where others could have put files into the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=FOLDER)
    except FileExistsError:
        found = owned_folder(path, name)
        if found.st_mode & 0o077:
            path.chmod(FOLDER)
    return path


def owned_folder(path: Path, name: str) -> os.stat_result:
    """The attributes of an existing folder. Raises DeckError where it is not this user's, as ``private_folder``."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DeckError(f"{name}: got {path}, which is a link or a file, expected a folder")
    if found.st_uid != os.geteuid():
        raise DeckError(
            f"{name}: got {path}, which belongs to user {found.st_uid}, expected a folder of user {os.geteuid()}; "
            "choose another folder"
        )
    if found.st_mode & stat.S_IWOTH:
        raise DeckError(
            f"{name}: got {path}, into which every user can write, expected a folder that only you can write to; "
            f"if its content is yours: chmod 700 {path}"
        )
    return found


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read, whatever the umask and the mode of an existing one."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, FILE)
    with os.fdopen(opened, "wb") as file:
        os.fchmod(opened, FILE)
        file.write(content.encode() if isinstance(content, str) else content)


def create_private(path: Path) -> bool:
    """Create an empty file that only its owner can read; False, and nothing is changed, where the path exists.

    The path itself is never opened: the end of a descriptor is the end of all POSIX locks that this process has on the
    file, so a database that other connections of the process use would be without theirs.
    """
    if os.path.lexists(path):
        return False
    opened, name = tempfile.mkstemp(dir=path.parent)  # with mode 0600
    os.close(opened)
    made = Path(name)
    try:
        path.hardlink_to(made)
    except FileExistsError:  # created by another process meanwhile
        return False
    finally:
        made.unlink()
    return True


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file as ``open`` does; it is created for its owner alone."""
    return open(path, mode, opener=_for_owner)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, FILE)
