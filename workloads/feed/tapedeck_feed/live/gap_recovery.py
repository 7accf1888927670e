"""Recovers what a symbol's subscriptions missed: requests it from the exchange and publishes it in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from tapedeck_common.logs import log
from tapedeck_common.market import Bar, Trade
from tapedeck_common.trade_gaps import format_ids, missing_ranges, trade_gap
from tapedeck_crds.base import format_ms
from tapedeck_feed.exchanges.adapter import ExchangeAdapter, RecoveredTrades
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.exchanges.errors import ADAPTER_ERRORS
from tapedeck_feed.exchanges.retry import RECOVERY_DELAYS, RECOVERY_RETRY_AFTER, with_retries
from tapedeck_feed.live.bar_series import BarSeries
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.symbol_state import SymbolState
from tapedeck_feed.output.record_publisher import RecordPublisher
from tapedeck_feed.output.stats import FeedStats

UNAVAILABLE = "are no longer available from the exchange; recovering their bars"
UNCONFIRMED_MAX = 8  # responses without any pending id, after which these are not believed although trades arrive


class _Attempts:
    """The delays before the requests of one recovery: they start again after each request that made progress."""

    def __init__(self) -> None:
        self._delays = list(RECOVERY_DELAYS)
        self._unconfirmed = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether to give up the missing trades."""
        return not self._delays or self._unconfirmed >= UNCONFIRMED_MAX

    @property
    def is_last(self) -> bool:
        """Whether no request follows the current one, unless it makes progress."""
        return not self._delays

    async def wait(self) -> None:
        """Wait for the next request."""
        await asyncio.sleep(self._delays.pop(0))

    def record(self, *, made_progress: bool, is_unconfirmed: bool, has_more: bool) -> None:
        """A request is done; ``is_unconfirmed`` where the exchange returned none of the pending ids."""
        self._unconfirmed += is_unconfirmed and not has_more
        if made_progress:
            self._delays = list(RECOVERY_DELAYS[1:] if is_unconfirmed else RECOVERY_DELAYS)


class GapRecovery:
    """Fills the gaps of trades, and of the exchange's own bars. All recoveries of a pod share ``slots``.

    ``publish`` publishes a trade of a symbol and updates its bars. ``new_records`` counts the records that recovery
    found and no subscription had delivered.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        options: LiveOptions,
        clock: ExchangeClock,
        output: RecordPublisher,
        stats: FeedStats,
        publish: Callable[[SymbolState, Trade], None],
        slots: asyncio.Semaphore,
    ) -> None:
        self._adapter = adapter
        self._options = options
        self._clock = clock
        self._output = output
        self._stats = stats
        self._publish = publish
        self._slots = slots
        self.new_records = 0

    async def recover(self, state: SymbolState, delay: float) -> None:
        """Recover a symbol after ``delay`` seconds; report what the exchange no longer has."""
        try:
            await asyncio.sleep(delay)
            async with self._slots:
                if self._options.needs_trades:
                    await self._recover_trades(state)
                for interval in self._options.own_intervals:
                    await self._recover_bars(state, state.series[interval])
            state.recovery_succeeded()
            self._stats.recoveries["complete"] += 1
        except ADAPTER_ERRORS as error:
            self._stats.recoveries["failed"] += 1
            state.recovery_failed(retry_at=time.monotonic() + RECOVERY_RETRY_AFTER)
            log.warning("cannot recover a gap, will retry", symbol=state.symbol, reason=str(error))
        finally:
            state.recovery = None

    def skip_full(self, state: SymbolState) -> None:
        """Too many trades are pending: continue without the missing ones."""
        last = state.sequencer.last
        if state.sequencer.contiguous_ids or last is None:
            self._skip_gap(state)
        else:
            self._close_gap(state, last, (), is_complete=False)

    def report_rejected(self, state: SymbolState) -> None:
        """Report the trades whose id is not believed."""
        for trade in state.sequencer.take_rejected():
            last = state.sequencer.last
            expected = f"expected one that follows {last.id}" if last is not None else ""
            reason = f"id: got {trade.id}, which neither the exchange nor a later trade confirms; {expected}"
            self._output.publish_error(state.symbol, "trades", reason, str(trade))

    async def _recover_trades(self, state: SymbolState) -> None:
        """Request the trades after the last one until none is pending, or no request makes progress any more."""
        sequencer, attempts = state.sequencer, _Attempts()
        while not attempts.is_exhausted:
            await attempts.wait()
            if (last := sequencer.last) is None:
                return
            response = await with_retries(partial(self._adapter.fetch_trades_after, state.symbol, last))
            if self._apply(state, last, response, is_last=attempts.is_last):
                return
            attempts.record(
                made_progress=sequencer.last is not last,
                is_unconfirmed=sequencer.is_unconfirmed,
                has_more=response.has_more,
            )
        self._skip_gap(state)

    def _apply(self, state: SymbolState, last: Trade, response: RecoveredTrades, *, is_last: bool) -> bool:
        """Publish a response to a request for the trades after ``last``; returns whether the gap is closed."""
        sequencer = state.sequencer
        is_complete = sequencer.contiguous_ids or response.complete or sequencer.overlaps_recent
        if is_complete and response.has_more:
            self._publish_recovered(state, sequencer.add_partially_recovered(response.trades))
            return False
        if not is_complete and not is_last:
            return False  # a page may be short or late: the next one may overlap the known trades
        self._close_gap(state, last, response.trades, is_complete=is_complete)
        return not sequencer.pending

    def _close_gap(self, state: SymbolState, last: Trade, found: Iterable[Trade], *, is_complete: bool) -> None:
        """Publish found and pending trades. Where trades may be missing, the bars are recovered from the exchange."""
        out = state.sequencer.add_recovered(found)
        if not is_complete:
            until = out[0].ts if out else self._clock.now()
            reason = f"trades after {last.id} up to {format_ms(until)} {UNAVAILABLE}"
            self._output.publish_error(state.symbol, "trades", reason)
            self._mark_lost(state, last.ts, until)
        self._publish_recovered(state, out)

    def _publish_recovered(self, state: SymbolState, trades: Iterable[Trade]) -> None:
        for trade in trades:
            self._publish(state, trade)
            self._stats.recovered += 1
            self.new_records += 1

    def _skip_gap(self, state: SymbolState) -> None:
        """Publish pending trades without the missing ones; the bars are recovered from the exchange."""
        sequencer, before = state.sequencer, state.sequencer.last
        missing_before = sequencer.missing
        out = sequencer.skip_gap()
        missing = sequencer.missing - missing_before
        if missing and before is not None:
            self._stats.missing += missing
            self._stats.gaps += 1
            ranges = missing_ranges(int(trade.id) for trade in (before, *out))
            reason = f"{missing} trades with the ids {format_ids(ranges)} {UNAVAILABLE}"
            self._output.publish_error(state.symbol, "trades", reason)
            exchange = self._adapter.exchange
            self._output.publish_gap(trade_gap(exchange, state.symbol, before.ts, out[-1].ts, ranges, "unfillable"))
            self._mark_lost(state, before.ts, out[-1].ts)
        for trade in out:
            self._publish(state, trade)
        self.report_rejected(state)

    @staticmethod
    def _mark_lost(state: SymbolState, since: int, until: int) -> None:
        for series in state.series.values():
            series.mark_lost(since, until)

    async def _recover_bars(self, state: SymbolState, series: BarSeries) -> None:
        since = series.recovery_start
        if since is None:
            return
        now = self._clock.now()
        bars: list[Bar] = await with_retries(
            lambda: self._adapter.fetch_bars(state.symbol, series.interval, since, now + 1)
        )
        # A flat bar without volume is not new: some exchanges serve one for each interval without a trade and do not
        # stream it.
        self.new_records += any((bar.volume or bar.high > bar.low) and not series.matches(bar) for bar in bars)
        for bar in bars:
            for changed in series.update(bar):
                self._output.publish_bar(changed)
