"""A live Feed's pod against a loop of ccxt alone, both with the recorded trades of a local exchange."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.figures import Figure, against, alternate
from exchange import Exchange, Market, Tick, recorded
from exchange.binance import Binance
from pods.feed import FeedPod
from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port

TRADES = int(os.environ.get("TAPEDECK_BENCH_TRADES", "60000"))
RUNS = int(os.environ.get("TAPEDECK_BENCH_RUNS", "3"))
SECONDS = float(os.environ.get("TAPEDECK_BENCH_SECONDS", "600"))
BATCH_SECONDS = 0.005  # seconds of trades that are sent at once, at a steady rate
BARE = """
import asyncio, importlib, sys, time
async def main(rest, websocket, count):
    options = {"fetchMarkets": {"types": ["spot"]}, "tradesLimit": 100000}
    api = importlib.import_module("ccxt.pro.binance").binance({"options": options})
    api.urls["api"]["public"] = rest + "/api/v3"
    api.urls["api"]["ws"]["spot"] = websocket + "/ws"
    seen, began = 0, None
    while seen < count:
        seen += len(await api.watch_trades("BTC/USDT"))
        began = began or time.perf_counter()
    print(seen / (time.perf_counter() - began))
    await api.close()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def run() -> Iterator[Figure]:
    """feed-throughput, feed-latency-p99, feed-memory-growth."""
    with tempfile.TemporaryDirectory() as folder, _broker(Path(folder)) as bootstrap:
        values, references = alternate(lambda: _feed_throughput(bootstrap, Path(folder)), _ccxt_throughput, RUNS)
        yield against("feed-throughput", values, references, "msg/s")
        latency, growth = _at_steady_rate(bootstrap, Path(folder), statistics.median(values) / 2)
        yield Figure("feed-latency-p99", latency * 1000, "ms")
        yield Figure("feed-memory-growth", growth, "MB")


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    broker = KafkaBroker(folder / "kafka", free_port())
    try:
        broker.launch()
        broker.wait_ready()
        client = admin(Connections(kafka_bootstrap=broker.bootstrap), "bench")
        ensure_topics(client, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)
        yield broker.bootstrap
    finally:
        broker.stop()


_sent = itertools.count()  # numbers of trades that pods received: the next pod continues after them


def _market(count: int, numbers: Iterator[int]) -> Market:
    """``count`` trades: the recording repeated, with ids and times that follow the numbers."""
    source = recorded()[0].ticks
    ticks = [
        Tick(source[0].id + n, source[0].ts + n * 30, one.price, one.amount, one.buyer_maker)
        for n in itertools.islice(numbers, count)
        for one in (source[n % len(source)],)
    ]
    return Market("BTC", "USDT", ticks)


def _ccxt_throughput() -> float:
    with Exchange(Binance(), [_market(TRADES, itertools.count())]) as exchange:
        command = [sys.executable, "-c", BARE, exchange.rest, exchange.websocket, str(TRADES)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        exchange.subscribed()
        exchange.play(chunk=200, timeout=300)
        output, _ = process.communicate(timeout=300)
        return float(output)


def _pod(bootstrap: str, folder: Path, exchange: Exchange) -> FeedPod:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    spec = {"exchange": "binance", "symbols": ["BTC/USDT"], "endpoints": endpoints, "channels": ["trades"]}
    pod = FeedPod(bootstrap, Path(tempfile.mkdtemp(dir=folder)), folder, spec, {"apiKey": exchange.key})
    pod.start()
    exchange.subscribed()
    return pod


def _feed_throughput(bootstrap: str, folder: Path) -> float:
    with Exchange(Binance(), [_market(TRADES, _sent)]) as exchange:
        pod = _pod(bootstrap, folder, exchange)
        try:
            before = pod.status()["trades"]
            began = time.perf_counter()
            exchange.play(chunk=200, timeout=300)
            while (seen := pod.status()["trades"] - before) < TRADES and time.perf_counter() - began < 300:
                time.sleep(0.1)  # each request takes time from the pod
            return float(seen) / (time.perf_counter() - began)
        finally:
            pod.stop()


def _at_steady_rate(bootstrap: str, folder: Path, rate: float) -> tuple[float, float]:
    """(p99 of receipt to acknowledgement in seconds, growth of resident memory in MB) at a steady rate."""
    with Exchange(Binance(), [_market(int(rate * SECONDS), _sent)]) as exchange:
        pod = _pod(bootstrap, folder, exchange)
        try:
            assert pod.process is not None
            memory = psutil.Process(pod.process.pid).memory_info
            chunk = max(1, int(rate * BATCH_SECONDS))
            exchange.play(int(rate * SECONDS / 10), chunk=chunk, rate=rate, timeout=SECONDS)
            first = memory().rss
            exchange.play(chunk=chunk, rate=rate, timeout=SECONDS * 2)
            growth = (memory().rss - first) / 1e6
            return _p99(pod.get("/metrics")), growth
        finally:
            pod.stop()


def _p99(metrics: str) -> float:
    """The upper bound of the bucket that holds the 99th percentile."""
    lines = [line for line in metrics.splitlines() if line.startswith("tapedeck_feed_publish_latency_seconds_bucket")]
    buckets = [(line.split('le="')[1].split('"')[0], float(line.rsplit(" ", 1)[1])) for line in lines]
    total = buckets[-1][1]
    return next(float(bound) for bound, count in buckets if count >= 0.99 * total)


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure.__dict__))
