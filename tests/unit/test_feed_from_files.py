"""An import of files without a broker: order, repeats, conflicts, counts, and a broker that cannot be reached."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from itertools import repeat
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from tapedeck_common.files import InvalidRow, SourceRow, count_out_of_order, deduplicate, external_sort, single_rows
from tapedeck_common.settings import Connections
from tapedeck_crds.errors import Interrupted
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import DeliveryFailed, MarketDataPublisher

pytestmark = pytest.mark.slow

QUEUE = 100_000  # records that the producer holds
times = st.integers(0, 5) | st.integers(998, 1_002)  # microseconds: of two milliseconds
source_rows = st.lists(
    st.builds(SourceRow, times, st.sampled_from(["", "a", "é", "7"]), st.text(max_size=3), st.binary(max_size=2)),
    max_size=40,
)


@settings(max_examples=50, deadline=None)
@given(source_rows)
def test_the_sort_is_by_time_and_stable(rows: list[SourceRow]) -> None:
    rows = [SourceRow(0, "", "first", b""), *rows]  # an id that is no number
    assert list(external_sort(rows)) == sorted(rows, key=lambda row: row.us)


@given(source_rows)
def test_every_row_is_kept_a_repeat_or_a_conflict(rows: list[SourceRow]) -> None:
    repeats: list[None] = []
    conflicts: list[InvalidRow] = []
    ordered = sorted((row._replace(value=row.value.hex().encode()) for row in rows), key=lambda row: row.us)
    kept = list(single_rows(deduplicate(ordered, lambda: repeats.append(None), conflicts.append)))
    first: dict[object, bytes] = {}
    same = other = 0
    for row in ordered:
        key = (row.us // 1_000, row.id)
        if key not in first:
            first[key] = row.value
        elif first[key] == row.value:
            same += 1
        else:
            other += 1
    assert {(row.us // 1_000, row.id): row.value for row in kept} == first
    assert (len(kept), len(repeats), len(conflicts)) == (len(first), same, other)


def test_a_conflict_names_both_places() -> None:
    conflicts: list[InvalidRow] = []
    rows = [SourceRow(60_000_000, "", "a:2", b"1"), SourceRow(60_000_000, "", "b:9", b"2")]
    assert list(deduplicate(rows, lambda: None, conflicts.append)) == rows[:1]
    reason = "ts: 1970-01-01T00:01:00Z has other values than at a:2; expected one row, the first is taken"
    assert conflicts == [InvalidRow("b:9", reason, "2")]


@given(st.lists(st.integers(0, 20)))
def test_late_rows_are_those_after_a_row_of_a_later_time(times: list[int]) -> None:
    late: list[int] = []
    rows = [SourceRow(ts, "", "", b"") for ts in times]
    assert list(count_out_of_order(rows, late.append)) == rows
    assert sum(late) == sum(ts < max(times[:i], default=ts) for i, ts in enumerate(times))


def test_the_sort_needs_bounded_memory() -> None:
    """A hundred thousand rows in reverse order: 40 MB as Python objects."""

    def rows() -> Iterator[SourceRow]:
        for ts in range(100_000, 0, -1):
            yield SourceRow(ts, "", "place", b"x" * 100)

    tracemalloc.start()
    try:
        last = 0
        for row in single_rows(external_sort(rows())):
            assert row.us == last + 1
            last += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last == 100_000
    assert peak < 5_000_000  # what Python holds; SQLite's cache is limited by its own setting


def test_an_error_while_reading_passes_through_the_sort() -> None:
    def rows() -> Iterator[SourceRow]:
        yield SourceRow(1, "", "", b"")
        raise Interrupted("now")

    with pytest.raises(Interrupted):
        list(external_sort(rows()))
    assert not issubclass(Interrupted, sqlite3.Error)


def test_the_stats_report_what_they_counted() -> None:
    stats = ImportStats(done=1, total=2, symbols=1)
    for _ in range(3):
        stats.count("bars")
    stats.count("late")
    assert stats.summary() == "3 bars of 1 symbol"
    stats.refusals.add("A/B", "a.csv", "a.csv:3", "open: got nan, expected a price", "")
    stats.count("trades")
    assert stats.summary() == "3 bars and 1 trades of 1 symbol, 1 rows refused"
    registry = CollectorRegistry()
    registry.register(stats)
    lines = generate_latest(registry).decode().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        'tapedeck_feed_records_total{channel="bars"} 3.0',
        'tapedeck_feed_records_total{channel="trades"} 1.0',
        "tapedeck_feed_duplicates_total 0.0",
        "tapedeck_feed_errors_total 1.0",
        "tapedeck_feed_refused_rows_total 1.0",
        "tapedeck_feed_unsorted_rows_total 1.0",
        "tapedeck_feed_missing_trades_total 0.0",
        "tapedeck_feed_gaps_total 0.0",
        "tapedeck_feed_imported_files_total 1.0",
        "tapedeck_feed_expected_files 2.0",
    }


def publisher_without_broker(stop: Event, timeout: float) -> MarketDataPublisher:
    return MarketDataPublisher(Connections(kafka_bootstrap="127.0.0.1:1"), "test", stop, timeout=timeout)


def test_an_unreachable_broker_ends_the_import() -> None:
    publisher = publisher_without_broker(Event(), 1.0)
    publisher.send("t", "k", b"v", publisher.callback(lambda: pytest.fail("there is no broker")))
    with pytest.raises(DeliveryFailed, match=r"broker 127\.0\.0\.1:1: 1 records not delivered within 1 s"):
        publisher.flush()


def fill(publisher: MarketDataPublisher) -> None:
    for _ in range(QUEUE):
        publisher.send("t", "k", b"v", publisher.callback(lambda: None))


def test_a_full_queue_waits_no_longer_than_the_timeout() -> None:
    publisher = publisher_without_broker(Event(), 10.0)
    with pytest.raises(DeliveryFailed, match="not delivered within 10 s"):
        fill(publisher)  # on a busy machine this alone may take longer
        publisher.send("t", "k", b"v", publisher.callback(lambda: None))


def test_a_stop_ends_the_wait_for_a_full_queue() -> None:
    stop = Event()
    publisher = publisher_without_broker(stop, 60.0)
    fill(publisher)
    stop.set()
    with pytest.raises(Interrupted):
        publisher.send("t", "k", b"v", publisher.callback(lambda: None))


def test_records_of_one_key_fail_together() -> None:
    """Without a broker none is acknowledged, also where only failures are reported."""
    connections = Connections(kafka_bootstrap="127.0.0.1:1")
    publisher = MarketDataPublisher(connections, "test", Event(), timeout=1.0, failures_only=True)
    publisher.send_all("t", "k", [b"v"] * 700, publisher.callback(lambda: pytest.fail("there is no broker")))
    assert (publisher.acknowledged("t"), publisher.acknowledged("other")) == (0, 0)
    with pytest.raises(DeliveryFailed, match=r"broker 127\.0\.0\.1:1: 700 records not delivered within 1 s"):
        publisher.flush()


def test_a_full_queue_waits_for_records_of_one_key_too() -> None:
    publisher = publisher_without_broker(Event(), 10.0)
    with pytest.raises(DeliveryFailed, match="not delivered within 10 s"):
        publisher.send_all("t", "k", repeat(b"v", QUEUE + 1), publisher.callback(lambda: None))
