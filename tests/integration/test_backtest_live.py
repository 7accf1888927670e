"""A Backtest over the live market's topic trades like stock Backtrader, ignores other records, and survives a kill."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace

from by_hand.backtrader import run_stock
from pods.backtest import MINUTE, BacktestPod, read_records
from pods.runs import T0, random_walk, spec
from pods.store import insert_bars
from tapedeck_backtest.sources.live_stream import LiveStream
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common import wire
from tapedeck_common.market import Bar, order_key, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import Unavailable
from tapedeck_deck.embedded.processes import wait_until

SECOND = 1_000


def publish(producer: Producer, bar: Bar, delay: int = 200, headers: wire.Headers | None = None) -> None:
    """Publish the bar with a record timestamp ``delay`` ms after its close."""
    close = bar.ts + SECOND
    headers = headers or wire.market_headers("live")
    producer.produce(
        MARKET_BARS, wire.encode(bar), series_key(bar.exchange, bar.symbol), headers=headers, timestamp=close + delay
    )


def test_paper_trades_equal_stock_backtrader_after_a_kill(connections: Connections, tmp_path: Path) -> None:
    exchange, rng, price = f"live{uuid.uuid4().hex[:8]}", random.Random(3), 100.0
    since = (time.time_ns() // 1_000_000_000 - 200) * SECOND
    producer = Producer({"bootstrap.servers": connections.kafka_bootstrap})
    series: dict[str, list[Bar]] = {"A": [], "B": []}
    for i in range(-20, 190):
        for symbol in series:
            opened, price = price, price * (1 + rng.gauss(0, 0.003))
            top, low = max(opened, price) + 0.1, min(opened, price) - 0.1
            bar = Bar(exchange, symbol, "1s", since + i * SECOND, opened, top, low, price, 1.0)
            if symbol == "B" and i % 7 == 0:
                publish(producer, bar, 5_001)  # beyond the grace period
                continue
            publish(producer, bar)
            publish(producer, Bar(exchange, symbol, "1s", bar.ts, 1.0, 1.0, 1.0, 1.0, 1.0, rev=1))  # a correction
            publish(producer, Bar(exchange, symbol, "1m", bar.ts, 1.0, 1.0, 1.0, 1.0, 1.0))
            publish(producer, bar, headers=wire.replay_headers("r", wire.Epoch()))
            if 0 <= i < 180:
                series[symbol].append(bar)
    assert producer.flush(60) == 0
    data = {"feed": {"name": "f", "symbols": ["A", "B"], "interval": "1s", "until": format_ms(since + 180 * SECOND)}}
    pod = BacktestPod(connections, tmp_path, spec(data), feed_exchange=exchange, since=format_ms(since))
    pod.start()
    try:
        assert wait_until(lambda: len(read_records(connections, pod.uid).equity) > 0, timeout=30)
    finally:
        pod.kill()
    assert pod.run() == 0, pod.log.read_text()
    checked = read_records(connections, pod.uid)
    stock = run_stock(
        BUILTINS["sma-cross"], series, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=5, slow=20
    )
    assert checked.ended["once"]["state"] == "complete"
    assert len(checked.fills) == len(stock.fills) > 5
    assert [value for _, value, _ in checked.equity.values()] == [value for _, value in stock.equity]


# Long while the average of seconds is above that of minutes, for two symbols.
MODULE = """
import backtrader as bt
class Mine(bt.Strategy):
    def __init__(self):
        self.means = [bt.ind.SMA(self.getdatabyname(f'{name}@1m').close, period=2) for name in 'AB']
        self.averages = [bt.ind.EMA(data, period=3) for data in self.datas[:2]]
    def next(self):
        for data, mean, average in zip(self.datas, self.means, self.averages):
            if average[0] > mean[0] and not self.getposition(data):
                self.buy(data, size=1)
            elif average[0] < mean[0] and self.getposition(data):
                self.sell(data, size=1)
"""


def test_paper_run_with_warm_up_and_intervals_equals_a_stored_range(connections: Connections, tmp_path: Path) -> None:
    exchange, seconds, history = f"live{uuid.uuid4().hex[:8]}", 900, 150
    since = (time.time_ns() // 1_000_000_000 - seconds - 10) * SECOND
    walks = {"A": random_walk("A", 1, history + seconds, missing=0.1), "B": random_walk("B", 2, history + seconds)}
    producer = Producer({"bootstrap.servers": connections.kafka_bootstrap})
    every = [
        replace(bar, exchange=exchange, interval="1s", ts=since + ((bar.ts - T0) // MINUTE - history) * SECOND)
        for bars in walks.values()
        for bar in bars
    ]
    for bar in sorted(every, key=order_key):
        if bar.ts >= since:
            publish(producer, bar)
    assert producer.flush(60) == 0
    insert_bars(connections.store_dsn.get_secret_value(), every)
    until = format_ms(since + seconds * SECOND)
    paper = {"feed": {"name": "f", "symbols": ["A", "B"], "interval": "1s", "until": until}}
    ranged = {
        "store": {"exchange": exchange, "symbols": ["A", "B"], "interval": "1s", "from": format_ms(since), "to": until}
    }
    results = []
    for name, data in (("paper", paper), ("range", ranged)):
        body = spec(data | {"intervals": ["1m"], "warmupBars": 120}, module="mine:Mine")
        pod = BacktestPod(connections, tmp_path / name, body, feed_exchange=exchange, since=format_ms(since))
        pod.folder.mkdir()
        (pod.folder / "mine.py").write_text(MODULE)
        assert pod.run() == 0, pod.log.read_text()
        checked = read_records(connections, pod.uid)
        assert checked.equity[0][0] == since + SECOND
        fills = [{**fill, "run_id": ""} for fill in checked.fills.values()]
        results.append((fills, checked.equity, checked.ended["once"]["metrics"]))
    assert results[0] == results[1]
    assert {fill["symbol"] for fill in results[0][0]} == {"A", "B"}
    assert len(results[0][0]) > 10


def test_bar_that_arrives_between_offset_lookup_and_assignment_is_traded(connections: Connections) -> None:
    exchange, since = f"live{uuid.uuid4().hex[:8]}", (time.time_ns() // 1_000_000_000 + 30) * SECOND
    bars = [Bar(exchange, "A", "1s", since + n * SECOND, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(2)]
    producer = Producer({"bootstrap.servers": connections.kafka_bootstrap})
    stream = LiveStream(connections, exchange, ["A"], "1s", since, None, lambda: None)

    def publish_now(bar: Bar) -> None:
        publish(producer, bar)
        assert producer.flush(60) == 0

    stream._consumer = ConsumerWithArrival(stream._consumer, lambda: publish_now(bars[0]))  # type: ignore[assignment]
    assert wait_until(lambda: opened(stream), timeout=30)  # a broker that has just started leads no partition yet
    publish_now(bars[1])
    steps = chain.from_iterable(stream.blocks())
    assert [next(steps), next(steps)] == [(bar.ts + SECOND, [(0, bar)]) for bar in bars]
    stream.close()


def opened(stream: LiveStream) -> bool:
    try:
        stream.open()
    except Unavailable:
        return False
    return True


class ConsumerWithArrival:
    """A real consumer; a record arrives just before partitions are assigned to it."""

    def __init__(self, real: Consumer, before_assign: Callable[[], None]) -> None:
        self._real, self._before_assign = real, before_assign

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._before_assign()
        self._real.assign(partitions)
