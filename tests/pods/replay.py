"""A replay's pod as a real process, and the records of its topic as a plain consumer reads them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from endpoints import LOOPBACK
from tapedeck_common.kafka import is_transient
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import forkserver
from tapedeck_deck.embedded.pods import Start
from tapedeck_deck.embedded.processes import Process, tail, wait_exit, wait_until
from waits import eventually

MINUTE = 60_000
T0 = 1_522_800_000_000  # 2018-04-04T00:00:00Z
KEY = b"a key of the tests"
STARTS = 3
RESTARTS = 8
TEMPORARY, FENCED = 1, 75  # exit codes
ENDING_SECONDS = 30
OPEN_SECONDS = 20  # the timeout of a replay's transaction, 5 s, and the broker looks every 10 s
# Shared, since a new client costs 40 ms. It keeps no connection: its pool may close one that another thread just got.
_http = httpx.Client(trust_env=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def insert_minutes(dsn: str, exchange: str, symbols: list[str], minutes: int, *, seed: float = 0.5) -> None:
    """Insert one-minute bars of every symbol from T0 on; the same seed gives the same bars."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT setseed(%s)", (seed,))
        connection.execute(
            "INSERT INTO bars SELECT %s, s, '1m', to_timestamp(%s / 1000.0) + m * interval '1 minute', p, p + 1.25, "
            "p - 0.75, p + 0.5, v, 0, 'backfill' FROM (SELECT m, s, round((6000 + random() * 900)::numeric, 2)::float8 "
            "AS p, round((random() * 20)::numeric, 8)::float8 AS v FROM generate_series(0, %s - 1) m, "
            "unnest(%s::text[]) s) g",
            (exchange, T0, minutes, symbols),
        )


def stored(dsn: str, exchange: str) -> list[tuple[Any, ...]]:
    """(open time in ms, symbol, open, high, low, close, volume) of an exchange's bars, in order."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT round(extract(epoch FROM ts) * 1000)::int8, symbol, open, high, low, close, volume "
            "FROM bars WHERE exchange = %s ORDER BY ts, symbol",
            (exchange,),
        ).fetchall()


class PodEnded(AssertionError):
    """A pod ended where it was expected to run."""


@dataclass
class ReplayProcess:
    """The pods of one shard of a Replay, one after another; ``lives`` counts them."""

    folder: Path
    connections: Connections
    spec: Json
    files: Path = Path("/nowhere")
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    shard: int = 0
    launch: Start = forkserver.start
    process: Process | None = None
    lives: int = 0
    home: Path = field(init=False)

    @property
    def name(self) -> str:
        """One of its own: a recorder also stores what other tests' Replays record on the same broker."""
        return f"test-{self.uid[:8]}"

    @property
    def recorded(self) -> str:
        """The exchange under which it is recorded."""
        return f"replay.{self.name}"

    @property
    def topic(self) -> str:
        return f"tapedeck.replay.{self.uid}"

    def start(self) -> None:
        """Start the next pod; the previous one may still run."""
        self.lives += 1
        self.home = self.folder / f"{self.uid}-{self.shard}-{self.lives}"
        self.home.mkdir(parents=True)
        (self.home / "key").write_bytes(KEY)
        environment = os.environ | {
            "TMPDIR": str(self.home),
            "TAPEDECK_NAME": self.name,
            "TAPEDECK_UID": self.uid,
            "TAPEDECK_SHARD": str(self.shard),
            "TAPEDECK_SPEC": json.dumps(self.spec),
            "TAPEDECK_PORT_FILE": str(self.home / "port"),
            "TAPEDECK_CONTROL_KEY_FILE": str(self.home / "key"),
            "TAPEDECK_TERMINATION_LOG": str(self.home / "termination"),
            "TAPEDECK_FILES": str(self.files),
            "TAPEDECK_ENDPOINTS": LOOPBACK.model_dump_json(),
            "TAPEDECK_CONNECTIONS": str(self.home),
            "TAPEDECK_CONNECTION_KAFKA_BOOTSTRAP": self.connections.kafka_bootstrap,
            "TAPEDECK_CONNECTION_STORE_DSN": self.connections.store_dsn.get_secret_value(),
        }
        self.process = self.launch("tapedeck_replay", [], log=self.home / "log", env=environment, cwd=Path.cwd())

    @property
    def url(self) -> str:
        wait_for(lambda: (self.home / "port").exists(), "the port file")
        return f"http://127.0.0.1:{(self.home / 'port').read_text()}"

    def status(self) -> Json:
        try:
            answer: Json = _http.get(f"{self.url}/status").json()
        except httpx.TransportError as error:
            if self.process is None:
                raise
            patience = 0 if isinstance(error, httpx.TimeoutException) else ENDING_SECONDS
            try:
                code = wait_exit(self.process, patience)  # one that ends closes its port first
            except subprocess.TimeoutExpired:
                raise error from None
            raise PodEnded(f"the pod ended with {code}: {tail(self.home / 'log')}") from error
        return answer

    def metrics(self) -> str:
        return _http.get(f"{self.url}/metrics").text

    def until(self, what: Callable[[Json], bool], timeout: float = 60) -> Json:
        """Wait for the first report for which ``what`` is true; returns it."""
        seen: list[Json] = []

        def check() -> bool:
            seen[:] = [self.status()]
            return what(seen[0])

        wait_for(check, "a report", timeout)
        return seen[0]

    def control(self, *, key: bytes = KEY, **anchor: Any) -> httpx.Response:
        """Send an anchor with a signature, as the operator does."""
        body = json.dumps(anchor).encode()
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        return _http.post(f"{self.url}/control", content=body, headers={"x-tapedeck-signature": signature})

    def anchor(self, number: int = 1, *, lead_ms: int = 50, **values: Any) -> Json:
        """Send a valid anchor, by default at T0; returns it."""
        body = {"number": number, "v0": T0, "w0": int(time.time() * 1000) + lead_ms, "speed": 1.0} | values
        answer = self.control(**body)
        assert answer.status_code == 202, answer.text
        return body

    def start_until(self, what: Callable[[Json], bool]) -> Json:
        """Start pods until one has a report for which ``what`` is true.

        One that a busy service fails is followed by another, as on a node.
        """
        for _ in range(STARTS - 1):
            self.start()
            with suppress(PodEnded):
                return self.until(what)
        self.start()
        return self.until(what)

    def begin(self, **values: Any) -> Json:
        """Start a pod, wait until it waits for an anchor, and send one; returns it."""
        self.start()
        self.until(lambda r: r["state"] in ("waiting", "failed"))
        return self.anchor(**values)

    def wait(self, timeout: float = 60) -> int:
        """Wait for the end; returns the exit code."""
        assert self.process is not None
        return wait_exit(self.process, timeout)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        wait_exit(self.process, 30)

    def ended_at_ms(self) -> float:
        """When the pod logged that the end is committed, milliseconds UTC."""
        lines = [json.loads(line) for line in (self.home / "log").read_text().splitlines() if line.startswith("{")]
        stamp = next(line["timestamp"] for line in lines if line["event"] == "end committed")
        return datetime.fromisoformat(stamp).timestamp() * 1000

    def last_report(self) -> Json:
        report: Json = json.loads((self.home / "termination").read_text())
        return report


def played_to_the_end(replay: ReplayProcess) -> int:
    """Send an anchor as the operator does, and restart a pod that failed for a while; returns the exit code.

    Where a broker takes long to come back, it has ended the transaction of the pod that runs on.
    """
    for _ in range(RESTARTS):
        with suppress(httpx.HTTPError, PodEnded):
            report = replay.until(lambda r: r["position"] is not None)
            replay.anchor(9, v0=report["position"], unpaced=True)
        if (code := replay.wait()) not in (TEMPORARY, FENCED):
            return code
        replay.start()
    return code


def wait_for(ready: Callable[[], bool], what: str, timeout: float = 60) -> None:
    eventually(ready, timeout, what=what)


@dataclass(frozen=True)
class Record:
    """A committed record: offset, key, header, value and timestamp."""

    offset: int
    key: str
    header: str
    value: Json
    stamp: int  # Kafka's timestamp: when it was handed to the producer, milliseconds UTC

    @property
    def kind(self) -> str:
        return self.value["type"] if self.header.endswith(";c") else "bar"

    @property
    def epoch(self) -> str:
        return self.header.split(";")[3]


def committed(
    broker: str | dict[str, str], topic: str, partition: int = 0, exchanges: Sequence[str] = (), uid: str = ""
) -> list[Record]:
    """Every committed record of a partition; with ``exchanges`` or a replay's ``uid`` only theirs (others write, too).

    ``broker`` is its address, or what a client needs where it asks for a password. A broker says that a transaction is
    committed before readers see that, so this waits while one is open.
    """
    account = {"bootstrap.servers": broker} if isinstance(broker, str) else broker
    client, place = AdminClient({**account}), TopicPartition(topic, partition)
    wait_until(lambda: _is_visible(client, place), timeout=OPEN_SECONDS)
    consumer = Consumer(
        {
            **account,
            "group.id": f"audit-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        return list(_until_end(consumer, tuple(f"{exchange}:" for exchange in exchanges) or ("",), uid))
    finally:
        consumer.close()


def _is_visible(client: AdminClient, place: TopicPartition) -> bool:
    """Whether readers of committed records reach the end of a partition."""
    try:
        ends = [
            client.list_offsets({place: OffsetSpec.latest()}, isolation_level=level)[place].result(60).offset  # type: ignore[no-untyped-call]
            for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        ]
    except KafkaException as error:
        if not is_transient(error):
            raise
        return False
    return bool(ends[0] == ends[1])


def _until_end(consumer: Consumer, keys: tuple[str, ...], uid: str) -> Iterator[Record]:
    while True:
        message = consumer.poll(60)
        assert message is not None, "the end of the partition was not seen"
        if (error := message.error()) is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error
            return
        key = (message.key() or b"").decode(errors="replace")
        headers: list[tuple[str, bytes]] = message.headers() or []  # type: ignore[assignment]
        if not key.startswith(keys) or (
            uid and f";{uid};".encode() not in b"".join(value or b"" for _, value in headers)
        ):
            continue
        assert [name for name, _ in headers] == ["td"]
        yield Record(
            message.offset() or 0,
            key,
            headers[0][1].decode(),
            msgspec.json.decode(message.value() or b""),
            message.timestamp()[1],
        )


def bars(records: list[Record], epoch: str | None = None) -> list[tuple[Any, ...]]:
    """The bars among the records, in the format of ``stored``."""
    fields = ("ts", "symbol", "open", "high", "low", "close", "volume")
    selected = (r for r in records if r.kind == "bar" and epoch in (None, r.epoch))
    return [tuple(r.value[name] for name in fields) for r in selected]


@contextmanager
def ended_afterwards(replay: ReplayProcess) -> Iterator[None]:
    """End the replay's pod after the block, and print the end of its log, which a failed test shows."""
    try:
        yield
    finally:
        if replay.process is not None and replay.process.poll() is None:
            replay.kill()
        print((replay.home / "log").read_text()[-4000:])


def check_whole(records: list[Record], dsn: str, exchange: str) -> None:
    """The records of one partition are those of a replay of all stored bars of an exchange, once each."""
    assert bars(records) == stored(dsn, exchange)
    assert [r.kind for r in records if r.kind in ("start", "end")] == ["start", "end"]
    check_watermarks(records)


def end_of(records: list[Record]) -> Record:
    """The record of the end, which the watermark of its position precedes. That of an anchor may follow it."""
    kinds = [record.kind for record in records]
    at = kinds.index("end")
    assert kinds[at - 1] == "watermark"
    assert set(kinds[at + 1 :]) <= {"watermark"}
    return records[at]


def check_watermarks(records: list[Record]) -> None:
    """Every bar is later than the watermark before it, and not later than the one after it."""
    low, seen = T0, [T0]
    for record in records:
        if record.kind == "bar":
            seen.append(record.value["ts"] + MINUTE)
            assert seen[-1] > low
        elif record.kind == "epoch":
            low, seen = record.value["v"], [record.value["v"]]
        elif record.kind == "watermark":
            v = record.value["v"]
            assert v >= low
            # A transaction that ends between bars of one event time is not complete up to that time.
            assert max(seen) <= v or max(seen) == v + 1
            low = v
