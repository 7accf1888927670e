"""When changes of topics are pushed: at once, but at most every PUSH_SECONDS."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from tapedeck_gateway.push.metrics import FANOUT_SECONDS

PUSH_SECONDS = 0.05  # the minimum between two pushes


class PushSchedule:
    """Gathers changes, and calls ``push`` with them in the event loop in which it is made."""

    def __init__(self, push: Callable[[set[str]], None]) -> None:
        self._push = push
        self._loop = asyncio.get_running_loop()
        self._changed: set[str] = set()
        self._changed_at = 0.0
        self._pushed_at = 0.0

    def on_change(self, changed: set[str]) -> None:
        """These have changed. Called in the topic reader's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the gateway stops
            self._loop.call_soon_threadsafe(self._gather, changed, time.monotonic())

    def _gather(self, changed: set[str], at: float) -> None:
        if not self._changed:
            self._changed_at = at
            self._loop.call_at(max(self._loop.time(), self._pushed_at + PUSH_SECONDS), self._push_gathered)
        self._changed |= changed

    def _push_gathered(self) -> None:
        self._pushed_at = self._loop.time()
        changed, self._changed = self._changed, set()
        self._push(changed)
        FANOUT_SECONDS.observe(time.monotonic() - self._changed_at)
