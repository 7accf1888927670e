"""Asking the exchange for what a connection missed, and putting it in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from tapedeck_common.logs import log
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import format_ms
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Unanswerable, Unreachable
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.exchanges.retry import RETRY_AFTER, TRIES, patiently
from tapedeck_feed.live.bar_series import Series
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.symbol_state import SymbolState
from tapedeck_feed.output.record_publisher import Outlet
from tapedeck_feed.output.stats import LiveTally

DENIALS = 8  # answers that know nothing of what waits, before it is doubted though trades go on


class Mender:
    """Fills holes of trades and bars by REST. ``turns`` are those of all questions."""

    def __init__(
        self,
        adapter: Adapter,
        options: LiveOptions,
        clock: ExchangeClock,
        outlet: Outlet,
        tally: LiveTally,
        emit: Callable[[SymbolState, Trade], None],
        turns: asyncio.Semaphore,
    ) -> None:
        self._adapter = adapter
        self._options = options
        self._clock = clock
        self._outlet = outlet
        self._tally = tally
        self._emit = emit
        self._turns = turns
        self.news = 0
        """How often asking brought what had not been told."""

    async def mend(self, state: SymbolState, delay: float) -> None:
        """Fetch what a symbol missed; what the exchange has no more is told and left."""
        try:
            await asyncio.sleep(delay)
            async with self._turns:
                if self._options.needs_trades:
                    await self._mend_trades(state)
                for interval in self._options.own_intervals:
                    await self._mend_bars(state, state.series[interval])
            state.suspect = False
        except (Unreachable, Unanswerable, BadInput) as error:
            state.suspect = True
            state.retry_at = time.monotonic() + RETRY_AFTER
            state.fresh = False
            log.warning("cannot fetch what was missed, will be tried again", symbol=state.symbol, reason=str(error))
        finally:
            state.mending = None

    async def _mend_trades(self, state: SymbolState) -> None:
        line, tries, denials = state.line, list(TRIES), 0
        while tries and denials < DENIALS:
            await asyncio.sleep(tries.pop(0))
            if (last := line.last) is None:
                return
            found = await patiently(partial(self._adapter.trades_after, state.symbol, last))
            whole = line.contiguous or found.whole or line.overlaps
            if found.more and whole:
                self._publish(state, line.follow(found.trades))
            elif whole or not tries:
                self._merge(state, last, found.trades, whole=whole)
                if not line.waiting:
                    return
            denials += line.unconfirmed and not found.more
            if line.last is not last:  # it goes on behind what came
                tries = list(TRIES[1:] if line.unconfirmed else TRIES)
        self._leave_hole(state)

    def _merge(self, state: SymbolState, last: Trade, found: Iterable[Trade], *, whole: bool) -> None:
        """Publish what was found and what waited. Where it may not be all, bars are for the exchange to say."""
        due = state.line.mend(found)
        if not whole:
            until = due[0].ts if due else self._clock.now()
            reason = f"what followed the trade {last.id} up to {format_ms(until)} is not to be had; bars are asked for"
            self._outlet.error(state.symbol, "trades", reason, "")
            for series in state.series.values():
                series.doubt(last.ts, until)
        self._publish(state, due)

    def _publish(self, state: SymbolState, due: Iterable[Trade]) -> None:
        for trade in due:
            self._emit(state, trade)
            self._tally.mended += 1
            self.news += 1

    def overflow(self, state: SymbolState) -> None:
        """Too many trades wait: go on without what is missing."""
        if state.line.contiguous or state.line.last is None:
            self._leave_hole(state)
        else:
            self._merge(state, state.line.last, (), whole=False)

    def _leave_hole(self, state: SymbolState) -> None:
        line, before = state.line, state.line.last
        missing = line.missing
        due = line.give_up()
        lost = line.missing - missing
        if lost and before is not None:
            self._tally.missing += lost
            reason = f"{lost} trades between the ids {before.id} and {due[-1].id} are not to be had any more"
            self._outlet.error(state.symbol, "trades", reason, "")
            for series in state.series.values():
                series.doubt(before.ts, due[-1].ts)
        for trade in due:
            self._emit(state, trade)
        self.tell_wild(state)

    def tell_wild(self, state: SymbolState) -> None:
        """Trades whose ids are not believed."""
        told, state.line.wild = state.line.wild, []
        for trade in told:
            expected = f"expected one that follows {state.line.last.id}" if state.line.last is not None else ""
            reason = f"id: got {trade.id}, which neither the exchange nor what came next confirms; {expected}"
            self._outlet.error(state.symbol, "trades", reason, str(trade))

    async def _mend_bars(self, state: SymbolState, series: Series) -> None:
        since = series.wanted_from
        if since is None:
            return
        now = self._clock.now()
        bars: list[Bar] = await patiently(
            lambda: self._adapter.bars_from(state.symbol, series.interval, since, now + 1)
        )
        # A flat one is no news: some exchanges have one for each interval without a trade, and do not send it.
        self.news += any((bar.volume or bar.high > bar.low) and not series.knows(bar) for bar in bars)
        for bar in bars:
            for corrected in series.state(bar):
                self._outlet.bar(corrected)
