"""How many requests of a client are worked on at a time: threads and connections to the database are few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tapedeck_gateway.access.errors import TooManyRequests

WAIT_SECONDS = 10.0
RETRY_SECONDS = 1.0


@dataclass
class _Slots:
    free: asyncio.Semaphore
    users: int = 0


class RequestSlots:
    """Slots of each client. Requests beyond them wait, in the order in which they came, in the event loop alone."""

    def __init__(self, at_once: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._at_once = at_once
        self._wait_seconds = wait_seconds
        self._clients: dict[str, _Slots] = {}

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Holds one of the client's slots. Raises TooManyRequests where none becomes free in time."""
        slots = self._clients.setdefault(client, _Slots(asyncio.Semaphore(self._at_once)))
        slots.users += 1
        try:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await slots.free.acquire()
            except TimeoutError:
                message = f"requests: expected at most {self._at_once} at a time; try again"
                raise TooManyRequests(message, RETRY_SECONDS) from None
            try:
                yield
            finally:
                slots.free.release()
        finally:
            slots.users -= 1
            if not slots.users:
                del self._clients[client]
