"""Bars encoded for COPY, decoded by hand and compared with a model in plain Python."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pods.recorder import bar_batch
from tapedeck_common.market import Bar, RecordSource
from tapedeck_recorder.rows.bar_batch import RUN_GAP
from tapedeck_recorder.rows.bar_rows import BarCollector, copy_rows, validate_bar

MINUTE = 60_000
Row = tuple[Any, ...]


def decode_copy(data: bytes) -> list[Row]:
    """Decode COPY BINARY by the format in the documentation of Postgres."""
    rows, at = [], 0
    while at < len(data):
        (count,) = struct.unpack_from(">h", data, at)
        at += 2
        fields = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, at)
            fields.append(data[at + 4 : at + 4 + length])
            at += 4 + length
        e, s, i, ts, *prices, rev, source = fields
        numbers = [struct.unpack(">d", p)[0] for p in prices]
        ms = struct.unpack(">q", ts)[0] // 1000 + 946_684_800_000
        rows.append((e.decode(), s.decode(), i.decode(), ms, *numbers, int.from_bytes(rev, "big"), source.decode()))
    return rows


def row(bar: Bar, source: str) -> Row:
    return (
        bar.exchange, bar.symbol, bar.interval, bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.rev,
        source,
    )  # fmt: skip


def model(pairs: list[tuple[Bar, RecordSource]]) -> list[Row]:
    kept: dict[Row, Row] = {}
    for bar, source in pairs:
        new = row(bar, source)
        old = kept.get(new[:4])
        if old is None or new[9] > old[9] or (new[9] == old[9] and source == "live" and old[10] != "live"):
            kept[new[:4]] = new
    return sorted(kept.values())


prices = st.floats(1e-9, 1e12)
bars = st.builds(
    lambda exchange, symbol, interval, minute, low, high, volume, rev: Bar(
        exchange, symbol, interval, minute * 15 * MINUTE, low, low + high, low, low + high, volume, True, rev
    ),
    st.sampled_from(["x", "coinbase"]),
    st.sampled_from(["A/B", "BTC/USD", "Ünï/£"]),
    st.sampled_from(["1m", "15m"]),
    st.integers(0, 4),
    prices,
    prices,
    st.floats(0, 1e12),
    st.integers(0, 3),
)
sources: st.SearchStrategy[RecordSource] = st.sampled_from(["live", "backfill", "replay"])


@given(st.lists(st.tuples(bars, sources), min_size=1, max_size=40))
def test_each_key_keeps_its_best_row(pairs: list[tuple[Bar, RecordSource]]) -> None:
    batch = bar_batch([bar for bar, _ in pairs], [source for _, source in pairs])
    rows = decode_copy(copy_rows(batch))
    assert len(batch) == len(rows)
    assert sorted(rows) == model(pairs)
    opens: dict[tuple[str, str, str], list[int]] = {}
    for bar, _ in pairs:
        opens.setdefault((bar.exchange, bar.symbol, bar.interval), []).append(bar.ts)
    assert batch.open_ranges == {series: (min(times), max(times)) for series, times in opens.items()}


@given(st.lists(st.tuples(bars, sources), min_size=1, max_size=40), st.integers(1, 7))
def test_bars_that_are_collected_by_steps_are_one_batch(pairs: list[tuple[Bar, RecordSource]], size: int) -> None:
    collector = BarCollector()
    for start in range(0, len(pairs), size):
        step = pairs[start : start + size]
        collector.add([bar for bar, _ in step], [source for _, source in step])
    assert len(collector) == len(pairs)
    assert sorted(decode_copy(copy_rows(collector.batch()))) == model(pairs)


@given(st.dictionaries(st.tuples(st.sampled_from("AB"), st.integers(0, 400)), sources, min_size=1, max_size=60))
def test_runs_are_neighbours_between_which_few_bars_are_missing(chosen: dict[tuple[str, int], RecordSource]) -> None:
    found = [Bar("x", symbol, "1m", minute * MINUTE, 2.0, 3.0, 1.0, 2.0, 5.0) for symbol, minute in chosen]
    batch = bar_batch(found, list(chosen.values()))
    expected: list[list[tuple[str, RecordSource, int]]] = []
    for (symbol, minute), source in sorted(chosen.items()):
        last = expected[-1][-1] if expected else None
        if last is not None and last[:2] == (symbol, source) and minute - last[2] <= RUN_GAP + 1:
            expected[-1].append((symbol, source, minute))
        else:
            expected.append([(symbol, source, minute)])
    runs = [(*run.group[1::2], run.first // MINUTE, run.last // MINUTE, run.end - run.start) for run in batch.runs]
    assert sorted(runs) == sorted((*run[0][:2], run[0][2], run[-1][2], len(run)) for run in expected)
    places = [place for run in batch.runs for place in (run.start, run.end)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, len(batch))


VALID = Bar("x", "A/B", "1m", 25_000_000 * MINUTE, 2.0, 3.0, 1.0, 2.0, 5.0)


def changed(**change: Any) -> Bar:
    values = {name: getattr(VALID, name) for name in VALID.__struct_fields__}
    return Bar(**{**values, **change})


@pytest.mark.parametrize(
    ("invalid", "field"),
    [
        (changed(interval="7m"), "interval"),
        (changed(interval="a\x00"), "interval"),
        (changed(ts=VALID.ts + 1), "ts"),
        (changed(ts=-MINUTE), "time"),
        (changed(ts=253_402_300_800_000), "time"),
        (changed(ts=10**30 * MINUTE), "time"),
        (changed(open=math.nan), "open"),
        (changed(high=math.inf), "high"),
        (changed(low=-math.inf), "low"),
        (changed(open=-1.0), "low"),
        (changed(close=9.0), "close"),
        (changed(low=2.5), "low"),
        (changed(volume=-0.1), "volume"),
        (changed(volume=math.inf), "volume"),
        (changed(rev=-1), "rev"),
        (changed(rev=2**31), "rev"),
        (changed(rev=2**30 + 1), "rev"),
        (changed(ts=4_102_444_800_000), "time"),
        (changed(symbol=""), "name"),
        (changed(exchange=""), "name"),
        (changed(symbol="A\x1b]0;x\x07/B"), "name"),
        (changed(symbol="A\u202eB"), "name"),
        (changed(exchange="x\n"), "name"),
        (changed(symbol="A\x00B"), "NUL"),
        (changed(symbol="\ud800"), "Unicode"),
        (changed(symbol="x" * 256), "255 bytes"),
        (changed(exchange="é" * 128), "255 bytes"),
    ],
)
def test_an_invalid_bar_is_rejected_in_bulk_and_alone(invalid: Bar, field: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        bar_batch([VALID, invalid, VALID], ["live"] * 3)
    with pytest.raises(ValueError, match=field):
        validate_bar(invalid, "live")
    validate_bar(VALID, "live")
    assert len(bar_batch([VALID], ["live"])) == 1
