"""Notice of the end of processes: whoever waits for one need not ask again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tapedeck_deck.embedded.forkserver import ForkedModule
from tapedeck_deck.embedded.processes import Process


class ProcessEnds:
    """Calls ``notify`` on the running event loop once a watched process has ended.

    The fork server tells the end of its own processes. Of others nothing is told: they must be asked.
    """

    def __init__(self, notify: Callable[[], object]) -> None:
        self._notify = notify
        self._watched: dict[int, asyncio.AbstractEventLoop] = {}  # by descriptor

    def watch(self, process: Process) -> None:
        """Notify of the end of a process, until ``forget``."""
        if isinstance(process, ForkedModule):
            loop = self._watched[process.sentinel] = asyncio.get_running_loop()
            loop.add_reader(process.sentinel, self._notify)

    def forget(self, process: Process) -> None:
        """Notify no more: the descriptor of an ended process stays readable."""
        if isinstance(process, ForkedModule):
            loop = self._watched.pop(process.sentinel, None)
            if loop is not None and not loop.is_closed():
                loop.remove_reader(process.sentinel)
