"""A backfill's pod, from the exchange to the log, against a loop of ccxt alone over the same pages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, against, alternate
from exchange import Exchange
from exchange.binance import Binance
from exchange.candles import MINUTE, CandleMarket
from pods.feed import FeedPod
from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_crds.base import format_ms
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import Postgres

BARS = int(os.environ.get("TAPEDECK_BENCH_BARS", "500000"))
RUNS = int(os.environ.get("TAPEDECK_BENCH_RUNS", "3"))
END = 1_735_689_600_000
BARE = """
import asyncio, importlib, sys, time
async def main(rest, start, end):
    options = {"fetchMarkets": {"types": ["spot"]}}
    api = importlib.import_module("ccxt.async_support.binance").binance({"options": options})
    api.urls["api"]["public"] = rest + "/api/v3"
    await api.load_markets()
    seen, at, began = 0, start, time.perf_counter()
    while at < end:
        rows = await api.fetch_ohlcv("BTC/USDT", "1m", at, 1000)
        seen, at = seen + len(rows), rows[-1][0] + 60_000
    print(seen / (time.perf_counter() - began))
    await api.close()
asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def run() -> Iterator[Figure]:
    """feed-backfill: bars/s of one pod within ccxt's rate limit, 50 pages of 1,000 bars a second."""
    start = END - BARS * MINUTE
    market = CandleMarket("BTC", "USDT", [], first=start)
    with (
        tempfile.TemporaryDirectory() as folder,
        _services(Path(folder)) as (bootstrap, store),
        Exchange(Binance(), [market], clock_offset=END + MINUTE) as exchange,
    ):
        values, references = alternate(
            lambda: _backfill_rate(bootstrap, store, Path(folder), exchange, start),
            lambda: _ccxt_rate(exchange, start),
            RUNS,
        )
        yield against("feed-backfill", values, references, "bars/s")


@contextmanager
def _services(folder: Path) -> Iterator[tuple[str, str]]:
    """Broker and an empty store without a recorder, so that every run downloads all bars."""
    broker, postgres = KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres")
    folder.chmod(0o755)
    try:
        broker.launch()
        postgres.start()
        broker.wait_ready()
        client = admin(Connections(kafka_bootstrap=broker.bootstrap), "bench")
        ensure_topics(client, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)
        upgrade_schema(postgres.dsn())
        yield broker.bootstrap, postgres.dsn()
    finally:
        broker.stop()
        postgres.stop()


def _ccxt_rate(exchange: Exchange, start: int) -> float:
    command = [sys.executable, "-c", BARE, exchange.rest, str(start), str(END)]
    return float(subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout)


def _backfill_rate(bootstrap: str, store: str, folder: Path, exchange: Exchange, start: int) -> float:
    past = {"from": format_ms(start), "to": format_ms(END), "only": True}
    spec = {"exchange": "binance", "symbols": ["BTC/USDT"], "endpoints": {"rest": exchange.rest}, "backfill": past}
    pod = FeedPod(
        bootstrap, Path(tempfile.mkdtemp(dir=folder)), folder, spec, store=store, until=int(time.time() * 1000)
    )
    pod.start()
    assert pod.wait(300) == 0, pod.log_tail()
    report = pod.last_report()["backfill"]
    assert report["rows"] == BARS, report
    return float(report["rate"])
