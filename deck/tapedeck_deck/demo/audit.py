"""An audit of the pipeline: whether every bar of the source files is in the topic and in the store exactly once.

It shares no code with the pipeline: it reads the files with the standard library, the topic with a plain consumer, and
the store with SQL.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import time
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

MINUTE_MS = 60_000
READ_TIMEOUT = 30.0

Key = tuple[str, int]
Prices = tuple[float, ...]
SourceBars = Mapping[Key, Prices]


@dataclass(frozen=True)
class AuditResult:
    """The result of one comparison: bars found, lost (missing or changed), and doubled (surplus or unknown)."""

    place: str
    found: int
    lost: int
    doubled: int


def source_bars(folder: Path, sets: dict[str, str]) -> SourceBars:
    """(symbol, open time in ms) → open, high, low, close, volume of zipped minute files.

    ``sets`` maps a symbol to the glob pattern of its files.
    """
    bars: dict[Key, Prices] = {}
    for symbol, pattern in sets.items():
        for path in sorted(folder.glob(pattern)):
            day = datetime.strptime(path.stem.rsplit("_", 1)[1], "%Y%m%d").replace(tzinfo=UTC)
            midnight = int(day.timestamp()) * 1000
            with zipfile.ZipFile(path) as archive:
                text = archive.read(archive.namelist()[0]).decode()
            for row in csv.reader(io.StringIO(text)):
                bars[symbol, midnight + int(row[0])] = tuple(float(x) for x in row[1:6])
    return bars


def check_store(dsn: str, exchange: str, expected: SourceBars) -> AuditResult:
    """Compare the stored bars of an exchange with the source."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        rows = connection.execute(
            "SELECT symbol, round(extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume "
            "FROM bars WHERE exchange = %s AND interval = '1m'",
            (exchange,),
        ).fetchall()
    return compare("store", [((row[0], row[1]), tuple(row[2:])) for row in rows], expected)


def check_topic(
    broker: Mapping[str, str], topic: str, expected: SourceBars, *, copies: int = 1, lateness_ms: int | None = None
) -> AuditResult:
    """Compare the committed bars of a replay's topic with the source. A bar out of order counts as lost.

    ``broker`` are the settings of a client, by librdkafka's names. A scenario may publish a bar up to ``copies`` times,
    and after bars with event times up to ``lateness_ms`` later.
    """
    found = committed_bars(broker, topic)
    result = compare("topic", found, expected, copies)
    moments = [(ts + MINUTE_MS, symbol) for (symbol, ts), _ in found]
    if lateness_ms is None:
        disorder = sum(a > b for a, b in itertools.pairwise(moments))
    else:
        latest = itertools.accumulate((event for event, _ in moments), max)
        disorder = sum(event < most - lateness_ms for (event, _), most in zip(moments, latest, strict=True))
    return AuditResult(result.place, result.found, result.lost + disorder, result.doubled)


def check_run(dsn: str, run_id: str, bars: int) -> AuditResult:
    """Check that a run has one equity point for each bar, and no holes in the numbering of its trades and fills."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        sizes = {}
        for table in ("run_equity", "run_trades", "run_fills"):
            query = psycopg.sql.SQL("SELECT count(*), coalesce(max(seq) + 1, 0) FROM {} WHERE run_id = %s")
            row = connection.execute(query.format(psycopg.sql.Identifier(table)), (run_id,)).fetchone()
            sizes[table] = row if row is not None else (0, 0)
    holes = sum(highest - count for count, highest in sizes.values())
    points = sizes["run_equity"][0]
    return AuditResult("results", points, holes + max(bars - points, 0), max(points - bars, 0))


def compare(place: str, found: Sequence[tuple[Key, Prices]], expected: SourceBars, copies: int = 1) -> AuditResult:
    """Count the bars that are missing or changed, and those that occur more than ``copies`` times or are unknown."""
    counts = Counter(key for key, _ in found)
    right = {key for key, prices in found if expected.get(key) == prices}
    surplus = sum(max(counts[key] - (copies if key in expected else 0), 0) for key in counts)
    return AuditResult(place, len(found), len(expected) - len(right), surplus)


def committed_bars(broker: Mapping[str, str], topic: str) -> list[tuple[Key, Prices]]:
    """Every committed bar of a topic, partition by partition, in the order of offsets."""
    consumer = Consumer(
        {
            **broker,
            "group.id": "tapedeck.audit",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        bars: list[tuple[Key, Prices]] = []
        for place, end in _ends(consumer, broker, topic):
            bars += _read_partition(consumer, place, end)
        return bars
    finally:
        consumer.close()


def _ends(consumer: Consumer, broker: Mapping[str, str], topic: str) -> list[tuple[TopicPartition, int]]:
    """The beginning of each partition, and its end, which readers of committed records see a moment after a commit."""
    numbers = sorted(consumer.list_topics(topic, timeout=READ_TIMEOUT).topics[topic].partitions)
    starts = [TopicPartition(topic, number, 0) for number in numbers]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    client = AdminClient({**broker})  # its answers come while it is there
    found = client.list_offsets(dict.fromkeys(starts, latest), request_timeout=READ_TIMEOUT)
    return [(start, found[start].result(READ_TIMEOUT).offset) for start in starts]


def _read_partition(consumer: Consumer, start: TopicPartition, end: int) -> list[tuple[Key, Prices]]:
    consumer.assign([start])
    bars: list[tuple[Key, Prices]] = []
    deadline = time.monotonic() + READ_TIMEOUT
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF and (message.offset() or 0) >= end:
                return bars
            if error.fatal():
                raise KafkaException(error)
            continue  # not yet its end, or the broker is not reached for a moment
        deadline = time.monotonic() + READ_TIMEOUT
        header = dict(message.headers() or []).get("td", b"")
        if isinstance(header, bytes) and not header.endswith(b";c"):
            value: dict[str, Any] = json.loads(message.value() or b"{}")
            prices = tuple(float(value[name]) for name in ("open", "high", "low", "close", "volume"))
            bars.append(((value["symbol"], value["ts"]), prices))
    raise TimeoutError(
        f"topic {start.topic}: end of partition {start.partition} not reached within {READ_TIMEOUT:.0f} s"
    )
