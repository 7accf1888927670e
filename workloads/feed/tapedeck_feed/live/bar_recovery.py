"""Asking the exchange for bars that can't be made of the trades that were seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tapedeck_common.logs import log
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Markets, Unanswerable, Unreachable
from tapedeck_feed.exchanges.retry import RETRY_AFTER, TRIES, patiently
from tapedeck_feed.live.bar_series import Series
from tapedeck_feed.live.symbol_state import SymbolState
from tapedeck_feed.output.record_publisher import Outlet

ASKED_BARS_MAX = 5_000


class Asker:
    """Publishes what the exchange says of bars, where it keeps such. ``turns`` are those of all questions."""

    def __init__(self, adapter: Adapter, markets: Markets, outlet: Outlet, turns: asyncio.Semaphore) -> None:
        self._adapter = adapter
        self._intervals = markets.bar_intervals
        self._outlet = outlet
        self._turns = turns

    async def ask(self, state: SymbolState, series: Series) -> None:
        """The bars of a series that were not seen whole."""
        starts = sorted(series.unseen)[:ASKED_BARS_MAX]
        series.unseen.difference_update(starts)  # the rest has its turn when these are here: it may be filled with them
        if series.interval not in self._intervals:
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
        except (Unanswerable, BadInput) as error:
            self._outlet.error(state.symbol, f"bars {series.interval} from {starts[0]}", str(error), "")
            series.give_up(wanted)
        finally:
            state.asking.discard(series.interval)

    async def _ask_once(self, state: SymbolState, series: Series, starts: list[int]) -> set[int]:
        """Publish what the exchange says of these bars; gives the opens of those it knew."""
        until = starts[-1] + series.step
        bars = await patiently(lambda: self._adapter.bars_from(state.symbol, series.interval, starts[0], until))
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


def doubt_since_last_bars(states: Iterable[SymbolState], intervals: Iterable[str], now: int) -> None:
    """After a restart without trades on the log: the bars since the last one are the exchange's to say."""
    for state in states:
        if state.line.last is not None:
            continue
        for interval in intervals:
            series = state.series[interval]
            if series.next_open is not None:
                series.doubt(series.next_open, now - now % series.step - 1)
