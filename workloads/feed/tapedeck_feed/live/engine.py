"""A live Feed at work: what its subscriptions tell goes out, bars are closed, and what is missing is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from tapedeck_common.logs import log
from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_feed.exchanges.adapter import Adapter, Markets, Stream, StreamKind
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.exchanges.retry import AT_ONCE
from tapedeck_feed.live.bar_recovery import Asker, doubt_since_last_bars
from tapedeck_feed.live.gap_recovery import Mender
from tapedeck_feed.live.liveness import Silence
from tapedeck_feed.live.options import LiveOptions, streams_of
from tapedeck_feed.live.resume import Tail
from tapedeck_feed.live.subscription import Listening
from tapedeck_feed.live.symbol_state import SymbolState, states_of
from tapedeck_feed.output.record_publisher import Outlet
from tapedeck_feed.output.stats import LiveTally

TICK = 0.1
RUNNING_EVERY = 0.5  # seconds between two states of the running bar
CLOCK_EVERY = 60.0
FEW = 20  # symbols for which trades are asked where a message can't be read at all


@dataclass(eq=False)
class Session:
    """One pod's share of a Feed. It is the sink of its adapter."""

    adapter: Adapter
    markets: Markets
    options: LiveOptions
    outlet: Outlet
    tally: LiveTally
    tails: Mapping[str, Tail]
    silence: float
    _background: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        options = self.options
        self._states = states_of(self.adapter.exchange, self.markets, options, self.tails)
        turns = asyncio.Semaphore(AT_ONCE)
        self._clock = ExchangeClock(self.adapter, self.tally.set_clock_skew)
        self._asker = Asker(self.adapter, self.markets, self.outlet, turns)
        self._mender = Mender(self.adapter, options, self._clock, self.outlet, self.tally, self._emit, turns)
        self._silence = Silence(self.adapter, self._states, self._mender, self._mend)
        self._listening = [
            Listening(stream, self._lost, self._settle, patience=self.silence)
            for stream in streams_of(self.markets.symbols, options)
        ]
        self._built = options.built_intervals
        self._publish_trades = "trades" in options.channels
        self._due = dict.fromkeys(("bars", "running", "clock"), 0.0)

    @property
    def trouble(self) -> str:
        """Why something does not come at present; empty where all is well."""
        return next((one.trouble for one in self._listening if one.trouble), "")

    async def run(self) -> None:
        """Work until cancelled. Raises Unreachable after long trouble, BadInput, Unanswerable, or Undelivered."""
        await self._clock.measure()
        doubt_since_last_bars(self._states.values(), self._built, self._clock.now())
        work = [one.keep(self.adapter, self) for one in self._listening]
        tasks = [asyncio.ensure_future(each) for each in (*work, self._tick())]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in (*tasks, *self._background):
                task.cancel()
            await asyncio.gather(*tasks, *self._background, return_exceptions=True)

    # What the adapter calls.

    def trade(self, trade: Trade) -> None:
        """A trade as it came."""
        state = self._states.get(trade.symbol)
        if state is None:
            return
        line = state.line
        for due in line.take(trade):
            self._emit(state, due)
        if line.wild:
            self._mender.tell_wild(state)
        if state.fresh and line.contiguous and not line.waiting:
            state.suspect = False  # the next in turn: nothing was missed
        if line.waiting or (state.fresh and state.suspect):
            self._mend(state, delay=0.0 if state.suspect and line.contiguous else 0.2)
            if line.full:
                self._mender.overflow(state)
        state.fresh = False

    def bar(self, bar: Bar) -> None:
        """The exchange's own bar as it stands."""
        state = self._states.get(bar.symbol)
        if state is not None and bar.interval in state.series:
            self._clock.at_least(bar.ts)
            for corrected in state.series[bar.interval].state(bar):
                self.outlet.bar(corrected)

    def ticker(self, ticker: Ticker) -> None:
        """The state of a market."""
        self._silence.told(ticker)
        self.outlet.ticker(ticker)

    def refuse(self, symbol: str, kind: StreamKind | None, reason: str, payload: str) -> None:
        """Something that can't be taken. It may have been a trade, which is asked for then."""
        self.outlet.error(symbol, "websocket", reason, payload)
        if kind in ("trades", None):
            known = self._states.get(symbol)
            states = list(self._states.values()) if known is None and len(self._states) <= FEW else [known]
            for state in states:
                if state is not None and not state.line.contiguous and self.options.needs_trades:
                    state.line.hold(anew=False)  # where ids count up the hole will show
                    state.suspect = True
                    self._mend(state, delay=0.2)

    def heard(self, stream: Stream) -> None:
        """A subscription is alive."""
        for one in self._listening:
            if one.stream is stream:
                if not one.worked and self.tally.clock_skew_ms is None:
                    self._spawn(self._clock.measure())  # some tell it by their websocket alone
                one.hear()

    # Its own work.

    def _emit(self, state: SymbolState, trade: Trade) -> None:
        self._clock.at_least(trade.ts)
        if self._publish_trades:
            self.outlet.trade(trade)
        for interval in self._built:
            for bar in state.series[interval].add(trade):
                self.outlet.bar(bar)

    def _lost(self, stream: Stream, reason: str) -> None:
        self.tally.reconnects += 1
        log.warning("connection lost", stream=stream.kind, reason=reason or "closed")
        for symbol in stream.symbols:
            state = self._states[symbol]
            state.suspect = state.fresh = True
            if stream.kind == "trades":
                state.line.hold()

    async def _settle(self, stream: Stream) -> None:
        """Ask for what was missed though nothing comes."""
        await self._clock.measure()
        for symbol in stream.symbols:
            if self._states[symbol].suspect:
                self._mend(self._states[symbol])

    def _mend(self, state: SymbolState, delay: float = 0.0) -> asyncio.Task[None]:
        if state.mending is None:
            state.mending = self._spawn(self._mender.mend(state, delay))
        return state.mending

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _tick(self) -> None:
        """Close bars as time goes on, and hear of what was delivered and of what failed behind the back."""
        while True:
            await asyncio.sleep(TICK if not self._publish_trades else TICK / 20)
            self.outlet.look()
            now = time.monotonic()
            if self._is_due("bars", now, TICK):
                self._close_bars(now)
            if self._is_due("clock", now, CLOCK_EVERY):
                self._spawn(self._clock.measure())
            for one in self._listening:
                if one.silent(now):
                    one.look = self._spawn(self._silence.look(one))

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] = now + every
        return True

    def _close_bars(self, now: float) -> None:
        until = self._clock.now() - self.options.lateness_ms
        running = self._is_due("running", now, RUNNING_EVERY)
        self.tally.duplicates = sum(state.line.duplicates for state in self._states.values())
        self.tally.late = sum(one.late for state in self._states.values() for one in state.series.values())
        for state in self._states.values():
            for series in state.series.values():
                if state.settled:
                    for bar in series.advance(until):
                        self.outlet.bar(bar)
                if running and (present := series.running()) is not None:
                    self.outlet.bar(present)
                if series.unseen and series.interval not in state.asking:
                    self._spawn(self._asker.ask(state, series))
            if state.suspect and not state.fresh and state.mending is None and now >= state.retry_at:
                self._mend(state)
