"""A live Feed at work: streams kept up, holes mended, bars closed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import stamina

from tapedeck.logs import log
from tapedeck.market import Bar, Ticker, Trade
from tapedeck_feed.live.adapter import Adapter, BadInput, Broken, Markets, Stream, StreamKind, Unanswerable, Unreachable
from tapedeck_feed.live.clock import ExchangeClock
from tapedeck_feed.live.history import Tail
from tapedeck_feed.live.market import SymbolState, resumed
from tapedeck_feed.live.mend import Mender, waited
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.outlet import Outlet
from tapedeck_feed.live.tally import LiveTally

TICK = 0.1
RUNNING_EVERY = 0.5  # seconds between two states of the running bar
CLOCK_EVERY = 60.0
CHUNK = 100  # symbols that share a subscription
RECONNECTS_MAX = 30  # in a row, without a message in between: some ten minutes
SETTLE = 1.0  # seconds after a reconnect at which even silent symbols are asked for
SILENT = 3.0  # seconds more for a first message: before it a connection may not be up
SILENCE_MAX = 300.0
FEW = 20  # symbols for which trades are asked where a message can't be read at all


@dataclass(eq=False)
class _Listening:
    """A stream and how it is doing."""

    stream: Stream
    patience: float
    heard: float = 0.0
    worked: bool = False
    broken: bool = False
    up: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    trouble: str = ""


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
    _states: dict[str, SymbolState] = field(default_factory=dict)
    _background: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        exchange, options = self.adapter.exchange, self.options
        for symbol in self.markets.symbols:
            tail = self.tails.get(symbol, Tail())
            self._states[symbol] = resumed(
                exchange, symbol, options.built_intervals + options.own_intervals, options.fill, tail,
                contiguous=self.markets.contiguous,
            )  # fmt: skip
        self._clock = ExchangeClock(self.adapter, self.tally)
        self._mender = Mender(
            self.adapter, self.markets, self.options, self._clock, self.outlet, self.tally, self._emit
        )
        self._listening = [_Listening(stream, patience=self.silence) for stream in self._streams()]
        self._built = options.built_intervals
        self._publish_trades = "trades" in options.channels
        self._tickers: dict[str, Ticker] = {}  # the newest of each symbol, heard or asked for
        self._due = {"running": 0.0, "clock": 0.0, "silence": 0.0}

    @property
    def trouble(self) -> str:
        """Why something does not come at present; empty where all is well."""
        return next((one.trouble for one in self._listening if one.trouble), "")

    async def run(self) -> None:
        """Work until cancelled. Raises Unreachable after long trouble, BadInput, Unanswerable, or Undelivered."""
        await self._clock.measure()
        self._mender.fetch_since_last_bars(self._states.values())
        work = [self._keep(one) for one in self._listening]
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
        self._tickers[ticker.symbol] = ticker
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
                one.heard, one.worked, one.trouble = time.monotonic(), True, ""
                one.up.set()

    # Its own work.

    def _emit(self, state: SymbolState, trade: Trade) -> None:
        self._clock.at_least(trade.ts)
        if self._publish_trades:
            self.outlet.trade(trade)
        for interval in self._built:
            for bar in state.series[interval].add(trade):
                self.outlet.bar(bar)

    def _streams(self) -> list[Stream]:
        symbols, options = self.markets.symbols, self.options
        parts = [symbols[i : i + CHUNK] for i in range(0, len(symbols), CHUNK)]
        streams = [Stream("trades", part) for part in parts] if options.needs_trades else []
        streams += [Stream("bars", part, interval) for interval in options.own_intervals for part in parts]
        return streams + [Stream("ticker", part) for part in parts if "ticker" in options.channels]

    async def _keep(self, one: _Listening) -> None:
        """Keep a stream up: reconnect at once where it worked, ever later where it does not."""
        while True:
            async for attempt in stamina.retry_context(
                on=waited, attempts=RECONNECTS_MAX, timeout=None, wait_initial=0.2, wait_max=30.0
            ):
                with attempt:
                    await self._listen(one)
            await asyncio.sleep(random.uniform(0.02, 0.2))  # not all at once

    async def _listen(self, one: _Listening) -> None:
        """Listen until it breaks. Raises Unreachable where it never worked."""
        one.heard, one.worked = time.monotonic(), False
        one.up.clear()
        up = self._spawn(self._settle(one))
        one.task = asyncio.ensure_future(self.adapter.watch(one.stream, self))
        try:
            await asyncio.shield(asyncio.wait([one.task]))
            if one.task.cancelled() or isinstance(error := one.task.exception(), Broken):
                self._lost(one)
                return
            one.trouble = str(error)
            self._lost(one)
            if error is not None and (not one.worked or not isinstance(error, Unreachable)):
                raise error
        finally:
            up.cancel()
            one.task.cancel()

    def _lost(self, one: _Listening) -> None:
        self.tally.reconnects += 1
        log.warning("connection lost", stream=one.stream.kind, reason=one.trouble or "closed")
        one.broken = True
        for symbol in one.stream.symbols:
            state = self._states[symbol]
            state.suspect = state.fresh = True
            if one.stream.kind == "trades":
                state.line.hold()

    async def _settle(self, one: _Listening) -> None:
        """A while after a reconnect, ask for what was missed though nothing comes."""
        await asyncio.sleep(SETTLE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(one.up.wait(), SILENT)
        await self._clock.measure()
        for symbol in one.stream.symbols:
            if self._states[symbol].suspect:
                self._mend(self._states[symbol])

    def _mend(self, state: SymbolState, delay: float = 0.0) -> None:
        if state.mending is None:
            state.mending = self._spawn(self._mender.mend(state, delay))

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
            if now >= self._due.setdefault("bars", 0.0):
                self._due["bars"] = now + TICK
                self._close_bars(now)
            if now >= self._due["clock"]:
                self._due["clock"] = now + CLOCK_EVERY
                self._spawn(self._clock.measure())
            self._watch_silence(now)

    def _close_bars(self, now: float) -> None:
        until = self._clock.now() - self.options.lateness_ms
        running = now >= self._due["running"]
        if running:
            self._due["running"] = now + RUNNING_EVERY
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
                    self._spawn(self._mender.ask_bars(state, series))
            if state.suspect and not state.fresh and state.mending is None and now >= state.retry_at:
                self._mend(state)

    def _watch_silence(self, now: float) -> None:
        for one in self._listening:
            if one.task is not None and now - one.heard > one.patience:
                one.heard = now
                self._spawn(self._break_silence(one))

    async def _break_silence(self, one: _Listening) -> None:
        """Where the exchange has what the connection did not tell, the connection is dead."""
        some = random.sample(one.stream.symbols, min(3, len(one.stream.symbols)))
        try:
            news = await (self._ticker_moved(some) if one.stream.kind == "ticker" else self._mended(some))
        except (Unreachable, Unanswerable, BadInput):
            return
        begun = one.stream.kind == "ticker" or all(self._states[symbol].begun for symbol in one.stream.symbols)
        if begun and not news:
            one.patience = min(one.patience * 2, SILENCE_MAX)
            return
        one.trouble = f"nothing came for {one.patience:g} s, though there was something"
        if one.task is not None:
            one.task.cancel()
            await self.adapter.drop()

    async def _mended(self, symbols: Sequence[str]) -> bool:
        """Whether asking brought trades or bars that the connection did not tell."""
        news = self._mender.news
        for symbol in symbols:
            self._states[symbol].suspect = True
            await self._mender.mend(self._states[symbol], 0.0)
        return self._mender.news != news

    async def _ticker_moved(self, symbols: Sequence[str]) -> bool:
        """Whether a price is another than was known. Other figures of a day change by themselves."""
        moved = False
        for symbol in symbols:
            asked = await self.adapter.ticker(symbol)
            known = self._tickers.get(symbol)
            if asked is not None and (known is None or asked.ts > known.ts):
                moved |= known is not None and asked.price != known.price
                self._tickers[symbol] = asked
        return moved
