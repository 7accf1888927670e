"""Distinguishes a dead subscription from a quiet market: requests what the subscription should have delivered."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tapedeck_common.market import Ticker
from tapedeck_feed.exchanges.adapter import ExchangeAdapter
from tapedeck_feed.exchanges.errors import ADAPTER_ERRORS
from tapedeck_feed.live.gap_recovery import GapRecovery
from tapedeck_feed.live.subscription import Subscription
from tapedeck_feed.live.symbol_state import SymbolState
from tapedeck_feed.output.stats import FeedStats

SILENCE_LIMIT_MAX = 300.0  # seconds between two probes of a market where nothing happens
PROBED_SYMBOLS = 3  # symbols of a subscription, chosen at random


class LivenessMonitor:
    """Reconnects dead subscriptions. ``recover`` recovers one symbol, once at a time."""

    def __init__(
        self,
        adapter: ExchangeAdapter,
        states: Mapping[str, SymbolState],
        gap_recovery: GapRecovery,
        recover: Callable[[SymbolState], Awaitable[None]],
        stats: FeedStats,
    ) -> None:
        self._adapter = adapter
        self._states = states
        self._gap_recovery = gap_recovery
        self._recover = recover
        self._stats = stats
        self._tickers: dict[str, Ticker] = {}  # the newest of each symbol, delivered or fetched

    def record_ticker(self, ticker: Ticker) -> None:
        """A subscription delivered a ticker."""
        self._tickers[ticker.symbol] = ticker

    async def probe(self, subscription: Subscription) -> None:
        """Reconnect a silent subscription where the exchange has what it did not deliver.

        Where nothing has ever arrived there is nothing to compare with: it is reconnected, with growing delays.
        """
        stream, subscription.last_activity = subscription.stream, time.monotonic()
        probed_at = subscription.last_activity
        symbols = random.sample(stream.symbols, min(PROBED_SYMBOLS, len(stream.symbols)))
        try:
            is_dead = await (
                self._has_ticker_moved(symbols) if stream.kind == "ticker" else self._has_new_records(symbols)
            )
        except ADAPTER_ERRORS:
            self._stats.probes["failed"] += 1
            return
        self._stats.probes["missed" if is_dead else "quiet"] += 1
        if subscription.last_activity != probed_at:  # a message arrived meanwhile, or it reconnected
            return
        subscription.missed_probes += is_dead
        has_data = stream.kind == "ticker" or all(self._states[symbol].has_data for symbol in stream.symbols)
        silence = subscription.silence_limit
        if not is_dead:
            subscription.silence_limit = min(subscription.silence_limit * 2, SILENCE_LIMIT_MAX)
        if is_dead or not has_data:
            news = ", though the exchange has new records" if is_dead else ""
            subscription.reconnect(f"no message for {silence:g} s{news}")
            await self._adapter.disconnect()

    async def _has_new_records(self, symbols: Sequence[str]) -> bool:
        """Whether recovery finds trades or bars that the subscription did not deliver."""
        before = self._gap_recovery.new_records
        for symbol in symbols:
            self._states[symbol].suspect_gap()
            await self._recover(self._states[symbol])
        return self._gap_recovery.new_records != before

    async def _has_ticker_moved(self, symbols: Sequence[str]) -> bool:
        """Whether a price differs from the last delivered one. Daily figures change by themselves."""
        has_moved = False
        for symbol in symbols:
            current = await self._adapter.fetch_ticker(symbol)
            last = self._tickers.get(symbol)
            if current is not None and (last is None or current.ts > last.ts):
                has_moved |= last is not None and current.price != last.price
                self._tickers[symbol] = current
        return has_moved
