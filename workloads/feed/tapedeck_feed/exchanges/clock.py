"""The exchange's clock, estimated."""

from __future__ import annotations

import time
from collections.abc import Callable

from tapedeck_common.logs import log
from tapedeck_feed.exchanges.adapter import ExchangeAdapter
from tapedeck_feed.exchanges.errors import ADAPTER_ERRORS


class ExchangeClock:
    """The pod's clock plus the measured skew, never earlier than the newest time seen in market data.

    The skew is the exchange's time against the middle of the request (Cristian's algorithm, 1989); half of the
    round trip bounds its error. ``on_skew`` is called with each measured skew, milliseconds.
    """

    def __init__(self, adapter: ExchangeAdapter, on_skew: Callable[[int], None]) -> None:
        self._adapter = adapter
        self._on_skew = on_skew
        self._skew = 0
        self._newest = 0

    def advance_to(self, ts: int) -> None:
        """The exchange's clock has reached this time, milliseconds UTC."""
        if ts > self._newest:
            self._newest = ts

    def now(self) -> int:
        """The exchange's time, milliseconds UTC."""
        return max(time.time_ns() // 1_000_000 + self._skew, self._newest)

    async def try_measure(self) -> None:
        """Measure the skew; keep the last measurement where the exchange does not respond."""
        try:
            await self.measure()
        except ADAPTER_ERRORS as error:
            log.info("cannot measure the exchange's clock", reason=str(error)[:200])

    async def measure(self) -> None:
        """Measure the skew. Raises what the adapter raises."""
        before = time.time_ns() // 1_000_000
        theirs = await self._adapter.fetch_time()
        if theirs is not None:
            self._skew = theirs - (before + time.time_ns() // 1_000_000) // 2
            self._on_skew(self._skew)
