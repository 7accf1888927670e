"""The parts of a Feed without a broker: order, repeats, conflicts, counts."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from tapedeck_common.files import BadRow
from tapedeck_common.settings import Connections
from tapedeck_crds.errors import Interrupted
from tapedeck_feed.from_files.dedupe import Entry, distinct, watch_order
from tapedeck_feed.from_files.external_sort import in_order
from tapedeck_feed.from_files.stats import Tally
from tapedeck_feed.output.publisher import Publisher, Undelivered

QUEUE = 100_000  # records that the producer holds
keys = st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from(["", "a", "é"]))
entries = st.lists(st.builds(Entry, keys, st.text(max_size=3), st.binary(max_size=2)), max_size=40)


@settings(max_examples=50, deadline=None)
@given(entries)
def test_order_is_by_key_and_stable(rows: list[Entry]) -> None:
    assert list(in_order(rows)) == sorted(rows, key=lambda row: row.key)


@given(entries)
def test_every_row_is_kept_repeated_or_refused(rows: list[Entry]) -> None:
    repeats: list[None] = []
    conflicts: list[BadRow] = []
    ordered = sorted((row._replace(value=row.value.hex().encode()) for row in rows), key=lambda row: row.key)
    kept = list(distinct(ordered, lambda: repeats.append(None), conflicts.append))
    first: dict[object, bytes] = {}
    same = other = 0
    for row in ordered:
        if row.key not in first:
            first[row.key] = row.value
        elif first[row.key] == row.value:
            same += 1
        else:
            other += 1
    assert {row.key: row.value for row in kept} == first
    assert (len(kept), len(repeats), len(conflicts)) == (len(first), same, other)


def test_a_conflict_names_both_places() -> None:
    refused: list[BadRow] = []
    rows = [Entry((60_000, 0, ""), "a:2", b"1"), Entry((60_000, 0, ""), "b:9", b"2")]
    assert list(distinct(rows, lambda: None, refused.append)) == rows[:1]
    assert refused == [BadRow("b:9", "ts: 60000 has other values at a:2, which were taken; expected one row", "2")]


@given(st.lists(st.integers(0, 20)))
def test_late_rows_are_those_behind_a_later_one(times: list[int]) -> None:
    late: list[None] = []
    rows = [Entry((ts, 0, ""), "", b"") for ts in times]
    assert list(watch_order(rows, lambda: late.append(None))) == rows
    assert len(late) == sum(ts < max(times[:i], default=ts) for i, ts in enumerate(times))


def test_sorting_takes_bounded_memory() -> None:
    """A hundred thousand rows, downwards: 40 MB as Python objects."""

    def rows() -> Iterator[Entry]:
        for ts in range(100_000, 0, -1):
            yield Entry((ts, 0, ""), "place", b"x" * 100)

    tracemalloc.start()
    try:
        last = 0
        for entry in in_order(rows()):
            assert entry.key[0] == last + 1
            last += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last == 100_000
    assert peak < 5_000_000  # what Python holds; SQLite's cache is limited by its own setting


def test_a_fault_while_reading_passes_through_the_sort() -> None:
    def rows() -> Iterator[Entry]:
        yield Entry((1, 0, ""), "", b"")
        raise Interrupted("now")

    with pytest.raises(Interrupted):
        list(in_order(rows()))
    assert not issubclass(Interrupted, sqlite3.Error)


def test_the_tally_says_what_it_counted() -> None:
    tally = Tally(done=1, total=2, symbols=1)
    for _ in range(3):
        tally.count("bars")
    tally.count("late")
    assert tally.summary() == "3 bars of 1 symbol"
    tally.count("errors")
    tally.count("trades")
    assert tally.summary() == "3 bars and 1 trades of 1 symbol, 1 rows refused (see ingest_errors)"
    registry = CollectorRegistry()
    registry.register(tally)
    lines = generate_latest(registry).decode().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        "tapedeck_feed_bars_total 3.0",
        "tapedeck_feed_trades_total 1.0",
        "tapedeck_feed_duplicates_total 0.0",
        "tapedeck_feed_errors_total 1.0",
        "tapedeck_feed_late_total 1.0",
        "tapedeck_feed_files_total 1.0",
    }


def nobody(stop: Event, timeout: float) -> Publisher:
    return Publisher(Connections(kafka_bootstrap="127.0.0.1:1"), "test", stop, timeout=timeout)


def test_an_unreachable_broker_ends_the_run() -> None:
    publisher = nobody(Event(), 1.0)
    publisher.send("t", "k", b"v", publisher.delivery(lambda: pytest.fail("nobody is there to take it")))
    with pytest.raises(Undelivered, match=r"broker 127\.0\.0\.1:1: 1 records not delivered within 1 s"):
        publisher.drain()


def fill(publisher: Publisher) -> None:
    for _ in range(QUEUE):
        publisher.send("t", "k", b"v", publisher.delivery(lambda: None))


def test_a_full_queue_waits_no_longer_than_the_timeout() -> None:
    publisher = nobody(Event(), 10.0)
    fill(publisher)
    with pytest.raises(Undelivered, match="not delivered within 10 s"):
        publisher.send("t", "k", b"v", publisher.delivery(lambda: None))


def test_a_full_queue_lets_go_when_asked_to_end() -> None:
    stop = Event()
    publisher = nobody(stop, 60.0)
    fill(publisher)
    stop.set()
    with pytest.raises(Interrupted):
        publisher.send("t", "k", b"v", publisher.delivery(lambda: None))
