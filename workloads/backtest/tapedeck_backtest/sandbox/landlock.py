"""Files that a strategy's code can't read: those of the connections to broker and database.

By Landlock, the kernel's way for a process to give up rights: nothing else is asked for, neither a user nor a mount. It
holds for files alone; what this process has in memory is within reach of code that goes looking for it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from tapedeck_common.logs import log

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # of every architecture
_VERSION, _BENEATH = 1, 1
_READ_FILE, _REFER = 1 << 2, 1 << 13
_PR_SET_NO_NEW_PRIVS = 38
_ABI_OF_REFER = 2  # before, no file can be moved to another folder in a process that gave up rights


def hide(folder: Path, but: Sequence[str] = ()) -> bool:
    """From now on this thread, and those that it starts, can read no file in ``folder`` but those of these names.

    Nor what is made later in the folders above it. False, with a warning in the log, where the kernel can't.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _VERSION)
    if version < _ABI_OF_REFER:
        log.warning("the kernel has no Landlock: the strategy's code can read the files of connections")
        return False
    rights = struct.pack("=Q", _READ_FILE | _REFER)
    rules = libc.syscall(_CREATE, rights, len(rights), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for path in _beside(folder.resolve(), but):
            _allow(libc, rules, path)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT, rules, 0):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(rules)
    return True


def _beside(folder: Path, but: Sequence[str]) -> Iterator[Path]:
    """All that lies beside the folder and the folders above it, and the named files in it."""
    yield from (folder / name for name in but)
    above = folder
    while above != above.parent:
        above = above.parent
        try:
            beside = [
                Path(os.path.realpath(path)) for path in above.iterdir()
            ]  # a link may lead back to where the folder is
        except PermissionError:
            continue
        yield from (path for path in beside if not folder.is_relative_to(path) and not path.is_relative_to(folder))


def _allow(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is gone, or was not for us before
    try:
        rights = _READ_FILE | _REFER if path.is_dir() else _READ_FILE
        libc.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)
