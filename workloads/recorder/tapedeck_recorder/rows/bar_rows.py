"""The bars of a batch: from records to columns, and from columns to rows of COPY BINARY, with numpy.

COPY BINARY has no fixed row width, so rows are grouped by the byte lengths of their names. All rows of one group have
the same layout and form one numpy record array: head (field count, exchange, symbol, interval), ts, five numbers, rev,
tail (source).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tapedeck_common.bar_times import opens_of
from tapedeck_common.market import Bar, RecordSource, bar_problem
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_recorder.rows.bar_batch import BarBatch, BoolArray, FloatArray, GroupKey, IntArray
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


class _GroupNumbers(dict[GroupKey, int]):
    """Numbers the groups in order of appearance."""

    def __missing__(self, group: GroupKey) -> int:
        self[group] = number = len(self)
        return number


class _Columns(NamedTuple):
    """Columns of some bars."""

    group: IntArray
    ts: IntArray
    rev: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def validate_bar(bar: Bar, source: RecordSource) -> None:
    """Raises InvalidInput, naming field, value and expectation, for a bar that the store can't hold."""
    if problem := bar_problem(bar):
        raise InvalidInput(problem)
    checked_market_time(bar.ts, source)
    name_field(bar.exchange)
    name_field(bar.symbol)
    rev_field(bar.rev)


class BarCollector:
    """Collects the columns of bars, some hundred at a time: so few are in the processor's cache when they are read."""

    def __init__(self) -> None:
        self._numbers = _GroupNumbers()
        self._steps: list[_Columns] = []

    def add(self, bars: Sequence[Bar], sources: Sequence[RecordSource]) -> None:
        """Add bars. Raises OverflowError for a number beyond 64 bits."""
        if not (count := len(bars)):
            return
        columns = dict(zip(Bar.__struct_fields__, zip(*map(msgspec.structs.astuple, bars), strict=True), strict=True))
        keys = zip(columns["exchange"], columns["symbol"], columns["interval"], sources, strict=True)
        self._steps.append(
            _Columns(
                np.fromiter(map(self._numbers.__getitem__, keys), np.int64, count),
                np.fromiter(columns["ts"], np.int64, count),
                np.fromiter(columns["rev"], np.int64, count),
                *(np.fromiter(columns[name], np.float64, count) for name in _VALUES),
            )
        )

    def __len__(self) -> int:
        return sum(len(step.ts) for step in self._steps)

    def batch(self) -> BarBatch:
        """One row per primary key: the highest revision, then live before other sources, then the first.

        Raises InvalidInput where ``validate_bar`` refuses one of the bars.
        """
        group, ts, rev, *values = (np.concatenate(arrays) for arrays in zip(*self._steps, strict=True))
        groups = list(self._numbers)
        ends = np.array([time_end(g[3]) for g in groups], np.int64)[group]
        _validate(ts, ends, rev, values, _are_opens(ts, group, [g[2] for g in groups]))
        heads = [row_header(len(BARS.columns)) + name_field(g[0]) + name_field(g[1]) + key_field(g[2]) for g in groups]
        tails = [key_field(g[3]) for g in groups]
        everything = BarBatch(groups, heads, tails, group, ts, rev, values)
        return everything.take(_deduplicated_order(everything))


def copy_rows(bars: BarBatch) -> bytes:
    """The rows of COPY BINARY into BARS."""
    chunks: list[bytes] = []
    layouts = [(len(head), len(tail)) for head, tail in zip(bars.heads, bars.tails, strict=True)]
    for layout in dict.fromkeys(layouts):
        of_layout = np.array([other == layout for other in layouts])[bars.group]
        chosen = bars if of_layout.all() else bars.take(of_layout)
        rows = _empty_rows(len(chosen), *layout)
        # Heads of other layouts may be truncated here: no chosen row refers to them.
        rows["head"] = np.array(bars.heads, f"S{layout[0]}")[chosen.group]
        rows["tail"] = np.array(bars.tails, f"S{layout[1]}")[chosen.group]
        rows["ts"] = (chosen.ts - PG_EPOCH_MS) * 1000
        rows["rev"] = chosen.rev
        for column, numbers in zip(_VALUES, chosen.values, strict=True):
            rows[column] = numbers
        chunks.append(rows.tobytes())
    return b"".join(chunks)


def _are_opens(ts: IntArray, group: IntArray, intervals: list[str]) -> BoolArray:
    """Whether each time is the open of a bar of its group's interval."""
    valid = np.zeros(len(ts), np.bool_)
    if len(set(intervals)) == 1 and (length := BAR_LENGTHS.get(intervals[0])):
        valid[:] = opens_of(length, ts) == ts
        return valid
    for interval in BAR_LENGTHS.keys() & intervals:
        rows = np.array([each == interval for each in intervals])[group]
        valid[rows] = opens_of(BAR_LENGTHS[interval], ts[rows]) == ts[rows]
    return valid


def _validate(
    ts: IntArray,
    ends: IntArray,
    rev: IntArray,
    values: list[FloatArray],
    are_opens: BoolArray,
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


def _deduplicated_order(bars: BarBatch) -> IntArray:
    """Indices of the rows to keep, by series and time: the order in which the primary key's index is cheapest."""
    order = np.argsort(bars.key, kind="stable")
    if not _repeats(bars.key[order]).any():
        return order
    order = np.lexsort((-bars.rank, bars.key))
    return order[~_repeats(bars.key[order])]


def _repeats(key: IntArray) -> BoolArray:
    """Whether each row has the same key as the row before it."""
    same = np.zeros(len(key), np.bool_)
    same[1:] = key[1:] == key[:-1]
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
