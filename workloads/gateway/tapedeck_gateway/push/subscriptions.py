"""Who watches what, and the pushes to them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

import psycopg
from confluent_kafka import KafkaException
from psycopg_pool import PoolTimeout

from tapedeck_common.logs import log
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import Name, width_of
from tapedeck_gateway.push.outbox import Outbox
from tapedeck_gateway.push.run_watcher import RunWatch
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.bars import Pool, bars_back, first_open
from tapedeck_gateway.topics.live_bars import KEPT_BARS, MarketView
from tapedeck_gateway.topics.replay_view import ReplayView
from tapedeck_gateway.topics.topic_reader import Tail

PUBLISH_S = 0.05  # at least so long from one push to the next
POLL_S = 0.25
CATCH_UP_S = 15.0


@dataclass
class _Channel:
    """One chart's series at one resolution, and the sockets that show it."""

    name: Name
    width: int
    source: ReplayView | MarketView
    generation: int
    last: Candle | None = None
    outboxes: set[Outbox] = field(default_factory=set)

    @property
    def uid(self) -> str:
        return self.name.replay


@dataclass
class _Watched:
    watch: RunWatch
    outboxes: set[Outbox] = field(default_factory=set)


class Hub:
    """Lives in the event loop; what blocks it does in threads."""

    def __init__(self, pool: Pool, tail: Tail) -> None:
        self._pool = pool
        self._tail = tail
        self._loop = asyncio.get_running_loop()
        self._channels: dict[tuple[str, str], _Channel] = {}
        self._runs: dict[str, _Watched] = {}
        self._dirty: set[str] = set()
        self._published = 0.0
        self._poller: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    def changed(self, uids: set[str]) -> None:
        """Called by the reader's thread: replays by uid, the live market by the empty one."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the gateway ends
            self._loop.call_soon_threadsafe(self._mark, uids)

    def _mark(self, uids: set[str]) -> None:
        if not self._dirty:
            self._loop.call_at(max(self._loop.time(), self._published + PUBLISH_S), self._publish)
        self._dirty |= uids

    def _publish(self) -> None:
        self._published = self._loop.time()
        dirty, self._dirty = self._dirty, set()
        for uid in dirty:
            for key, channel in self._channels.items():
                if channel.uid == uid and _ready(channel.source):
                    self._push(key, channel)

    def _push(self, key: tuple[str, str], channel: _Channel) -> None:
        name, last = channel.name, channel.last
        generation, candles = channel.source.changed(
            name.exchange, name.symbol, channel.width, None if last is None else last.ts
        )
        if generation != channel.generation:
            channel.generation = generation
            for outbox in channel.outboxes:
                outbox.reset(key)
            _, candles = channel.source.changed(name.exchange, name.symbol, channel.width, None)
        fresh = [candle for candle in candles if candle != last]
        channel.last = candles[-1] if candles else None
        for outbox in channel.outboxes:
            if fresh:
                outbox.bars(key, fresh)
            _tell_position(outbox, channel.source)

    async def subscribe(self, outbox: Outbox, name: Name, resolution: str) -> None:
        """Push the series' bars from now on, beginning with the newest.

        Raises ValueError for a series that is not there, KafkaException or psycopg.Error where a service is away.
        """
        key = (str(name), resolution)
        width = width_of(resolution)
        async with self._opening:
            channel = self._channels.get(key)
            if channel is None:
                channel = await asyncio.to_thread(self._open, name, width)
                self._channels[key] = channel
                self._push(key, channel)
        channel.outboxes.add(outbox)
        _, newest = channel.source.changed(name.exchange, name.symbol, width, None)
        outbox.bars(key, newest)
        _tell_position(outbox, channel.source)

    def unsubscribe(self, outbox: Outbox, name: Name, resolution: str) -> None:
        """Push no more of the series."""
        key = (str(name), resolution)
        channel = self._channels.get(key)
        if channel is None or outbox not in channel.outboxes:
            return
        channel.outboxes.discard(outbox)
        outbox.forget(key)
        if not channel.outboxes:
            del self._channels[key]
            if isinstance(channel.source, ReplayView):
                channel.source.watchers -= 1
            else:
                channel.source.release(name.exchange, name.symbol)

    def _open(self, name: Name, width: int) -> _Channel:
        if name.replay:
            view = caught_up(self._tail, name)
            if width % view.interval_ms:
                raise ValueError(
                    f"resolution: got bars of {width // 1000} s, expected a multiple of the replay's "
                    f"{view.interval_ms // 1000} s"
                )
            view.watchers += 1
            return _Channel(name, width, view, view.generation)
        if first_open(self._pool, name.exchange, name.symbol, "1m") is None:
            raise ValueError(f"symbol: got {str(name)!r}, expected one that the store has bars of")
        self._tail.watch_market()
        now = int(time.time() * 1000)
        seed = bars_back(self._pool, name.exchange, name.symbol, "1m", INTERVAL_MS["1m"], now, KEPT_BARS // 2)
        self._tail.market.watch(name.exchange, name.symbol, seed)
        return _Channel(name, width, self._tail.market, 0)

    async def watch_run(self, outbox: Outbox, run_id: str) -> None:
        """Push the run's fills, equity and figures from now on. Raises ValueError for an unknown run."""
        async with self._opening:
            watched = self._runs.get(run_id)
            if watched is None:
                row = await asyncio.to_thread(runs.run, self._pool, run_id)
                if row is None:
                    raise ValueError(f"run: got {run_id[:80]!r}, expected the id of a run in the store")
                watched = self._runs[run_id] = _Watched(await asyncio.to_thread(RunWatch, self._pool, row))
        watched.outboxes.add(outbox)
        outbox.latest(f"run {run_id}", watched.watch.headline())
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())

    def leave_run(self, outbox: Outbox, run_id: str) -> None:
        """Push no more of the run."""
        watched = self._runs.get(run_id)
        if watched is not None:
            watched.outboxes.discard(outbox)
            if not watched.outboxes:
                del self._runs[run_id]

    async def _poll(self) -> None:
        while self._runs:
            for watched in [w for w in self._runs.values() if not w.watch.over]:
                try:
                    messages = await asyncio.to_thread(watched.watch.poll)
                except (psycopg.Error, PoolTimeout) as error:
                    log.warning("cannot read a run", reason=str(error))
                    await asyncio.sleep(1)
                    continue
                for outbox in watched.outboxes:
                    for message in messages:
                        if message["type"] == "run":
                            outbox.latest(f"run {message['run']}", message)
                        else:
                            outbox.message(message)
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Stop polling."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)


def caught_up(tail: Tail, name: Name) -> ReplayView:
    """The view of the name's replay, read up to the topic's present end.

    Raises ValueError where there is no such replay or series, KafkaException where the broker is away.
    """
    try:
        view = tail.replay(name.replay)
    except KeyError:
        raise ValueError(f"symbol: got replay {name.replay!r}, expected the uid of a replay that has a topic") from None
    if not view.wait_caught_up(CATCH_UP_S):
        raise KafkaException(f"the replay's topic could not be read within {CATCH_UP_S:.0f} s")
    if view.start is not None and (name.exchange != view.start.exchange or name.symbol not in view.start.symbols):
        raise ValueError(f"symbol: got {name.exchange}:{name.symbol}, expected one of the replay's")
    return view


def _ready(source: ReplayView | MarketView) -> bool:
    return isinstance(source, MarketView) or source.caught_up


def _tell_position(outbox: Outbox, source: ReplayView | MarketView) -> None:
    if isinstance(source, ReplayView):
        outbox.latest(
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
