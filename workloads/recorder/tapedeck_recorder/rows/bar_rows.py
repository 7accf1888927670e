"""Bars as rows of COPY BINARY, a batch at once: numpy lays columns into fixed places of the rows.

Rows of one shape (equally long names) are one array of records, each a head (count of fields, exchange, symbol,
interval), ts, five numbers, rev and a tail (source).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapedeck_common.market import Bar, Source, bar_problem
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_recorder.rows.batch import Series, Span
from tapedeck_recorder.rows.copy_binary import PG_EPOCH_MS, TS_MAX, TS_MIN, check_moment, fields, name
from tapedeck_recorder.rows.tables import BARS

REV_MAX = 2**31 - 1
_PRICES = ("open", "high", "low", "close", "volume")

Kind = tuple[str, str, str, Source]
Array = npt.NDArray[np.int64]


class Packed(NamedTuple):
    """``rows`` of COPY BINARY, how many they are, and the first and last open of each series, milliseconds UTC."""

    rows: bytes
    number: int
    spans: dict[Series, Span]


class _Numbers(dict[Kind, int]):
    """(exchange, symbol, interval, source) → its number, in order of appearance."""

    def __missing__(self, kind: Kind) -> int:
        self[kind] = number = len(self)
        return number


def check(bar: Bar) -> None:
    """Raises ValueError, naming field, value and expectation, for a bar that can't be kept."""
    if problem := bar_problem(bar):
        raise ValueError(problem)
    check_moment(bar.ts)
    name(bar.exchange)
    name(bar.symbol)
    if not 0 <= bar.rev <= REV_MAX:
        raise ValueError(f"rev: got {bar.rev}, expected an integer from 0 to {REV_MAX}")


def pack(bars: Sequence[Bar], sources: Sequence[Source]) -> Packed:
    """The rows: one a key, the highest revision, live before the rest, the first of equals.

    Raises ValueError or OverflowError where ``check`` refuses one of the bars.
    """
    numbers = _Numbers()
    kind = np.array(
        [numbers[bar.exchange, bar.symbol, bar.interval, s] for bar, s in zip(bars, sources, strict=True)], np.int64
    )
    ts = np.array([bar.ts for bar in bars], np.int64)
    rev = np.array([bar.rev for bar in bars], np.int64)
    prices = [
        np.array([bar.open for bar in bars]),
        np.array([bar.high for bar in bars]),
        np.array([bar.low for bar in bars]),
        np.array([bar.close for bar in bars]),
        np.array([bar.volume for bar in bars]),
    ]
    kinds = list(numbers)
    _refuse(ts, rev, prices, np.array([INTERVAL_MS.get(k[2], 0) for k in kinds], np.int64)[kind])
    order = _best(kind, ts, rev, kinds)
    heads = [fields(len(BARS.columns)) + name(k[0]) + name(k[1]) + name(k[2]) for k in kinds]
    tails = [name(k[3]) for k in kinds]
    parts: list[bytes] = []
    shapes = [(len(head), len(tail)) for head, tail in zip(heads, tails, strict=True)]
    for shape in dict.fromkeys(shapes):
        chosen = order[np.array([s == shape for s in shapes])[kind[order]]]
        rows = _blank(len(chosen), *shape)
        # Only those of this shape are asked for; the others' may be cut off.
        rows["head"] = np.array(heads, f"S{shape[0]}")[kind[chosen]]
        rows["tail"] = np.array(tails, f"S{shape[1]}")[kind[chosen]]
        rows["ts"] = (ts[chosen] - PG_EPOCH_MS) * 1000
        rows["rev"] = rev[chosen]
        for column, values in zip(_PRICES, prices, strict=True):
            rows[column] = values[chosen]
        parts.append(rows.tobytes())
    return Packed(b"".join(parts), len(order), _spans(kinds, kind[order], ts[order]))


def _spans(kinds: list[Kind], kind: Array, ts: Array) -> dict[Series, Span]:
    """From rows by series and time."""
    found: dict[Series, Span] = {}
    # Where a series' source changes a new stretch begins too.
    first = np.flatnonzero(np.r_[True, kind[1:] != kind[:-1]])
    last = np.r_[first[1:], len(kind)] - 1
    for k, start, end in zip(kind[first].tolist(), ts[first].tolist(), ts[last].tolist(), strict=True):
        known = found.get(kinds[k][:3], (start, end))
        found[kinds[k][:3]] = (min(known[0], start), max(known[1], end))
    return found


def _refuse(ts: Array, rev: Array, prices: list[npt.NDArray[np.float64]], width: Array) -> None:
    o, h, low, c, v = prices
    sound = (
        (width > 0)
        & (ts >= TS_MIN) & (ts < TS_MAX) & (ts % np.maximum(width, 1) == 0)
        & (rev >= 0) & (rev <= REV_MAX)
        & (low > 0) & (low <= o) & (low <= c) & (o <= h) & (c <= h) & (h < np.inf)
        & (v >= 0) & (v < np.inf)
    )  # fmt: skip
    if not sound.all():
        raise ValueError("an impossible bar")


def _best(kind: Array, ts: Array, rev: Array, kinds: list[Kind]) -> Array:
    """Which rows to keep, by series and time, which is also how the index likes to get them."""
    numbers: dict[tuple[str, str, str], int] = {}
    of_kind = np.array([numbers.setdefault(k[:3], len(numbers)) for k in kinds], np.int64)
    series = of_kind[kind]
    order = np.lexsort((ts, series))
    if not _repeats(series[order], ts[order]).any():
        return order
    late = np.array([k[3] != "live" for k in kinds])[kind]
    order = np.lexsort((late, -rev, ts, series))
    return order[~_repeats(series[order], ts[order])]


def _repeats(series: Array, ts: Array) -> npt.NDArray[np.bool_]:
    """Whether each row has the key of the one before."""
    same = np.zeros(len(ts), np.bool_)
    same[1:] = (series[1:] == series[:-1]) & (ts[1:] == ts[:-1])
    return same


def _blank(count: int, head: int, tail: int) -> npt.NDArray[np.void]:
    """Rows whose lengths of fields are filled in."""
    layout: list[tuple[str, str]] = [("head", f"S{head}"), ("ts.length", ">i4"), ("ts", ">i8")]
    for column in _PRICES:
        layout += [(f"{column}.length", ">i4"), (column, ">f8")]
    layout += [("rev.length", ">i4"), ("rev", ">i4"), ("tail", f"S{tail}")]
    rows = np.empty(count, np.dtype(layout))
    for column in ("ts", *_PRICES):
        rows[f"{column}.length"] = 8
    rows["rev.length"] = 4
    return rows
