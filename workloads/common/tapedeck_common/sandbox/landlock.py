"""Landlock: a process gives up its rights over files, TCP ports, and processes outside of its sandbox.

Each version of the kernel's interface (ABI) covers more. Landlock does not cover metadata: the filter of system calls
denies chmod, chown and the like.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from tapedeck_common.sandbox.kernel import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_ALL = (1 << 13) - 1
_FILE_RIGHTS = {1: _ALL, 2: _ALL | _REFER, 3: _ALL | _REFER | _TRUNCATE, 5: _ALL | _REFER | _TRUNCATE | _IOCTL_DEVICE}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE  # a rule for a file may have no others
_TCP_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11
_ABI_OF_TCP, _ABI_OF_SCOPES = 4, 6
READ = _READ_FILE | _READ_DIR
LIST = _READ_DIR
WRITE = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
USE_DEVICE = _READ_FILE | _WRITE_FILE


def abi() -> int:
    """The version of Landlock in this kernel; 0 without it."""
    if sys.platform != "linux":
        return 0
    try:
        return syscall(_CREATE, None, 0, _VERSION)
    except OSError:
        return 0


def restrict(rules: Iterable[tuple[Path, int]]) -> None:
    """From now on this thread, and threads that it starts, have these rights over these paths and no others.

    A rule for a folder holds for all in it; one for a path that does not exist is left out. Needs no_new_privs. Raises
    OSError.
    """
    version = abi()
    files = _FILE_RIGHTS[max(each for each in _FILE_RIGHTS if each <= version)]
    handled = [files]
    if version >= _ABI_OF_TCP:
        handled.append(_TCP_BIND_AND_CONNECT)
    if version >= _ABI_OF_SCOPES:
        handled.append(_ABSTRACT_SOCKETS_AND_SIGNALS)
    attribute = struct.pack(f"={len(handled)}Q", *handled)
    ruleset = syscall(_CREATE, attribute, len(attribute), 0)
    try:
        for path, rights in rules:
            _add(ruleset, path, rights & files)
        syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _OF_FILES
        syscall(_ADD, ruleset, _BENEATH, struct.pack("=Qi", allowed, opened), 0)
    finally:
        os.close(opened)
