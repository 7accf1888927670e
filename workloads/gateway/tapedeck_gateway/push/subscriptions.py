"""Subscriptions of all WebSockets, and pushing changes to them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from tapedeck_common.logs import log
from tapedeck_crds.errors import InvalidInput, NotFound, Unavailable
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.resolutions import BASE, is_shown_with, resolution_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.push.run_poller import RunPoller
from tapedeck_gateway.push.send_queue import SendQueue, SubscriptionKey
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.bars import first_open, last_bars
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.live_bars import KEPT_BARS, LiveBars
from tapedeck_gateway.topics.replay_view import ReplayView
from tapedeck_gateway.topics.topic_reader import TopicReader

PUSH_SECONDS = 0.05  # the minimum between two pushes
POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0


@dataclass
class _SeriesChannel:
    """One series at one resolution, and the clients that show it. ``last`` is the newest bar that was pushed."""

    symbol: ChartSymbol
    length: BarLength
    source: ReplayView | LiveBars
    generation: int
    last: Candle | None = None
    clients: set[SendQueue] = field(default_factory=set)

    @property
    def changed_by(self) -> str:
        """The replay's uid; empty for the live market, as ``topic_reader.LIVE``."""
        return self.symbol.replay

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        return self.source.bars_since(self.symbol.exchange, self.symbol.symbol, self.length, since)


@dataclass
class _RunChannel:
    poller: RunPoller
    clients: set[SendQueue] = field(default_factory=set)


class Subscriptions:
    """Runs in the event loop; blocking calls run in threads."""

    def __init__(self, pool: Pool, reader: TopicReader) -> None:
        self._pool = pool
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._series: dict[SubscriptionKey, _SeriesChannel] = {}
        self._runs: dict[str, _RunChannel] = {}
        self._changed: set[str] = set()
        self._pushed_at = 0.0
        self._polling: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    def on_change(self, changed: set[str]) -> None:
        """Push changes of these replays, and of the live market for LIVE. Called in the topic reader's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the gateway stops
            self._loop.call_soon_threadsafe(self._schedule_push, changed)

    def _schedule_push(self, changed: set[str]) -> None:
        if not self._changed:
            self._loop.call_at(max(self._loop.time(), self._pushed_at + PUSH_SECONDS), self._push_changed)
        self._changed |= changed

    def _push_changed(self) -> None:
        self._pushed_at = self._loop.time()
        changed, self._changed = self._changed, set()
        for key, channel in self._series.items():
            if channel.changed_by in changed and _is_ready(channel.source):
                self._push(key, channel)

    def _push(self, key: SubscriptionKey, channel: _SeriesChannel) -> None:
        """Queue the bars that changed since the last push, after a reset if the replay jumped."""
        last = channel.last
        generation, candles = channel.bars_since(None if last is None else last.ts)
        if generation != channel.generation:
            channel.generation = generation
            for client in channel.clients:
                client.add_reset(key)
            _, candles = channel.bars_since(None)
        changed = [candle for candle in candles if candle != last]
        channel.last = candles[-1] if candles else None
        for client in channel.clients:
            if changed:
                client.add_bars(key, changed)
            _queue_position(client, channel.source)

    async def subscribe(self, client: SendQueue, symbol: ChartSymbol, resolution: str) -> None:
        """Push the series' bars from now on, starting with the newest.

        Raises InvalidInput for a resolution that the series does not have, NotFound for an unknown series, Unavailable
        where broker or database does not answer.
        """
        key = (str(symbol), resolution)
        length = resolution_length(resolution)
        async with self._opening:
            channel = self._series.get(key)
            if channel is None:
                channel = await asyncio.to_thread(self._open, symbol, length)
                self._series[key] = channel
                self._push(key, channel)
        channel.clients.add(client)
        _, newest = channel.bars_since(None)
        client.add_bars(key, newest)
        _queue_position(client, channel.source)

    def unsubscribe(self, client: SendQueue, symbol: ChartSymbol, resolution: str) -> None:
        """Stop pushing the series to this client."""
        key = (str(symbol), resolution)
        channel = self._series.get(key)
        if channel is None or client not in channel.clients:
            return
        channel.clients.discard(client)
        client.discard(key)
        if not channel.clients:
            del self._series[key]
            if isinstance(channel.source, ReplayView):
                channel.source.watchers -= 1
            else:
                channel.source.unwatch(symbol.exchange, symbol.symbol)

    def _open(self, symbol: ChartSymbol, length: BarLength) -> _SeriesChannel:
        return self._open_replay(symbol, length) if symbol.replay else self._open_live(symbol, length)

    def _open_replay(self, symbol: ChartSymbol, length: BarLength) -> _SeriesChannel:
        view = self._reader.caught_up_view(symbol)
        if not is_shown_with(length, view.length):
            raise InvalidInput(
                f"resolution: got bars of {length.interval}, expected a multiple of the replay's {view.length.interval}"
            )
        view.watchers += 1
        return _SeriesChannel(symbol, length, view, view.generation)

    def _open_live(self, symbol: ChartSymbol, length: BarLength) -> _SeriesChannel:
        if first_open(self._pool, symbol.exchange, symbol.symbol, BASE) is None:
            raise NotFound(f"symbol: got {str(symbol)!r}, expected one with stored bars")
        now = int(time.time() * 1000)
        stored = last_bars(self._pool, symbol.exchange, symbol.symbol, BASE, BASE, now, KEPT_BARS // 2)
        self._reader.live.watch(symbol.exchange, symbol.symbol, stored)
        self._reader.start()
        return _SeriesChannel(symbol, length, self._reader.live, 0)

    async def subscribe_run(self, client: SendQueue, run_id: str) -> None:
        """Push the run's fills, equity and figures from now on. Raises NotFound and Unavailable."""
        async with self._opening:
            channel = self._runs.get(run_id)
            if channel is None:
                row = await asyncio.to_thread(runs.run, self._pool, run_id)
                if row is None:
                    raise NotFound(f"run: got {run_id[:80]!r}, expected the id of a stored run")
                poller = await asyncio.to_thread(RunPoller, self._pool, row)
                channel = self._runs[run_id] = _RunChannel(poller)
        channel.clients.add(client)
        client.set_state(f"run {run_id}", channel.poller.summary())
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_runs())

    def unsubscribe_run(self, client: SendQueue, run_id: str) -> None:
        """Stop pushing the run to this client."""
        channel = self._runs.get(run_id)
        if channel is not None:
            channel.clients.discard(client)
            if not channel.clients:
                del self._runs[run_id]

    async def _poll_runs(self) -> None:
        while self._runs:
            for channel in [c for c in self._runs.values() if not c.poller.finished]:
                try:
                    messages = await asyncio.to_thread(channel.poller.poll)
                except Unavailable as error:
                    log.warning("polling a run failed", reason=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for client in channel.clients:
                    for message in messages:
                        if message["type"] == "run":
                            client.set_state(f"run {message['run']}", message)
                        else:
                            client.add_message(message)
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Stop polling."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)


def _is_ready(source: ReplayView | LiveBars) -> bool:
    return isinstance(source, LiveBars) or source.caught_up


def _queue_position(client: SendQueue, source: ReplayView | LiveBars) -> None:
    if isinstance(source, ReplayView):
        client.set_state(
            f"replay {source.uid}",
            {
                "type": "position",
                "replay": source.uid,
                "v": source.position,
                "epoch": str(source.epoch),
                "published": source.published,
                "ended": source.ended,
            },
        )
