"""Encoding bars for COPY BINARY, a batch at a time, with numpy.

COPY BINARY has no fixed row width, so rows are grouped by the byte lengths of their names. All rows of one group have
the same layout and form one numpy record array: head (field count, exchange, symbol, interval), ts, five numbers, rev,
tail (source).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from tapedeck_common.bar_times import opens_of
from tapedeck_common.market import Bar, RecordSource, bar_problem
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_recorder.rows.batch import OpenRange, SeriesKey
from tapedeck_recorder.rows.copy_binary import (
    PG_EPOCH_MS,
    REV_MAX,
    TS_MIN,
    checked_market_time,
    key_field,
    name_field,
    rev_field,
    row_header,
    time_end,
)
from tapedeck_recorder.rows.tables import BARS

_VALUES = ("open", "high", "low", "close", "volume")

GroupKey: TypeAlias = tuple[str, str, str, RecordSource]
"""Exchange, symbol, interval and source: the columns that repeat from row to row."""
IntArray: TypeAlias = npt.NDArray[np.int64]


class EncodedBars(NamedTuple):
    """``rows`` of COPY BINARY, their number, and the range of open times of each series."""

    rows: bytes
    row_count: int
    open_ranges: dict[SeriesKey, OpenRange]


class _GroupNumbers(dict[GroupKey, int]):
    """Numbers the groups in order of appearance."""

    def __missing__(self, group: GroupKey) -> int:
        self[group] = number = len(self)
        return number


def validate_bar(bar: Bar, source: RecordSource) -> None:
    """Raises InvalidInput, naming field, value and expectation, for a bar that the store can't hold."""
    if problem := bar_problem(bar):
        raise InvalidInput(problem)
    checked_market_time(bar.ts, source)
    name_field(bar.exchange)
    name_field(bar.symbol)
    rev_field(bar.rev)


def encode_bars(bars: Sequence[Bar], sources: Sequence[RecordSource]) -> EncodedBars:
    """Encode one row per primary key: the highest revision, then live before other sources, then the first.

    Raises ValueError or OverflowError where ``validate_bar`` refuses one of the bars.
    """
    columns = dict(zip(Bar.__struct_fields__, zip(*map(msgspec.structs.astuple, bars), strict=True), strict=True))
    numbers = _GroupNumbers()
    keys = zip(columns["exchange"], columns["symbol"], columns["interval"], sources, strict=True)
    group = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(bars))
    ts = np.fromiter(columns["ts"], np.int64, len(bars))
    rev = np.fromiter(columns["rev"], np.int64, len(bars))
    values = [np.fromiter(columns[name], np.float64, len(bars)) for name in _VALUES]
    groups = list(numbers)
    ends = np.array([time_end(g[3]) for g in groups], np.int64)[group]
    _validate(ts, ends, rev, values, _are_opens(ts, group, [g[2] for g in groups]))
    order = _deduplicated_order(group, ts, rev, groups)
    heads = [row_header(len(BARS.columns)) + name_field(g[0]) + name_field(g[1]) + key_field(g[2]) for g in groups]
    tails = [key_field(g[3]) for g in groups]
    chunks: list[bytes] = []
    layouts = [(len(head), len(tail)) for head, tail in zip(heads, tails, strict=True)]
    for layout in dict.fromkeys(layouts):
        chosen = order[np.array([other == layout for other in layouts])[group[order]]]
        rows = _empty_rows(len(chosen), *layout)
        # Heads of other layouts may be truncated here: no chosen row refers to them.
        rows["head"] = np.array(heads, f"S{layout[0]}")[group[chosen]]
        rows["tail"] = np.array(tails, f"S{layout[1]}")[group[chosen]]
        rows["ts"] = (ts[chosen] - PG_EPOCH_MS) * 1000
        rows["rev"] = rev[chosen]
        for column, numbers_of_column in zip(_VALUES, values, strict=True):
            rows[column] = numbers_of_column[chosen]
        chunks.append(rows.tobytes())
    return EncodedBars(b"".join(chunks), len(order), _open_ranges(groups, group[order], ts[order]))


def _open_ranges(groups: list[GroupKey], group: IntArray, ts: IntArray) -> dict[SeriesKey, OpenRange]:
    """First and last open of each series; ``group`` and ``ts`` are sorted by series and time."""
    found: dict[SeriesKey, OpenRange] = {}
    # Bars of one series may have several sources, and so several runs of equal group numbers.
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    last = np.r_[first[1:], len(group)] - 1
    for number, start, end in zip(group[first].tolist(), ts[first].tolist(), ts[last].tolist(), strict=True):
        series = groups[number][:3]
        low, high = found.get(series, (start, end))
        found[series] = (min(low, start), max(high, end))
    return found


def _are_opens(ts: IntArray, group: IntArray, intervals: list[str]) -> npt.NDArray[np.bool_]:
    """Whether each time is the open of a bar of its group's interval."""
    valid = np.zeros(len(ts), np.bool_)
    for interval in BAR_LENGTHS.keys() & intervals:
        rows = np.array([each == interval for each in intervals])[group]
        valid[rows] = opens_of(BAR_LENGTHS[interval], ts[rows]) == ts[rows]
    return valid


def _validate(
    ts: IntArray,
    ends: IntArray,
    rev: IntArray,
    values: list[npt.NDArray[np.float64]],
    are_opens: npt.NDArray[np.bool_],
) -> None:
    """The same conditions as ``validate_bar``, for all bars at once."""
    o, h, low, c, v = values
    valid = (
        are_opens & (ts >= TS_MIN) & (ts < ends)
        & (rev >= 0) & (rev <= REV_MAX)
        & (low > -np.inf) & (low <= o) & (low <= c) & (o <= h) & (c <= h) & (h < np.inf)
        & (v >= 0) & (v < np.inf)
    )  # fmt: skip
    if not valid.all():
        raise InvalidInput("bars: got at least one invalid bar; validate_bar names its field")


def _deduplicated_order(group: IntArray, ts: IntArray, rev: IntArray, groups: list[GroupKey]) -> IntArray:
    """Indices of the rows to keep, by series and time: the order in which the primary key's index is cheapest."""
    numbers: dict[SeriesKey, int] = {}
    series_of_group = np.array([numbers.setdefault(g[:3], len(numbers)) for g in groups], np.int64)
    series = series_of_group[group]
    order = np.lexsort((ts, series))
    if not _repeats(series[order], ts[order]).any():
        return order
    not_live = np.array([g[3] != "live" for g in groups])[group]
    order = np.lexsort((not_live, -rev, ts, series))
    return order[~_repeats(series[order], ts[order])]


def _repeats(series: IntArray, ts: IntArray) -> npt.NDArray[np.bool_]:
    """Whether each row has the same key as the row before it."""
    same = np.zeros(len(ts), np.bool_)
    same[1:] = (series[1:] == series[:-1]) & (ts[1:] == ts[:-1])
    return same


def _empty_rows(count: int, head: int, tail: int) -> npt.NDArray[np.void]:
    """Rows of one layout with the length prefixes of their fields filled in."""
    layout: list[tuple[str, str]] = [("head", f"S{head}"), ("ts.length", ">i4"), ("ts", ">i8")]
    for column in _VALUES:
        layout += [(f"{column}.length", ">i4"), (column, ">f8")]
    layout += [("rev.length", ">i4"), ("rev", ">i4"), ("tail", f"S{tail}")]
    rows = np.empty(count, np.dtype(layout))
    for column in ("ts", *_VALUES):
        rows[f"{column}.length"] = 8
    rows["rev.length"] = 4
    return rows
