"""uvicorn's server for programs that mostly wait."""

from __future__ import annotations

import asyncio
import contextlib

import uvicorn

TICK_SECONDS = 1.0
_EACH_TIME = 0  # the count of ticks at which ``on_tick`` renews the date of answers


class QuietServer(uvicorn.Server):
    """Wakes once a second, for the date of its answers, where uvicorn looks ten times a second whether it shall end.

    ``should_exit`` may be set by any thread and by a signal handler.
    """

    _ends = False
    _loop: asyncio.AbstractEventLoop | None = None
    _noticed: asyncio.Event

    @property
    def should_exit(self) -> bool:
        """Whether the server shall end."""
        return self._ends

    @should_exit.setter
    def should_exit(self, ends: bool) -> None:
        self._ends = ends
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._noticed.set)

    async def main_loop(self) -> None:
        """Until the server shall end."""
        self._noticed, self._loop = asyncio.Event(), asyncio.get_running_loop()
        while not await self.on_tick(_EACH_TIME):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._noticed.wait()
