"""Asking the exchange for what was missed, and putting it in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import stamina

from tapedeck.logs import log
from tapedeck.market import Bar, Trade
from tapedeck_crds.base import format_ms
from tapedeck_feed.live.adapter import Adapter, Markets, Unanswerable, Unreachable
from tapedeck_feed.live.aggregate import Series
from tapedeck_feed.live.clock import ExchangeClock
from tapedeck_feed.live.market import SymbolState
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.outlet import Outlet
from tapedeck_feed.live.tally import LiveTally

T = TypeVar("T")
AT_ONCE = 4  # questions under way together
TRIES = (0.0, 0.3, 1.0, 2.0)  # seconds before each try to fill a hole: a page may come short or late
DENIALS = 8  # answers that know nothing of what waits, before it is doubted though trades go on
RETRY_AFTER = 10.0
ASKED_BARS_MAX = 5_000


def waited(error: Exception) -> bool | float:
    """For stamina: whether to try again, and after how many seconds where the exchange said so."""
    if isinstance(error, Unreachable):
        return error.wait if error.wait is not None else True
    return isinstance(error, Unanswerable)


class Mender:
    """Fills holes of trades and bars by REST."""

    def __init__(
        self,
        adapter: Adapter,
        markets: Markets,
        options: LiveOptions,
        clock: ExchangeClock,
        outlet: Outlet,
        tally: LiveTally,
        emit: Callable[[SymbolState, Trade], None],
    ) -> None:
        self._adapter = adapter
        self._markets = markets
        self._options = options
        self._clock = clock
        self._outlet = outlet
        self._tally = tally
        self._emit = emit
        self._turns = asyncio.Semaphore(AT_ONCE)
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
        except (Unreachable, Unanswerable) as error:
            state.suspect = True
            state.retry_at = time.monotonic() + RETRY_AFTER
            state.fresh = False
            log.warning("cannot fetch what was missed, will be tried again", symbol=state.symbol, reason=str(error))
        finally:
            state.mending = None

    async def ask_bars(self, state: SymbolState, series: Series) -> None:
        """Bars that can't be made of the trades that were seen: as the exchange made them, where it keeps such."""
        starts = sorted(series.unseen)[-ASKED_BARS_MAX:]
        series.unseen.difference_update(starts)  # the rest has its turn when these are here
        if series.interval not in self._markets.bar_intervals:
            self._untold(state, series, starts)
            series.give_up(starts)
            return
        state.asking.add(series.interval)
        wanted = set(starts)
        try:
            async with self._turns:
                for wait in TRIES:
                    await asyncio.sleep(wait)
                    wanted -= await self._ask_once(state, series, sorted(wanted))
                    lacking = series.traded(wanted)
                    if not wanted or (wait and not lacking):  # what had no trade is asked for twice
                        break
            if lacking:
                self._untold(state, series, lacking)
            for bar in series.untraded(wanted):
                self._outlet.bar(bar)
        except Unreachable as error:
            log.warning("cannot fetch bars, will be tried again", symbol=state.symbol, reason=str(error))
            series.unseen |= wanted
            await asyncio.sleep(RETRY_AFTER)
        except Unanswerable as error:
            self._outlet.error(state.symbol, f"bars {series.interval} from {starts[0]}", str(error), "")
            series.give_up(wanted)
        finally:
            state.asking.discard(series.interval)

    async def _ask_once(self, state: SymbolState, series: Series, starts: list[int]) -> set[int]:
        """Publish what the exchange says of these bars; gives the opens of those it knew."""
        until = starts[-1] + series.step
        bars = await self._patiently(lambda: self._adapter.bars_from(state.symbol, series.interval, starts[0], until))
        asked = set(starts)
        known = {bar.ts: bar for bar in bars if bar.ts in asked}
        for bar in known.values():
            for said in series.corrected(bar):
                self._outlet.bar(said)
        return set(known)

    def _untold(self, state: SymbolState, series: Series, starts: list[int]) -> None:
        """Bars that had trades, of which the exchange knows nothing."""
        reason = f"{len(starts)} bars from {starts[0]} to {starts[-1]} are not to be had from the exchange"
        self._outlet.error(state.symbol, f"bars {series.interval} from {starts[0]}", reason, "")

    def fetch_since_last_bars(self, states: Iterable[SymbolState]) -> None:
        """After a restart without trades on the log: the bars since the last one are the exchange's to say."""
        now = self._clock.now()
        for state in states:
            if state.line.last is not None:
                continue
            for interval in self._options.built_intervals:
                series = state.series[interval]
                if series.next_open is not None:
                    series.doubt(series.next_open, now - now % series.step - 1)

    async def _mend_trades(self, state: SymbolState) -> None:
        line, tries, denials = state.line, list(TRIES), 0
        while tries and denials < DENIALS:
            await asyncio.sleep(tries.pop(0))
            if (last := line.last) is None:
                return
            found = await self._patiently(partial(self._adapter.trades_after, state.symbol, last))
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
        bars: list[Bar] = await self._patiently(
            lambda: self._adapter.bars_from(state.symbol, series.interval, since, now + 1)
        )
        before = series.newest
        for bar in bars:
            for corrected in series.state(bar):
                self._outlet.bar(corrected)
        self.news += series.newest != before

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        async for attempt in stamina.retry_context(on=waited, attempts=6, timeout=120.0, wait_max=10.0):
            with attempt:
                return await ask()
        raise AssertionError("stamina gives an attempt or raises")
