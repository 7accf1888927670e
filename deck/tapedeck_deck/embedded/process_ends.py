"""Notice of the end of processes: whoever waits for one need not ask again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from tapedeck_deck.embedded.forkserver import ForkedModule
from tapedeck_deck.embedded.processes import Process


class ProcessEnds:
    """Calls ``notify`` on the running event loop once a watched process has ended.

    The fork server tells the end of its own processes, a Linux with pidfd that of every child. Elsewhere these must be
    asked.
    """

    def __init__(self, notify: Callable[[], object]) -> None:
        self._notify = notify
        self._watched: dict[Process, tuple[int, asyncio.AbstractEventLoop]] = {}  # its descriptor and the loop

    def watch(self, process: Process) -> None:
        """Notify of the end of a process that is not yet waited for, until ``forget``. It must not be watched yet."""
        descriptor = _descriptor(process)
        if descriptor is not None:
            loop = asyncio.get_running_loop()
            self._watched[process] = descriptor, loop
            loop.add_reader(descriptor, self._notify)

    def forget(self, process: Process) -> None:
        """Notify no more: the descriptor of an ended process stays readable."""
        watched = self._watched.pop(process, None)
        if watched is None:
            return
        descriptor, loop = watched
        if not loop.is_closed():
            loop.remove_reader(descriptor)
        if not isinstance(process, ForkedModule):
            os.close(descriptor)


def _descriptor(process: Process) -> int | None:
    """A descriptor that is readable once the process has ended; None where there can be none."""
    if isinstance(process, ForkedModule):
        return process.sentinel
    if not hasattr(os, "pidfd_open"):
        return None
    with contextlib.suppress(OSError):  # no descriptor is left, or it has ended and was waited for
        return os.pidfd_open(process.pid)
    return None
