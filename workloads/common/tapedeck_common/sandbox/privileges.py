"""What a process inherits from its parent and foreign code must not have: capabilities, descriptors, environment.

The kernel writes the environment that a process is started with to the stack. There it stays when Python's own copy is
cleared, in forks too, and ctypes reads it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from tapedeck_common.sandbox.kernel import capset, clear_environment, prctl

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64
_DESCRIPTORS = Path("/dev/fd")
_STATUS = Path("/proc/self/stat")
_ENVIRONMENT_START, _ENVIRONMENT_END = 50, 51  # fields of proc_pid_stat(5), counted from 1
_NAME = 2  # the program's name, which may have spaces, ends with the last bracket


def drop_privileges() -> None:
    """Give up every capability, as root too, and the means to gain one by a program. Linux only. Raises OSError."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):  # not allowed without CAP_SETPCAP; a number that the kernel does not know
        for capability in range(_CAPABILITIES):
            prctl(_PR_CAPBSET_DROP, capability)
    prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24))


def leave_session() -> None:
    """Begin a session and a process group of its own, without a terminal; new files are the owner's alone."""
    with contextlib.suppress(PermissionError):  # it leads a group already
        os.setsid()
    os.umask(0o077)


def close_descriptors(kept: Collection[int]) -> None:
    """Close all but these descriptors; 0, 1 and 2 lead to /dev/null where they are not kept."""
    for descriptor in [int(path.name) for path in _DESCRIPTORS.iterdir()]:
        if descriptor > 2 and descriptor not in kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(descriptor)
    missing = [each for each in range(3) if each not in kept]
    if missing:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in missing:
            os.dup2(null, descriptor)
        if null not in missing:
            os.close(null)


def replace_environment(variables: Mapping[str, str], scratch: Path) -> None:
    """The environment holds these variables alone; home, temporary files and the working folder are ``scratch``.

    Raises OSError.
    """
    erase_environment()
    os.environ.update({**variables, "HOME": str(scratch), "TMPDIR": str(scratch)})
    tempfile.tempdir = None  # the module keeps the folder that it found first
    os.chdir(scratch)


def erase_environment() -> None:
    """Clear the environment, and on Linux overwrite what the process, or the origin of this fork, was started with.

    Raises OSError.
    """
    os.environ.clear()
    if sys.platform == "linux":
        clear_environment()  # the list of the C library leads into the memory that is overwritten
        start, end = _first_environment()
        ctypes.memset(start, 0, end - start)


def _first_environment() -> tuple[int, int]:
    """The addresses where it begins and ends."""
    fields = _STATUS.read_text(errors="replace").rpartition(")")[2].split()
    start, end = (int(fields[field - _NAME - 1]) for field in (_ENVIRONMENT_START, _ENVIRONMENT_END))
    return start, end


def single_threaded() -> bool:
    """Whether the process has one thread: others would stay outside of the sandbox."""
    if sys.platform != "linux":
        return True
    return len(list(Path("/proc/self/task").iterdir())) == 1
