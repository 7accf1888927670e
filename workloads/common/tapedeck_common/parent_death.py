"""Child processes that end with their parent, however the parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def parent_death_signal(parent: int, number: int = signal.SIGKILL) -> Callable[[], None]:
    """A function for a child of ``parent`` to call first: the kernel then sends it the signal when the parent ends.

    More exactly: when the thread that started the child ends. Call this before the fork, since a forked child must not
    load a library. Linux only; elsewhere the returned function does nothing.
    """
    if sys.platform != "linux":
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)

    def in_the_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # the parent has already ended
            os._exit(1)

    return in_the_child
