"""A process that does not outlive the one that started it, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, number: int = signal.SIGKILL) -> Callable[[], None]:
    """What a child of ``parent`` is to call first: the kernel then sends it the signal when its parent's thread ends.

    To be made before a fork, after which nothing may be loaded. Linux alone; elsewhere it does nothing.
    """
    if sys.platform != "linux":
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)

    def in_the_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it ended before
            os._exit(1)

    return in_the_child
