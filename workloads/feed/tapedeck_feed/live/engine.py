"""The live engine: publishes what the subscriptions deliver, closes bars, and starts recoveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from tapedeck_common.logs import log
from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeMarkets, ExchangeStream, StreamKind
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.exchanges.parsing import is_derived
from tapedeck_feed.exchanges.retry import RECOVERY_CONCURRENCY
from tapedeck_feed.live.bar_recovery import BarRecovery, mark_lost_since_last_bars
from tapedeck_feed.live.gap_recovery import GapRecovery
from tapedeck_feed.live.liveness import LivenessMonitor
from tapedeck_feed.live.options import LiveOptions, required_streams
from tapedeck_feed.live.resume import PublishedRecords
from tapedeck_feed.live.subscription import Connection, Subscription
from tapedeck_feed.live.symbol_state import Continuity, SymbolState, create_states
from tapedeck_feed.output.record_publisher import RecordPublisher
from tapedeck_feed.output.stats import FeedStats

CLOSE_PERIOD = 0.1  # seconds between two looks for bars to close
POLL_PERIOD = CLOSE_PERIOD / 20  # seconds between polls for acknowledgements of trades, so that latency is measured
RUNNING_BAR_PERIOD = 0.5  # seconds between two publications of a running bar
CLOCK_PERIOD = 60.0  # seconds between two measurements of the exchange's clock
GAP_GRACE = 0.2  # seconds, in which late trades may close a gap by themselves
UNATTRIBUTED_MAX = 20  # symbols that are all recovered where a malformed message does not name one


@dataclass
class _Timer:
    """Elapses every ``period`` seconds, the first time at once."""

    period: float
    _next: float = 0.0

    def has_elapsed(self, now: float) -> bool:
        """Whether the period is over; starts the next one."""
        if now < self._next:
            return False
        self._next = now + self.period
        return True


class LiveEngine:
    """One pod's symbols of a live Feed. It is the listener of the adapter's subscriptions.

    ``silence_limit``: after so many seconds without a message a subscription is probed.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        markets: ExchangeMarkets,
        options: LiveOptions,
        output: RecordPublisher,
        stats: FeedStats,
        published: Mapping[str, PublishedRecords],
        silence_limit: float,
    ) -> None:
        self._adapter = adapter
        self._options = options
        self._output = output
        self._stats = stats
        self._states = create_states(adapter.exchange, markets, options, published)
        self._clock = ExchangeClock(adapter, stats.set_clock_skew)
        slots = asyncio.Semaphore(RECOVERY_CONCURRENCY)
        self._bar_recovery = BarRecovery(adapter, markets, output, slots)
        self._gap_recovery = GapRecovery(adapter, options, self._clock, output, stats, self._publish_trade, slots)
        self._liveness = LivenessMonitor(adapter, self._states, self._gap_recovery, self._start_recovery, stats)
        self._subscriptions = [
            Subscription(stream, self._on_lost, self._on_settled, silence_limit)
            for stream in required_streams(markets.symbols, options)
        ]
        self._publishes_trades = "trades" in options.channels
        self._close_timer = _Timer(CLOSE_PERIOD)
        self._running_bar_timer = _Timer(RUNNING_BAR_PERIOD)
        self._clock_timer = _Timer(CLOCK_PERIOD)
        self._background: set[asyncio.Task[None]] = set()
        self._count_states()

    @property
    def trouble(self) -> str:
        """Why a subscription delivers nothing at present; empty where all deliver."""
        return next((each.trouble for each in self._subscriptions if each.trouble), "")

    async def run(self) -> None:
        """Run until cancelled.

        Raises ExchangeUnreachable after many failed reconnects, InvalidFeedInput, ExchangeRequestFailed, and
        DeliveryFailed.
        """
        await self._clock.try_measure()
        mark_lost_since_last_bars(self._states.values(), self._options.built_intervals, self._clock.now())
        work = [subscription.run(self._adapter, self) for subscription in self._subscriptions]
        tasks = [asyncio.ensure_future(each) for each in (*work, self._tick_forever())]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in (*tasks, *self._background):
                task.cancel()
            await asyncio.gather(*tasks, *self._background, return_exceptions=True)
            self._output.publish_refusals()

    # The adapter's listener.

    def on_trade(self, trade: Trade) -> None:
        """Publish what can go out; recover where a trade may be missing."""
        state = self._states.get(trade.symbol)
        if state is None:
            return
        sequencer = state.sequencer
        for out in sequencer.add(trade):
            self._publish_trade(state, out)
        if sequencer.rejected:
            self._gap_recovery.report_rejected(state)
        if state.trade_arrived():
            is_gap_certain = sequencer.contiguous_ids and state.continuity is not Continuity.CONTINUOUS
            self._start_recovery(state, delay=0.0 if is_gap_certain else GAP_GRACE)
            if sequencer.is_full:
                self._gap_recovery.skip_full(state)

    def on_bar(self, bar: Bar) -> None:
        """Take the exchange's own bar."""
        state = self._states.get(bar.symbol)
        if state is not None and bar.interval in state.series:
            self._clock.advance_to(bar.ts)
            for changed in state.series[bar.interval].update(bar):
                self._output.publish_bar(changed)

    def on_ticker(self, ticker: Ticker) -> None:
        """Publish it."""
        self._liveness.record_ticker(ticker)
        self._output.publish_ticker(ticker)

    def on_malformed(self, symbol: str, kind: StreamKind | None, reason: str, payload: str) -> None:
        """Report it. It may have been a trade, which is recovered then."""
        self._output.refuse(symbol, "websocket", reason, payload)
        if kind not in ("trades", None) or not self._options.needs_trades:
            return
        state = self._states.get(symbol)
        if state is not None:
            affected = [state]
        else:
            affected = list(self._states.values()) if len(self._states) <= UNATTRIBUTED_MAX else []
        for each in affected:
            if not each.sequencer.contiguous_ids:  # where ids count up, the next one shows the gap
                each.sequencer.expect_gap(reconnecting=False)
                each.suspect_gap()
                self._start_recovery(each, delay=GAP_GRACE)

    def on_open(self, stream: ExchangeStream) -> None:
        """The connection of a subscription is open."""
        for subscription in self._subscriptions:
            if subscription.stream is stream:
                subscription.record_open()

    def on_activity(self, stream: ExchangeStream) -> None:
        """A subscription is alive."""
        for subscription in self._subscriptions:
            if subscription.stream is stream:
                is_first = subscription.connection is not Connection.ACTIVE
                if is_first and self._stats.clock_skew_ms is None:
                    self._spawn(self._clock.try_measure())  # some exchanges send their time by websocket only
                subscription.record_activity()

    # Internals.

    def _publish_trade(self, state: SymbolState, trade: Trade) -> None:
        """Publish a trade in order, and the corrections of bars that it changes."""
        self._clock.advance_to(trade.ts)
        self._stats.without_ids = self._stats.without_ids or is_derived(trade.id)
        if self._publishes_trades:
            self._output.publish_trade(trade)
        for interval in self._options.built_intervals:
            for bar in state.series[interval].add(trade):
                self._output.publish_bar(bar)

    def _on_lost(self, stream: ExchangeStream, reason: str) -> None:
        self._stats.reconnects += 1
        log.warning("connection lost", stream=stream.kind, reason=reason or "closed")
        for symbol in stream.symbols:
            self._states[symbol].connection_lost(of_trades=stream.kind == "trades")

    async def _on_settled(self, stream: ExchangeStream) -> None:
        """Recover symbols that have been silent since the reconnect."""
        await self._clock.try_measure()
        for symbol in stream.symbols:
            if self._states[symbol].continuity is not Continuity.CONTINUOUS:
                self._start_recovery(self._states[symbol])

    def _start_recovery(self, state: SymbolState, delay: float = 0.0) -> asyncio.Task[None]:
        """The running recovery of a symbol, or a new one after ``delay`` seconds."""
        if state.recovery is None:
            state.recovery = self._spawn(self._gap_recovery.recover(state, delay))
        return state.recovery

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _tick_forever(self) -> None:
        """Poll for acknowledgements, close bars, measure the clock and probe silent subscriptions."""
        while True:
            await asyncio.sleep(POLL_PERIOD if self._publishes_trades else CLOSE_PERIOD)
            self._output.poll()
            now = time.monotonic()
            if self._close_timer.has_elapsed(now):
                self._update_bars(now)
                self._retry_recoveries(now)
                self._count_states()
            if self._clock_timer.has_elapsed(now):
                self._spawn(self._clock.try_measure())
            for subscription in self._subscriptions:
                if subscription.is_silent(now):
                    subscription.probe = self._spawn(self._liveness.probe(subscription))

    def _update_bars(self, now: float) -> None:
        """Publish closed and running bars, and recover bars that were not seen whole."""
        close_until = self._clock.now() - self._options.lateness_ms
        publish_running = self._running_bar_timer.has_elapsed(now)
        for state in self._states.values():
            for series in state.series.values():
                if state.is_current:
                    for bar in series.close_until(close_until):
                        self._output.publish_bar(bar)
                if publish_running and (running := series.running_bar()) is not None:
                    self._output.publish_bar(running)
                if series.to_recover and series.interval not in state.recovering_bars:
                    self._spawn(self._bar_recovery.recover(state, series))

    def _count_states(self) -> None:
        self._stats.duplicates = sum(state.sequencer.duplicates for state in self._states.values())
        self._stats.late = sum(series.late for state in self._states.values() for series in state.series.values())
        self._stats.open_gaps = sum(not state.is_current for state in self._states.values())
        for connection in Connection:
            number = sum(each.connection is connection for each in self._subscriptions)
            self._stats.subscriptions[connection.name.lower()] = number
        for channel in {each.stream.channel for each in self._subscriptions}:
            those = [each for each in self._subscriptions if each.stream.channel == channel]
            self._stats.last_message_at[channel] = min(each.last_message_at for each in those)
            self._stats.missed_probes[channel] = max(each.missed_probes for each in those)

    def _retry_recoveries(self, now: float) -> None:
        for state in self._states.values():
            if state.needs_recovery and now >= state.retry_at:
                self._start_recovery(state)
