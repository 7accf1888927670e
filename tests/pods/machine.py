"""A broker and a database that tests may kill, and what must be in the store afterwards."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import SecretStr

from pods.recorder import (
    BACKFILL,
    LIVE,
    MINUTE,
    T0,
    Record,
    RecorderProcess,
    caught_up,
    ends,
    publish,
    recorded_ends,
    select,
)
from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.market import Bar, Trade
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import encode
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import ROLES, SUPERUSER, Postgres
from waits import eventually


@dataclass
class Machine:
    """A broker and a database that tests may kill."""

    folder: Path
    broker: KafkaBroker
    postgres: Postgres
    published: int = 0
    first: int = 0  # the first minute after the last truncation

    @property
    def dsn(self) -> str:
        return self.postgres.dsn()

    @property
    def connections(self) -> Connections:
        """What the pods of the tests connect to."""
        return Connections(kafka_bootstrap=self.broker.bootstrap, store_dsn=SecretStr(self.dsn))

    def reported_losses(self) -> int:
        """How many ingest errors say that the broker has lost records."""
        query = "SELECT count(*) FROM ingest_errors WHERE strpos(reason, 'the broker lost') > 0"
        return int(select(self.dsn, query)[0][0])

    def publish(self, minutes: int) -> None:
        """Publish more bars of twelve series, some twice, a few trades, and an invalid message per 100 minutes."""
        some: list[Record] = []
        for i in range(self.published, self.published + minutes):
            for n in range(12):
                symbol = f"S{n}/USD"
                bar = Bar("x", symbol, "1m", T0 + i * MINUTE, 2.0, 3.0, 1.0, 2.0 + i % 7 / 10, float(i))
                some.append((topics.MARKET_BARS, encode(bar), f"x:{symbol}", BACKFILL))
                if i % 10 == n:
                    some.append(some[-1])
                    trade = Trade("x", symbol, T0 + i, str(i), 1.0 + i, 2.0, "sell")
                    some.append((topics.MARKET_TRADES, encode(trade), f"x:{symbol}", LIVE))
            if i % 100 == 0:
                some.append((topics.MARKET_BARS, f"poison {i}".encode(), f"x:{i}", BACKFILL))
        publish(self.broker.bootstrap, some)
        self.published += minutes

    def check(self, *restarted: RecorderProcess) -> None:
        """Assert that every row is stored once, and that the offsets are the ends of the log.

        ``restarted`` as in ``caught_up``.
        """
        caught_up(self.broker.bootstrap, self.dsn, timeout=90, restarted=restarted)
        minutes = range(self.first, self.published)
        rows = select(self.dsn, "SELECT symbol, ts, close, volume FROM bars WHERE exchange = 'x'")
        found = {(symbol, round(ts.timestamp() * 1000)): (close, volume) for symbol, ts, close, volume in rows}
        assert len(rows) == len(found) == 12 * len(minutes)
        assert found == {
            (f"S{n}/USD", T0 + i * MINUTE): (2.0 + i % 7 / 10, float(i)) for n in range(12) for i in minutes
        }
        trades = select(self.dsn, "SELECT id FROM trades")
        assert sorted(int(row[0]) for row in trades) == list(minutes)
        poison = select(self.dsn, "SELECT payload FROM ingest_errors WHERE payload <> ''")
        assert sorted(row[0] for row in poison) == sorted(f"poison {i}" for i in minutes if i % 100 == 0)
        assert recorded_ends(self.dsn) == ends(self.broker.bootstrap)


@contextmanager
def running_machine(folder: Path) -> Iterator[Machine]:
    """A new machine with the standing topics and an empty store."""
    running = Machine(
        folder, KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres", (*ROLES, SUPERUSER))
    )
    try:
        running.broker.launch()
        running.postgres.start()
        running.broker.wait_ready()
        upgrade_schema(running.dsn)
        connections = Connections(kafka_bootstrap=running.broker.bootstrap)
        ensure_topics(admin(connections, "test"), topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)
        yield running
    finally:
        running.broker.stop()
        running.postgres.stop()


def lose_tail(broker: KafkaBroker, topic: str, size: int) -> int:
    """Cut so many bytes from the end of each partition, as a power failure may; returns how many were cut.

    The records of a cut batch are lost. The broker must have been killed.
    """
    kept = {segment: max(written - size, 0) for segment, written in segment_sizes(broker, topic).items()}
    return lose_rest(kept)


def segment_sizes(broker: KafkaBroker, topic: str) -> dict[Path, int]:
    """How many bytes the last segment of each partition has."""
    segments = [max(folder.glob("*.log")) for folder in broker.data.glob(f"{topic}-*")]
    return {segment: segment.stat().st_size for segment in segments}


def lose_rest(kept: Mapping[Path, int]) -> int:
    """Cut each segment to so many bytes; returns how many were cut. The broker must have been killed."""
    lost = 0
    for segment, size in kept.items():
        lost += segment.stat().st_size - size
        os.truncate(segment, size)
    return lost


CONTROL = 1 << 5  # of a batch's attributes: it holds a transaction's marker


def lose_markers(broker: KafkaBroker, topic: str, partitions: Collection[int]) -> int:
    """Cut the transaction marker from the end of those partitions that end with one; returns how many were cut.

    The records of the transaction stay. The broker must have been killed.
    """
    lost = 0
    for number in partitions:
        segment = max((broker.data / f"{topic}-{number}").glob("*.log"))
        content = segment.read_bytes()
        position, last = 0, None
        while position + 23 <= len(content):  # base offset, length, leader epoch, magic, checksum, attributes
            (length,) = struct.unpack_from(">i", content, position + 8)
            (attributes,) = struct.unpack_from(">h", content, position + 21)
            if length <= 0:  # the rest is allocated in advance
                break
            last = (position, attributes)
            position += 12 + length
        if last is not None and last[1] & CONTROL:
            os.truncate(segment, last[0])
            lost += 1
    return lost


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and its descendants, as a suspended machine or a full cgroup does; continue them afterwards."""
    process = psutil.Process(pid)
    stopped = [process, *process.children(recursive=True)]
    try:
        for each in stopped:
            each.send_signal(signal.SIGSTOP)
        eventually(lambda: all(map(_is_stopped, stopped)))
        yield
    finally:
        for each in stopped:
            each.send_signal(signal.SIGCONT)


def _is_stopped(process: psutil.Process) -> bool:
    """Whether every thread has noticed the signal."""
    states = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    return {text.rpartition(")")[2].split()[0] for text in states} == {"T"}
