"""Did every bar arrive, once, everywhere? An answer from the source files, the topic and SQL alone.

Nothing here uses the code that moves the bars: files are read by the standard library, the topic by a
bare consumer, the store by SQL.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

MINUTE_MS = 60_000
READ_TIMEOUT = 30.0

Key = tuple[str, int]
Prices = tuple[float, ...]
SourceBars = Mapping[Key, Prices]


@dataclass(frozen=True)
class Tally:
    """One comparison: how many there were, how many were lost (missing or changed) and how many too many."""

    place: str
    found: int
    lost: int
    doubled: int


def source_bars(folder: Path, sets: dict[str, str]) -> SourceBars:
    """(symbol, open ms) → open, high, low, close, volume of zipped minute files; ``sets`` maps symbol to pattern."""
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


def check_store(dsn: str, exchange: str, expected: SourceBars) -> Tally:
    """The store's bars of an exchange against the source."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        rows = connection.execute(
            "SELECT symbol, round(extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume "
            "FROM bars WHERE exchange = %s AND interval = '1m'",
            (exchange,),
        ).fetchall()
    return compare("store", [((row[0], row[1]), tuple(row[2:])) for row in rows], expected)


def check_topic(
    bootstrap: str, topic: str, expected: SourceBars, *, copies: int = 1, lateness_ms: int | None = None
) -> Tally:
    """The committed bars of a replay's topic against the source; a bar out of order counts as lost.

    A scenario may publish a bar up to ``copies`` times, and behind others whose event times are up to
    ``lateness_ms`` later.
    """
    found = committed_bars(bootstrap, topic)
    tally = compare("topic", found, expected, copies)
    moments = [(ts + MINUTE_MS, symbol) for (symbol, ts), _ in found]
    if lateness_ms is None:
        disorder = sum(a > b for a, b in itertools.pairwise(moments))
    else:
        latest = itertools.accumulate((event for event, _ in moments), max)
        disorder = sum(event < most - lateness_ms for (event, _), most in zip(moments, latest, strict=True))
    return Tally(tally.place, tally.found, tally.lost + disorder, tally.doubled)


def check_run(dsn: str, run_id: str, bars: int) -> Tally:
    """A run's equity has one point for each bar the strategy could see, its trades are numbered without holes."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        sizes = {}
        for table in ("run_equity", "run_trades", "run_fills"):
            query = psycopg.sql.SQL("SELECT count(*), coalesce(max(seq) + 1, 0) FROM {} WHERE run_id = %s")
            row = connection.execute(query.format(psycopg.sql.Identifier(table)), (run_id,)).fetchone()
            sizes[table] = row if row is not None else (0, 0)
    holes = sum(highest - count for count, highest in sizes.values())
    points = sizes["run_equity"][0]
    return Tally("results", points, holes + max(bars - points, 0), max(points - bars, 0))


def compare(place: str, found: Sequence[tuple[Key, Prices]], expected: SourceBars, copies: int = 1) -> Tally:
    """Count what is missing or changed, and what is there more than ``copies`` times or from nowhere."""
    counts = Counter(key for key, _ in found)
    right = {key for key, prices in found if expected.get(key) == prices}
    surplus = sum(max(counts[key] - (copies if key in expected else 0), 0) for key in counts)
    return Tally(place, len(found), len(expected) - len(right), surplus)


def committed_bars(bootstrap: str, topic: str) -> list[tuple[Key, Prices]]:
    """Every committed bar of a topic, in the order of its partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "tapedeck.audit",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=READ_TIMEOUT).topics[topic].partitions
        bars: list[tuple[Key, Prices]] = []
        for number in sorted(partitions):
            bars += _read_partition(consumer, TopicPartition(topic, number, 0))
        return bars
    finally:
        consumer.close()


def _read_partition(consumer: Consumer, start: TopicPartition) -> list[tuple[Key, Prices]]:
    consumer.assign([start])
    bars: list[tuple[Key, Prices]] = []
    while (message := consumer.poll(READ_TIMEOUT)) is not None:
        if message.error():  # the end of the partition
            return bars
        header = dict(message.headers() or []).get("td", b"")
        if isinstance(header, bytes) and not header.endswith(b";c"):
            value: dict[str, Any] = json.loads(message.value() or b"{}")
            prices = tuple(float(value[name]) for name in ("open", "high", "low", "close", "volume"))
            bars.append(((value["symbol"], value["ts"]), prices))
    raise TimeoutError(f"topic {start.topic}: its end was not seen in {READ_TIMEOUT:.0f} s")
