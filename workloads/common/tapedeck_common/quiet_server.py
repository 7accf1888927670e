"""uvicorn's server for programs that mostly wait, and its HTTP protocol with limits on what clients may hold open."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

TICK_SECONDS = 1.0
CONNECTIONS = 64  # of a pod's probes at a time: those who ask are few
ANSWER_SECONDS = 15.0  # from a connection, or from the last response on it, to the end of the next one
HEADER_BYTES = 16_384
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


class BoundedProtocol(H11Protocol):
    """One HTTP connection of a few: see ``bounded_protocol``.

    A request that is not answered in ANSWER_SECONDS ends it, whatever the client sends or reads meanwhile. A connection
    beyond the limit takes the place of the one that has waited longest for a request, as in the gateway.
    """

    limit: ClassVar[int]
    table: ClassVar[dict[BoundedProtocol, None]]
    """The open connections, those first that have waited longest since their last response."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.table) >= self.limit and not self._make_room():
            transport.abort()
            return
        self._expect_response()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        if not self.transport.is_closing():
            self._expect_response()
        super().on_response_complete()

    def _make_room(self) -> bool:
        waiting = next((each for each in self.table if not each._is_answering), None)
        if waiting is None:
            return False
        waiting._forget()
        waiting.transport.abort()
        return True

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _expect_response(self) -> None:
        self._forget()
        self.table[self] = None
        self._deadline = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        self.table.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_protocol(limit: int = CONNECTIONS) -> type[BoundedProtocol]:
    """The protocol of one server with at most so many connections."""
    return type("Bounded", (BoundedProtocol,), {"limit": limit, "table": {}})
