"""A real gateway process, and writers of the bars, replays and runs that it reads."""

from __future__ import annotations

import json
import math
import os
import random
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import psycopg
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common.kafka import admin, producer, transactional_producer
from tapedeck_common.market import Bar, Point, Trade, event_time, order_key, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import points_topic, replay_topic, shard_of
from tapedeck_common.wire import (
    ClockState,
    Epoch,
    EpochStart,
    ReplayEnd,
    ReplayStart,
    Watermark,
    encode,
    replay_headers,
)
from tapedeck_deck.embedded import forkserver, processes
from waits import eventually

MINUTE = 60_000
READ_COMMITTED, READ_UNCOMMITTED = IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    port: int
    log: Path
    pid: int
    tls: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.tls is None else f"https://localhost:{self.port}"

    @property
    def authority(self) -> ssl.SSLContext | None:
        """What a client of a gateway with HTTPS trusts."""
        return None if self.tls is None else ssl.create_default_context(cafile=self.tls / "ca.crt")

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        """(HTTP status, decoded JSON or text)."""
        encoded = urllib.parse.urlencode({name.rstrip("_"): value for name, value in query.items()}, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{encoded}", timeout=60, context=self.authority) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error.read())

    def stored_tickers(self, **query: object) -> list[str]:
        """The tickers that a search finds in the store; the broker also has replays of other tests."""
        found = [each["ticker"] for each in self.get("/search", **query)[1]]
        return [ticker for ticker in found if not ticker.startswith("replay/")]

    def open_connections(self) -> int:
        """The connections that it counts, without that of this request."""
        lines = str(self.get("/metrics")[1]).splitlines()
        name = "tapedeck_gateway_connections "
        return int(float(next(line.removeprefix(name) for line in lines if line.startswith(name)))) - 1


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


@contextmanager
def running_gateway(
    folder: Path,
    connections: Connections,
    spec: str = "{}",
    port: int = 0,
    *,
    tokens: dict[str, str] | None = None,
    tls: Path | None = None,
) -> Iterator[Gateway]:
    """Run ``python -m tapedeck_gateway``, on a free port unless one is given.

    ``tokens`` are files by name, ``tls`` is the folder of a certificate of an authority in ``ca.crt``.
    """
    files = folder / "connections"
    files.mkdir()
    (files / "kafka_bootstrap").write_text(connections.kafka_bootstrap)
    (files / "store_dsn").write_text(connections.store_dsn.get_secret_value())
    port_file, log = folder / "port", folder / "gateway.log"
    env = {
        **os.environ,
        "TAPEDECK_HTTP_PORT": str(port),
        "TAPEDECK_PORT_FILE": str(port_file),
        "TAPEDECK_CONNECTIONS": str(files),
        "TAPEDECK_SPEC": spec,
        "TAPEDECK_TERMINATION_LOG": str(folder / "left"),
    }
    if tokens is not None:
        env["TAPEDECK_TOKENS"] = str(folder / "tokens")
        (folder / "tokens").mkdir()
        for name, token in tokens.items():
            (folder / "tokens" / name).write_text(token)
    if tls is not None:
        env["TAPEDECK_TLS"] = str(tls)
    process = forkserver.start("tapedeck_gateway", log=log, env=env)
    try:
        assert processes.wait_until(lambda: port_file.exists() or process.poll() is not None, timeout=60)
        assert process.poll() is None, processes.tail(log)
        gateway = Gateway(int(port_file.read_text()), log, process.pid, tls)
        assert processes.wait_until(lambda: gateway.get("/readyz")[0] == 200, timeout=60), processes.tail(log)
        yield gateway
    finally:
        code = processes.stop(process, grace=8)
        print(processes.tail(log, 60))  # pytest shows it where the test fails
    assert code == 0, processes.tail(log)


def walk(
    seed: int, count: int, start: int, *, exchange: str = "coinbase", symbol: str = "BTC/USD", gaps: float = 0.0
) -> list[Bar]:
    """A random walk of one-minute bars around 7,000; ``gaps`` is the share of bars left out."""
    rng = random.Random(seed)
    price, bars = 7_000.0, []
    for i in range(count):
        opened = price
        steps = [price := price * math.exp(rng.gauss(0, 0.0006)) for _ in range(4)]
        if rng.random() >= gaps:
            high, low = max(opened, *steps), min(opened, *steps)
            volume = round(rng.lognormvariate(0.5, 1.0), 4)
            first, top, bottom, last = (round(p, 2) for p in (opened, high, low, price))
            bars.append(Bar(exchange, symbol, "1m", start + i * MINUTE, first, top, bottom, last, volume))
        price = round(price, 2)
    return bars


def insert_bars(dsn: str, bars: list[Bar]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO bars VALUES (%s,%s,%s,to_timestamp(%s/1000.0),%s,%s,%s,%s,%s,%s,'backfill')",
            [(b.exchange, b.symbol, b.interval, b.ts, b.open, b.high, b.low, b.close, b.volume, b.rev) for b in bars],
        )
        connection.execute(
            """INSERT INTO bar_series SELECT exchange, symbol, interval, min(ts), max(ts) FROM bars GROUP BY 1, 2, 3
            ON CONFLICT (exchange, symbol, interval)
            DO UPDATE SET first_ts = EXCLUDED.first_ts, last_ts = EXCLUDED.last_ts"""
        )


def _ends(client: AdminClient, places: list[TopicPartition], level: IsolationLevel) -> list[int]:
    asked = {place: OffsetSpec.latest() for place in places}  # type: ignore[no-untyped-call]
    return [future.result(60).offset for future in client.list_offsets(asked, isolation_level=level).values()]


STORE_SPEC = {"source": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}}
FILE_SPEC = {"source": {"files": {"exchange": "coinbase", "sets": []}}}


@dataclass
class ReplayTopic:
    """Writes a replay's topic by the wire protocol, one transaction per call."""

    connections: Connections
    symbols: list[str] = field(default_factory=lambda: ["BTC/USD"])
    shards: int = 1
    spec: dict[str, Any] = field(default_factory=lambda: STORE_SPEC)
    name: str = "tape"
    interval: str = "1m"
    range_from: int = 0
    range_to: int = 0
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch: Epoch = field(default_factory=Epoch)
    published: int = 0
    clock: ClockState | None = None
    channel: Literal["bars", "trades"] = "bars"

    def __post_init__(self) -> None:
        self._admin = admin(self.connections, "tests")
        ensure_topics(self._admin, [replay_topic(self.uid)], self.shards)
        self._producer: Producer = transactional_producer(self.connections, f"tests-{self.uid}")
        self._producer.init_transactions(20)
        start = ReplayStart(
            self.uid, self.name, "default", msgspec.Raw(json.dumps(self.spec).encode()), "coinbase", self.symbols,
            self.interval, self.range_from, self.range_to, dict.fromkeys(self.symbols, 1_000), "x",
            channel=self.channel,
        )  # fmt: skip
        self._producer.begin_transaction()
        self._control(start)
        self._commit()

    def play(self, bars: list[Bar], watermark: int | None = None, *, commit: bool = True) -> None:
        """Publish bars and a watermark, by default the last bar's event time."""
        self._producer.begin_transaction()
        for bar in bars:
            key = series_key(bar.exchange, bar.symbol)
            self._put(shard_of(key, self.shards), bar, key, control=False)
        self.published += len(bars)
        v = event_time(bars[-1]) if watermark is None else watermark
        self._control(Watermark(str(self.epoch), v, order_key(bars[-1]) if bars else None, self.published, self.clock))
        self._producer.flush(20)
        if commit:
            self._commit()

    def play_trades(self, trades: list[Trade], watermark: int) -> None:
        """Publish trades and a watermark, in a replay of trades."""
        self._producer.begin_transaction()
        for trade in trades:
            key = series_key(trade.exchange, trade.symbol)
            self._put(shard_of(key, self.shards), trade, key, control=False)
        self.published += len(trades)
        self._control(Watermark(str(self.epoch), watermark, None, self.published, self.clock))
        self._commit()

    def _commit(self) -> None:
        """Commit, and wait until readers see it: a broker's answer comes before the partitions have the markers."""
        self._producer.commit_transaction(20)
        places = [TopicPartition(replay_topic(self.uid), number) for number in range(self.shards)]
        eventually(lambda: self._is_visible(places))

    def _is_visible(self, places: list[TopicPartition]) -> bool:
        try:
            return _ends(self._admin, places, READ_COMMITTED) == _ends(self._admin, places, READ_UNCOMMITTED)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.FENCED_LEADER_EPOCH:
                raise
            self._admin.list_topics(timeout=20)  # the broker has started again
            return False

    def abort(self) -> None:
        self._producer.abort_transaction(20)

    def publish_without_watermark(self, bars: list[Bar]) -> None:
        """Commit bars without a watermark: they must not be shown."""
        self._producer.begin_transaction()
        for bar in bars:
            key = series_key(bar.exchange, bar.symbol)
            self._put(shard_of(key, self.shards), bar, key, control=False)
        self._commit()

    def publish_points(self, points: list[Point]) -> None:
        """Publish results of transforms, in the current epoch."""
        topic = points_topic(self.uid)
        ensure_topics(admin(self.connections, "tests"), [topic], self.shards)
        kafka = producer(self.connections, "tests-points")
        for point in points:
            key = series_key(point.exchange, point.symbol)
            headers = replay_headers(self.uid, self.epoch)
            kafka.produce(topic, encode(point), key=key.encode(), partition=shard_of(key, self.shards), headers=headers)
        assert kafka.flush(20) == 0

    def seek(self, v: int) -> None:
        """Start a new epoch at virtual time ``v``."""
        self.epoch = Epoch(self.epoch.control + 1)
        self._producer.begin_transaction()
        self._control(EpochStart(str(self.epoch), v, "seek"))
        self._control(Watermark(str(self.epoch), v, clock=self.clock))
        self._commit()

    def end(self, v: int) -> None:
        self._producer.begin_transaction()
        self._control(ReplayEnd(str(self.epoch), v, self.published))
        self._commit()

    def _control(self, record: ReplayStart | EpochStart | Watermark | ReplayEnd) -> None:
        for partition in range(self.shards):
            self._put(partition, record, "", control=True)

    def _put(self, partition: int, record: Any, key: str, *, control: bool) -> None:
        self._producer.produce(
            replay_topic(self.uid),
            encode(record),
            key=key.encode(),
            partition=partition,
            headers=replay_headers(self.uid, self.epoch, control=control),
        )

    @property
    def ticker(self) -> str:
        return f"replay/{self.uid}/coinbase:{self.symbols[0]}"


def insert_run(
    dsn: str, run_id: str, *, replay_uid: str = "", cash: float = 10_000.0, started: int | None = None
) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval,"
            " replay_uid, cash, started_at) VALUES (%s, %s, 'default', 'sma-cross', '{\"fast\": 10}', '{}', 'coinbase',"
            " '{BTC/USD}', '1m', %s, %s, to_timestamp(%s))",
            (run_id, f"bt-{run_id[:6]}", replay_uid, cash, started or time.time()),
        )


def insert_fills(dsn: str, run_id: str, rows: list[tuple[int, int, str, float, float]]) -> None:
    """Rows of (seq, ts, side, size, price)."""
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO run_fills VALUES (%s, %s, 'BTC/USD', to_timestamp(%s / 1000.0), %s, %s, %s)",
            [(run_id, *row) for row in rows],
        )


def insert_trades(dsn: str, run_id: str, rows: list[tuple[int, float, int, float, int, float]]) -> None:
    """Rows of (seq, size, entry ts, entry price, exit ts, exit price): long trades without commission."""
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO run_trades VALUES (%s, %s, 'BTC/USD', 'long', %s, to_timestamp(%s / 1000.0), %s,"
            " to_timestamp(%s / 1000.0), %s, %s, %s, 0)",
            [(run_id, *row, pnl, pnl) for row in rows for pnl in [row[1] * (row[5] - row[3])]],
        )


def insert_equity(dsn: str, run_id: str, rows: list[tuple[int, int, float, float]]) -> None:
    """Rows of (seq, ts, value, cash), with the drawdown from the highest value so far."""
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO run_equity VALUES (%s, %s, to_timestamp(%s / 1000.0), %s, %s)", [(run_id, *r) for r in rows]
        )
        connection.execute(
            "UPDATE run_equity AS e SET drawdown_percent = 100 * (1 - value / peak) FROM ("
            "SELECT seq, max(value) OVER (ORDER BY seq) AS peak FROM run_equity WHERE run_id = %(id)s"
            ") AS p WHERE run_id = %(id)s AND e.seq = p.seq",
            {"id": run_id},
        )
