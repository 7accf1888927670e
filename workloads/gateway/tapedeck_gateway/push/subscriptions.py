"""Subscriptions of all WebSockets, and pushing changes to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from tapedeck_common.logs import log
from tapedeck_crds.errors import NotFound, Unavailable
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.resolutions import resolution_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.bar_sources import open_market_bars, open_replay_bars
from tapedeck_gateway.push.channels import SeriesChannel
from tapedeck_gateway.push.push_schedule import PushSchedule
from tapedeck_gateway.push.run_poller import RunPoller
from tapedeck_gateway.push.send_queue import SendQueue, SubscriptionKey
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader

POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0


@dataclass
class _RunChannel:
    poller: RunPoller
    clients: set[SendQueue] = field(default_factory=set)


class Subscriptions:
    """Runs in the event loop; blocking calls run in threads."""

    def __init__(self, pool: Pool, reader: TopicReader, replays: ReplayList) -> None:
        self._pool = pool
        self._reader = reader
        self._limits = {future: FutureLimits(replays, reader, future) for future in (False, True)}
        self._schedule = PushSchedule(self._push_changed)
        self._series: dict[tuple[SubscriptionKey, bool], SeriesChannel] = {}
        self._runs: dict[tuple[str, bool], _RunChannel] = {}
        self._polling: asyncio.Task[None] | None = None
        self._opening: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()

    def on_change(self, changed: set[str]) -> None:
        """Push changes of these replays, and of the live market for LIVE. Called in the topic reader's thread."""
        self._schedule.on_change(changed)

    def _push_changed(self, changed: set[str]) -> None:
        for (key, _), channel in self._series.items():
            if channel.changed_by in changed and channel.ready:
                self._push(key, channel)

    def _push(self, key: SubscriptionKey, channel: SeriesChannel) -> None:
        """Queue the bars that changed since the last push, after a reset if the replay jumped."""
        last = channel.last
        generation, candles = channel.source.bars_since(0 if last is None else last.ts)  # several may be the first
        if generation != channel.generation:
            channel.generation = generation
            for client in channel.clients:
                client.add_reset(key)
            channel.last = None
            _, candles = channel.source.bars_since(None)
        changed = [candle for candle in candles if candle != last]
        if candles:  # without any, the next push continues from the last one
            channel.last = candles[-1]
        if channel.source.must_refresh:
            self._start_polling()
        for client in channel.clients:
            if changed:
                client.add_bars(key, changed)
            channel.queue_position(client)

    async def subscribe(self, client: SendQueue, symbol: ChartSymbol, resolution: str, future: bool) -> None:
        """Push the series' bars from now on, starting with the newest.

        Raises InvalidInput for a resolution that the series does not have, NotFound for an unknown series, Unavailable
        where broker or database does not answer.
        """
        key = (str(symbol), resolution)
        length = resolution_length(resolution)
        async with self._opening.setdefault((key, future), asyncio.Lock()):
            channel = self._series.get((key, future))
            if channel is None:
                channel = await asyncio.to_thread(self._open, symbol, length, self._limits[future])
                channel.keep_open()
                self._series[key, future] = channel
                self._push(key, channel)
        channel.clients.add(client)
        _, newest = channel.source.bars_since(None)
        client.add_bars(key, newest)
        channel.queue_position(client)
        self._start_polling()

    def unsubscribe(self, client: SendQueue, symbol: ChartSymbol, resolution: str, future: bool) -> None:
        """Stop pushing the series to this client."""
        key = (str(symbol), resolution)
        channel = self._series.get((key, future))
        if channel is None or client not in channel.clients:
            return
        channel.clients.discard(client)
        client.discard(key)
        if not channel.clients:
            del self._series[key, future]
            channel.close()

    def _open(self, symbol: ChartSymbol, length: BarLength, limits: FutureLimits) -> SeriesChannel:
        return self._open_replay(symbol, length) if symbol.replay else self._open_live(symbol, length, limits)

    def _open_replay(self, symbol: ChartSymbol, length: BarLength) -> SeriesChannel:
        source = open_replay_bars(self._pool, self._reader, symbol, length)
        return SeriesChannel(source, source.view.generation)

    def _open_live(self, symbol: ChartSymbol, length: BarLength, limits: FutureLimits) -> SeriesChannel:
        return SeriesChannel(open_market_bars(self._pool, self._reader, symbol, length, limits))

    async def subscribe_run(self, client: SendQueue, run_id: str, future: bool) -> None:
        """Push the run's fills, equity and figures from now on. Raises NotFound and Unavailable."""
        async with self._opening.setdefault((run_id, future), asyncio.Lock()):
            channel = self._runs.get((run_id, future))
            if channel is None:
                row = await asyncio.to_thread(runs.run, self._pool, run_id)
                if row is None:
                    raise NotFound(f"run: got {run_id[:80]!r}, expected the id of a stored run")
                poller = await asyncio.to_thread(RunPoller, self._pool, row, self._limits[future])
                channel = self._runs[run_id, future] = _RunChannel(poller)
        channel.clients.add(client)
        client.set_state(f"run {run_id}", channel.poller.summary())
        self._start_polling()

    def unsubscribe_run(self, client: SendQueue, run_id: str, future: bool) -> None:
        """Stop pushing the run to this client."""
        channel = self._runs.get((run_id, future))
        if channel is not None:
            channel.clients.discard(client)
            if not channel.clients:
                del self._runs[run_id, future]

    def _start_polling(self) -> None:
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        """Poll what no topic tells of: results of runs, limits of markets that a replay records, parts of bars."""
        while self._runs or self._stale():
            for run in list(self._runs.values()):
                await self._or_pause(self._poll_run(run))
            for key, channel in self._stale():
                await self._or_pause(self._refresh(key, channel))
            await asyncio.sleep(POLL_SECONDS)

    @staticmethod
    async def _or_pause(poll: Awaitable[None]) -> None:
        try:
            await poll
        except Unavailable as error:
            log.warning("polling a run or a replay's position failed", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    @staticmethod
    async def _poll_run(channel: _RunChannel) -> None:
        messages = await asyncio.to_thread(channel.poller.poll)
        for client in channel.clients:
            for message in messages:
                if message["type"] == "run":
                    client.set_state(f"run {message['run']}", message)
                else:
                    client.add_message(message)

    async def _refresh(self, key: SubscriptionKey, channel: SeriesChannel) -> None:
        if await asyncio.to_thread(channel.source.refresh):
            self._push(key, channel)

    def _stale(self) -> list[tuple[SubscriptionKey, SeriesChannel]]:
        """The channels whose source the database or a replay's position may change."""
        return [(key, channel) for (key, _), channel in self._series.items() if channel.source.must_refresh]

    async def close(self) -> None:
        """Stop polling."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
