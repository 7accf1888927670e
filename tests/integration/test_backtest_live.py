"""A Backtest over the live market's topic: stock's trades, whatever else is there, and the same after a kill."""

from __future__ import annotations

import random
import time
import uuid
from pathlib import Path

from confluent_kafka import Producer

from by_hand.backtrader import run_stock
from pods.backtest import Pod, check
from pods.runs import spec
from tapedeck import wire
from tapedeck.market import Bar, series_key
from tapedeck.settings import Connections
from tapedeck.topics import MARKET_BARS
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.base import format_ms
from tapedeck_operator.local.processes import wait_until

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
