"""Recovers bars that cannot be built from the trades that were seen: publishes the exchange's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tapedeck_common.logs import log
from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeMarkets
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, ExchangeUnreachable, InvalidFeedInput
from tapedeck_feed.exchanges.retry import RECOVERY_DELAYS, RECOVERY_RETRY_AFTER, with_retries
from tapedeck_feed.live.bar_series import BarSeries
from tapedeck_feed.live.symbol_state import SymbolState
from tapedeck_feed.output.record_publisher import RecordPublisher

BARS_MAX = 5_000  # bars of one recovery


class BarRecovery:
    """Recovers the bars in ``BarSeries.to_recover``. All recoveries of a pod share ``slots``."""

    def __init__(
        self,
        adapter: ExchangeAdapter,
        markets: ExchangeMarkets,
        output: RecordPublisher,
        slots: asyncio.Semaphore,
    ) -> None:
        self._adapter = adapter
        self._intervals = markets.bar_intervals
        self._output = output
        self._slots = slots

    async def recover(self, state: SymbolState, series: BarSeries) -> None:
        """Publish the exchange's bars, oldest first; report those that it does not have."""
        starts = sorted(series.to_recover)[:BARS_MAX]
        series.to_recover.difference_update(starts)  # later ones follow in order: these may fill them
        if series.interval not in self._intervals:
            self._report_unavailable(state, series, starts)
            series.discard_unknown(starts)
            return
        state.recovering_bars.add(series.interval)
        remaining = set(starts)
        try:
            with_trades = await self._request(state, series, remaining)
            if with_trades:
                self._report_unavailable(state, series, with_trades)
            for bar in series.fill_untraded(remaining):
                self._output.publish_bar(bar)
        except ExchangeUnreachable as error:
            log.warning("cannot recover bars, will retry", symbol=state.symbol, reason=str(error))
            series.to_recover |= remaining
            await asyncio.sleep(RECOVERY_RETRY_AFTER)
        except (ExchangeRequestFailed, InvalidFeedInput) as error:
            self._output.publish_error(state.symbol, f"bars {series.interval} from {starts[0]}", str(error))
            series.discard_unknown(remaining)
        finally:
            state.recovering_bars.discard(series.interval)

    async def _request(self, state: SymbolState, series: BarSeries, remaining: set[int]) -> list[int]:
        """Request the remaining open times until the exchange has returned each that had a trade.

        Removes those that were returned; returns those with trades that were not. Intervals without a trade are
        requested twice.
        """
        with_trades: list[int] = []
        async with self._slots:
            for delay in RECOVERY_DELAYS:
                await asyncio.sleep(delay)
                remaining -= await self._request_once(state, series, sorted(remaining))
                with_trades = series.with_trades(remaining)
                if not remaining or (delay and not with_trades):
                    break
        return with_trades

    async def _request_once(self, state: SymbolState, series: BarSeries, starts: list[int]) -> set[int]:
        """Publish the exchange's bars for these open times; returns those that it has."""
        until = series.length.close_of(starts[-1])
        bars = await with_retries(lambda: self._adapter.fetch_bars(state.symbol, series.interval, starts[0], until))
        requested = set(starts)
        returned = {bar.ts: bar for bar in bars if bar.ts in requested}
        for bar in returned.values():
            for changed in series.replace(bar):
                self._output.publish_bar(changed)
        return set(returned)

    def _report_unavailable(self, state: SymbolState, series: BarSeries, starts: list[int]) -> None:
        """Report bars that had trades and that the exchange does not have."""
        reason = f"{len(starts)} bars from {starts[0]} to {starts[-1]} are not available from the exchange"
        self._output.publish_error(state.symbol, f"bars {series.interval} from {starts[0]}", reason)


def mark_lost_since_last_bars(states: Iterable[SymbolState], intervals: Iterable[str], now: int) -> None:
    """After a restart without trades on the log: recover the bars since the last published one."""
    for state in states:
        if state.sequencer.last is not None:
            continue
        for interval in intervals:
            series = state.series[interval]
            if series.next_open is not None:
                series.mark_lost(series.next_open, series.length.open_of(now) - 1)
