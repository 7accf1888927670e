"""What a process inherits from its parent and foreign code must not have: capabilities, descriptors, environment."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from tapedeck_common.sandbox.kernel import capset, prctl

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64
_DESCRIPTORS = Path("/dev/fd")


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
    """The environment holds these variables alone; home, temporary files and the working folder are ``scratch``."""
    os.environ.clear()
    os.environ.update({**variables, "HOME": str(scratch), "TMPDIR": str(scratch)})
    tempfile.tempdir = None  # the module keeps the folder that it found first
    os.chdir(scratch)


def single_threaded() -> bool:
    """Whether the process has one thread: others would stay outside of the sandbox."""
    if sys.platform != "linux":
        return True
    return len(list(Path("/proc/self/task").iterdir())) == 1
