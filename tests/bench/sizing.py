"""What a market needs: disk for each row and record, processor and memory of each kind of pod at a rate.

``sizing-store-bar`` and ``sizing-store-trade``: bytes of a row in Postgres with its indexes, of 500,000 that the deck's
recorder wrote. ``sizing-log-bar`` and ``sizing-log-trade``: bytes of a record on the broker's disk, in the batches of a
bulk load; ``sizing-log-trade-live``: in those of a live Feed at 2,000 trades a second.

``sizing-<part>-cpu-<rate>``: % of a core, over 20 s. ``sizing-<part>-memory-<rate>``: proportional set size at its end,
MB. The parts are of one deck. Rates are trades a second of a live Feed with 20 symbols, and for the gateway besides
100 WebSockets that follow their bars; of a Replay, bars a second. ``sizing-backtest-memory``: the most that a Backtest
of 500,000 bars has.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import psycopg
from confluent_kafka import Producer
from psycopg import sql

from bench import ingest
from bench.figures import Figure
from decks.process import Deck, apply, broker_of, phase, reaches, running_deck
from exchange import Exchange
from exchange.binance import Binance
from load import market, sockets
from tapedeck_common import topics
from tapedeck_common.market import Bar, Trade, series_key
from tapedeck_common.wire import encode, market_headers
from tapedeck_crds.json import Json
from tapedeck_deck.cli.top.processes import ProcessMeter, ProcessUse
from waits import eventually

ROWS = 500_000
TRADE_RATES = (200, 2_000)
BAR_RATES = (1_000, 10_000)
SOCKETS = 100
SETTLE_SECONDS, WINDOW_SECONDS = 5, 20
TIMEOUT = 180.0
SIZES = {"bars": topics.MARKET_BARS, "trades": topics.MARKET_TRADES}
STORED = {"store": {"exchange": "bench", "symbols": [f"S{n}/USD" for n in range(ingest.SYMBOLS)]}}


def run() -> list[Figure]:
    """The figures, of one deck."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-bench-") as name, running_deck(Path(name) / "deck") as deck:
        return [*_bulk(deck), *_live(deck), *_replays(deck), _backtest(deck)]


def _bulk(deck: Deck) -> Iterator[Figure]:
    home, facts, _ = deck
    producer = Producer({**broker_of(facts), "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5})
    for table, rows in (("bars", islice(ingest.bars(), ROWS)), ("trades", _trades())):
        for each in rows:
            _publish(producer, SIZES[table], each)
        producer.flush(60)
        with psycopg.connect((home.migrate / "store_dsn").read_text().strip(), autocommit=True) as connection:
            stored = _stored_bytes(connection, table)
        yield Figure(f"sizing-store-{table[:-1]}", stored / ROWS, "B")
        yield Figure(f"sizing-log-{table[:-1]}", _log_bytes(deck, table) / ROWS, "B")


def _publish(producer: Producer, topic: str, row: Bar | Trade) -> None:
    while True:
        try:
            producer.produce(
                topic, encode(row), series_key(row.exchange, row.symbol), headers=market_headers("backfill")
            )
            return
        except BufferError:
            producer.poll(0.1)


def _trades() -> Iterator[Trade]:
    """Seeded trades with prices, amounts and ids as an exchange has them."""
    rng, price = random.Random(7), 60_000.0
    for number in range(ROWS):
        price *= 1 + rng.gauss(0, 0.00002)
        amount, side = round(rng.expovariate(20) + 1e-5, 5), "buy" if rng.random() < 0.5 else "sell"
        yield Trade("bench", "BTC/USDT", number * 40, str(3_400_000_000 + number), round(price, 2), amount, side)  # type: ignore[arg-type]


def _live(deck: Deck) -> Iterator[Figure]:
    _, facts, objects = deck
    with Exchange(Binance(), market.markets(sockets.SYMBOLS), live=True) as exchange:
        endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
        symbols = [each.symbol for each in exchange.markets]
        spec = {
            "exchange": "binance",
            "symbols": symbols,
            "endpoints": endpoints,
            "intervals": [sockets.INTERVAL, "1m"],
        }
        apply(objects, "Feed", "live", spec)
        exchange.subscribed(channels=len(symbols), timeout=120)
        for rate in TRADE_RATES:
            before = _log_bytes(deck, "trades")
            live = market.LiveMarket(exchange, rate)
            live.start()
            try:
                with _followers(facts["gateway"]):
                    used = _used(deck)
            finally:
                live.stop()
            for part in ("feed", "recorder", "gateway", "broker", "database"):
                yield from _figures(used, part, rate)
            if rate == TRADE_RATES[-1]:
                time.sleep(SETTLE_SECONDS)
                sent = sum(each.trades for each in live.sent.values())
                yield Figure("sizing-log-trade-live", (_log_bytes(deck, "trades") - before) / sent, "B")
        objects.delete("Feed", "default", "live")


def _replays(deck: Deck) -> Iterator[Figure]:
    *_, objects = deck
    for rate in BAR_RATES:
        apply(objects, "Replay", "stored", {"source": STORED, "speed": rate * 60 / ingest.SYMBOLS})
        reaches(objects, "Replay", "stored", "Running", timeout=60)
        yield from _figures(_used(deck), "replay", rate)
        objects.delete("Replay", "default", "stored")
        eventually(lambda: not [each for each in objects.list("Pod") if "stored" in each["metadata"]["name"]], 60)


def _backtest(deck: Deck) -> Figure:
    home, facts, objects = deck
    apply(objects, "Backtest", "once", {"strategy": {"builtin": "sma-cross"}, "data": STORED})
    meter, most = ProcessMeter(int(facts["pid"])), 0
    deadline = time.monotonic() + TIMEOUT
    while phase(objects, "Backtest", "once") not in ("Complete", "Failed") and time.monotonic() < deadline:
        most = max([most, *(use.memory_bytes for use in meter.look(_pods(deck)) if use.name == "backtest")])
        time.sleep(0.2)
    if phase(objects, "Backtest", "once") != "Complete":
        raise RuntimeError(f"the Backtest in {home.root} did not complete")
    return Figure("sizing-backtest-memory", most / 1e6, "MB")


def _used(deck: Deck) -> dict[str, ProcessUse]:
    """What each part of the deck takes, over a window."""
    meter = ProcessMeter(int(deck[1]["pid"]))
    time.sleep(SETTLE_SECONDS)
    meter.look(_pods(deck))
    time.sleep(WINDOW_SECONDS)
    return {use.name: use for use in meter.look(_pods(deck))}


def _pods(deck: Deck) -> dict[int, str]:
    """The workloads of the running pods by pid."""
    pods: list[Json] = [pod for pod in deck[2].list("Pod") if "pid" in pod.get("status", {})]
    return {pod["status"]["pid"]: pod["spec"]["containers"][0]["name"] for pod in pods}


def _figures(used: dict[str, ProcessUse], part: str, rate: int) -> Iterator[Figure]:
    use = used[part]
    yield Figure(f"sizing-{part}-cpu-{rate}", 100 * (use.cpu_ratio or 0.0), "%")
    yield Figure(f"sizing-{part}-memory-{rate}", use.memory_bytes / 1e6, "MB")


def _log_bytes(deck: Deck, table: str) -> int:
    return sum(path.stat().st_size for path in deck[0].root.rglob(f"{SIZES[table]}-*/*.log"))


def _stored_bytes(connection: psycopg.Connection[tuple[object, ...]], table: str) -> int:
    """Bytes of a table and its indexes, as soon as it has every row."""
    name = sql.Identifier(table)

    def number(statement: sql.Composed) -> int:
        row = connection.execute(statement).fetchone()
        return int(str(row[0])) if row is not None else 0

    eventually(lambda: number(sql.SQL("SELECT count(*) FROM {}").format(name)) == ROWS, TIMEOUT)
    return number(sql.SQL("SELECT pg_total_relation_size({})").format(table))


@contextmanager
def _followers(gateway: str) -> Iterator[None]:
    command = [sys.executable, "-m", "load.sockets", gateway, str(SOCKETS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError("the WebSockets did not subscribe")
            yield
        finally:
            process.kill()
