"""A Backtest over the live market's topic: stock's trades, whatever else is there, and the same after a kill."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace

from by_hand.backtrader import run_stock
from pods.backtest import MINUTE, Pod, check
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


def send(producer: Producer, bar: Bar, delay: int = 200, headers: wire.Headers | None = None) -> None:
    """Put the bar on the log as if ``delay`` ms after its end."""
    end = bar.ts + SECOND
    headers = headers or wire.market_headers("live")
    producer.produce(
        MARKET_BARS, wire.encode(bar), series_key(bar.exchange, bar.symbol), headers=headers, timestamp=end + delay
    )


def test_paper_trades_are_stock_s_and_the_same_after_a_kill(connections: Connections, tmp_path: Path) -> None:
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
                send(producer, bar, 5_001)  # too late, always
                continue
            send(producer, bar)
            send(producer, Bar(exchange, symbol, "1s", bar.ts, 1.0, 1.0, 1.0, 1.0, 1.0, rev=1))  # a correction
            send(producer, Bar(exchange, symbol, "1m", bar.ts, 1.0, 1.0, 1.0, 1.0, 1.0))
            send(producer, bar, headers=wire.replay_headers("r", wire.Epoch()))
            if 0 <= i < 180:
                series[symbol].append(bar)
    assert producer.flush(10) == 0
    data = {"feed": {"name": "f", "symbols": ["A", "B"], "interval": "1s", "until": format_ms(since + 180 * SECOND)}}
    pod = Pod(connections, tmp_path, spec(data), feed_exchange=exchange, since=format_ms(since))
    pod.start()
    try:
        assert wait_until(lambda: len(check(connections, pod.uid).equity) > 0, timeout=30)
    finally:
        pod.kill()
    assert pod.run() == 0, pod.log.read_text()
    checked = check(connections, pod.uid)
    stock = run_stock(
        BUILTINS["sma-cross"], series, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=5, slow=20
    )
    assert checked.ended["once"]["state"] == "complete"
    assert len(checked.fills) == len(stock.fills) > 5
    assert [value for _, value, _ in checked.equity.values()] == [value for _, value in stock.equity]


# Long while its average is above that of its minutes: two symbols, each with two intervals.
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


def test_several_symbols_and_intervals_behind_a_history_are_traded_as_a_range_is(
    connections: Connections, tmp_path: Path
) -> None:
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
            send(producer, bar)
    assert producer.flush(10) == 0
    insert_bars(connections.store_dsn.get_secret_value(), every)
    until = format_ms(since + seconds * SECOND)
    paper = {"feed": {"name": "f", "symbols": ["A", "B"], "interval": "1s", "until": until}}
    ranged = {
        "store": {"exchange": exchange, "symbols": ["A", "B"], "interval": "1s", "from": format_ms(since), "to": until}
    }
    found = []
    for name, data in (("paper", paper), ("range", ranged)):
        wanted = spec(data | {"intervals": ["1m"], "warmupBars": 120}, module="mine:Mine")
        pod = Pod(connections, tmp_path / name, wanted, feed_exchange=exchange, since=format_ms(since))
        pod.folder.mkdir()
        (pod.folder / "mine.py").write_text(MODULE)
        assert pod.run() == 0, pod.log.read_text()
        checked = check(connections, pod.uid)
        assert checked.equity[0][0] == since + SECOND
        fills = [{**fill, "run_id": ""} for fill in checked.fills.values()]
        found.append((fills, checked.equity, checked.ended["once"]["metrics"]))
    assert found[0] == found[1]
    assert {fill["symbol"] for fill in found[0][0]} == {"A", "B"}
    assert len(found[0][0]) > 10


def test_a_bar_that_comes_while_the_log_is_asked_for_its_ends_is_traded(connections: Connections) -> None:
    exchange, since = f"live{uuid.uuid4().hex[:8]}", (time.time_ns() // 1_000_000_000 + 30) * SECOND
    bars = [Bar(exchange, "A", "1s", since + n * SECOND, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(2)]
    producer = Producer({"bootstrap.servers": connections.kafka_bootstrap})
    stream = LiveStream(connections, exchange, ["A"], "1s", since, None, lambda: None)

    def come(bar: Bar) -> None:
        send(producer, bar)
        assert producer.flush(10) == 0

    stream._consumer = Busy(stream._consumer, lambda: come(bars[0]))  # type: ignore[assignment]
    assert wait_until(lambda: opened(stream), timeout=30)  # a broker that has just begun leads nothing yet
    come(bars[1])
    steps = stream.steps()
    assert [next(steps), next(steps)] == [(bar.ts + SECOND, [(0, bar)]) for bar in bars]
    stream.close()


def opened(stream: LiveStream) -> bool:
    try:
        stream.open()
    except Unavailable:
        return False
    return True


class Busy:
    """A real consumer of a market that does not wait: something comes before partitions are assigned to it."""

    def __init__(self, real: Consumer, meanwhile: Callable[[], None]) -> None:
        self._real, self._meanwhile = real, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def assign(self, places: list[TopicPartition]) -> None:
        self._meanwhile()
        self._real.assign(places)
