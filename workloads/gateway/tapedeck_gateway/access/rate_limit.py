"""How many requests a client may make: a steady rate, and a burst above it."""

from __future__ import annotations

import asyncio
import time

MAX_CLIENTS = 10_000


class RateLimit:
    """The generic cell rate algorithm: one time for each client, at which all its requests are paid for.

    The table is bounded: beyond ``clients`` the one that has asked for nothing for the longest time is forgotten, which
    gives it a whole burst again.
    """

    def __init__(self, per_second: float, burst: int, clients: int = MAX_CLIENTS) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) * self._interval
        self._clients = clients
        self._paid_at: dict[str, float] = {}

    def seconds_until_allowed(self, client: str, now: float) -> float:
        """Count a request made at ``now`` (s). Returns 0 where it is allowed, else how long to wait."""
        paid_at = max(self._paid_at.pop(client, now), now)
        wait = paid_at - self._tolerance - now
        self._paid_at[client] = paid_at if wait > 0 else paid_at + self._interval
        if len(self._paid_at) > self._clients:
            del self._paid_at[next(iter(self._paid_at))]
        return max(0.0, wait)

    async def wait(self, client: str) -> None:
        """Wait until another message of the client is allowed, and count it."""
        while True:
            seconds = self.seconds_until_allowed(client, time.monotonic())
            if seconds == 0:
                return
            await asyncio.sleep(seconds)
