"""Processes that foreign code left behind: the parent becomes their parent, and kills them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

from tapedeck_common.logs import log
from tapedeck_common.sandbox.kernel import prctl

_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")
_PAUSE_SECONDS = 0.01


def adopt_orphans() -> None:
    """From now on processes that lose their parent below this process become its children. Linux only."""
    if sys.platform == "linux":
        prctl(_PR_SET_CHILD_SUBREAPER, 1)


def sweep(spared: Collection[int] = (), seconds: float = 2.0) -> int:
    """Kill and reap all children but ``spared``, and the children that they leave; returns how many there were.

    Gives up after ``seconds``, with a line in the log: code that starts processes faster than they are killed.
    """
    killed = set()
    deadline = time.monotonic() + seconds
    while found := children() - set(spared):
        killed |= found
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            log.warning("processes of foreign code are left", pids=sorted(found)[:10])
            break
        time.sleep(_PAUSE_SECONDS)
    return len(killed)


def children() -> set[int]:
    """The processes whose parent is this one; none where the system has no /proc."""
    own = os.getpid()
    return {pid for pid in _processes() if _parent(pid) == own}


def _processes() -> list[int]:
    try:
        return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[1])
