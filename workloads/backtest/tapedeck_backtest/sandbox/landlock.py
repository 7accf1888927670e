"""Denies the strategy's code to read files: those of the connections to broker and database.

Landlock lets a process give up its own rights without a user or a mount of its own. It covers files alone: what this
process holds in memory is within reach of code that searches for it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from tapedeck_common.logs import log

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every architecture
_VERSION, _BENEATH = 1, 1
_READ_FILE, _REFER = 1 << 2, 1 << 13
_PR_SET_NO_NEW_PRIVS = 38
_ABI_OF_REFER = 2  # in older versions a restricted process cannot move files between folders


def deny_reads(folder: Path, allow: Sequence[str] = ()) -> bool:
    """From now on this thread, and threads that it starts, can read no file in ``folder`` except those in ``allow``.

    Neither can they read files created later directly in the parent folders. Returns False, with a warning in the log,
    if the kernel has no Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _VERSION)
    if version < _ABI_OF_REFER:
        log.warning("kernel without Landlock: the strategy's code can read the files of the connections")
        return False
    rights = struct.pack("=Q", _READ_FILE | _REFER)
    rules = libc.syscall(_CREATE, rights, len(rights), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for path in _readable(folder.resolve(), allow):
            _allow(libc, rules, path)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT, rules, 0):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(rules)
    return True


def _readable(folder: Path, allow: Sequence[str]) -> Iterator[Path]:
    """The siblings of the folder and of its parents, and the allowed files in it."""
    yield from (folder / name for name in allow)
    parent = folder
    while parent != parent.parent:
        parent = parent.parent
        try:
            siblings = [Path(os.path.realpath(path)) for path in parent.iterdir()]  # a link may lead into the folder
        except PermissionError:
            continue
        yield from (path for path in siblings if not folder.is_relative_to(path) and not path.is_relative_to(folder))


def _allow(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # deleted meanwhile, or not readable anyway
    try:
        rights = _READ_FILE | _REFER if path.is_dir() else _READ_FILE
        libc.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)
