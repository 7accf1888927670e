"""What time it is at the exchange."""

from __future__ import annotations

import time
from collections.abc import Callable

from tapedeck_common.logs import log
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Unanswerable, Unreachable


class ExchangeClock:
    """The pod's clock and the measured skew, but never earlier than what the exchange was seen to say.

    The skew is the exchange's answer against the middle of the request (Cristian's algorithm); half of
    the round trip bounds its error.
    """

    def __init__(self, adapter: Adapter, on_skew: Callable[[int], None]) -> None:
        self._adapter = adapter
        self._on_skew = on_skew
        self._skew = 0
        self._newest = 0

    def at_least(self, ts: int) -> None:
        """The exchange's clock has reached this time (milliseconds UTC)."""
        if ts > self._newest:
            self._newest = ts

    def now(self) -> int:
        """The exchange's time, milliseconds UTC."""
        return max(time.time_ns() // 1_000_000 + self._skew, self._newest)

    async def measure(self) -> None:
        """Ask the exchange; where it does not answer, the last measure stays."""
        try:
            await self.ask()
        except (Unreachable, Unanswerable, BadInput) as error:
            log.info("the exchange's clock is not known", reason=str(error)[:200])

    async def ask(self) -> None:
        """Ask the exchange. Raises what the adapter does."""
        before = time.time_ns() // 1_000_000
        theirs = await self._adapter.clock()
        if theirs is not None:
            self._skew = theirs - (before + time.time_ns() // 1_000_000) // 2
            self._on_skew(self._skew)
