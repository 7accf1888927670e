"""The bars of a batch as columns, sorted by series and time, at most one of each key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tapedeck_common.market import RecordSource
from tapedeck_crds.intervals import BAR_LENGTHS

# Bars that may be missing between two neighbours of a run. It bounds what is read of the store for a batch: 16 bytes
# for each of at most 20,000 * (RUN_GAP + 1) bars, 3 MB.
RUN_GAP = 8
_TS_BITS = 48  # of a time up to the year 9999; so a batch may have 2**15 series, and has at most 20,000 records

SeriesKey: TypeAlias = tuple[str, str, str]
"""Exchange, symbol and interval."""
OpenRange: TypeAlias = tuple[int, int]
"""The first and the last bar's open time, milliseconds UTC."""
GroupKey: TypeAlias = tuple[str, str, str, RecordSource]
"""Exchange, symbol, interval and source: the columns that repeat from row to row."""
IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


class BarRun(NamedTuple):
    """Neighbouring rows of one group, from row ``start`` to row ``end``, which is excluded.

    ``first`` and ``last`` are their first and last open, milliseconds UTC. The store has at most RUN_GAP + 1 times as
    many bars between them.
    """

    group: GroupKey
    first: int
    last: int
    start: int
    end: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.end)


@dataclass(frozen=True)
class BarBatch:
    """Columns with a row for each bar; times are milliseconds UTC. ``group`` is the row's index in ``groups``.

    ``heads`` and ``tails`` are the encoded names of each group, see ``bar_rows``.
    """

    groups: list[GroupKey]
    heads: list[bytes]
    tails: list[bytes]
    group: IntArray
    ts: IntArray
    rev: IntArray
    values: list[FloatArray]

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, chosen: IntArray | BoolArray) -> BarBatch:
        """The chosen rows, by index or by mask."""
        values = [column[chosen] for column in self.values]
        return BarBatch(
            self.groups, self.heads, self.tails, self.group[chosen], self.ts[chosen], self.rev[chosen], values
        )

    @property
    def rank(self) -> IntArray:
        """The row of the higher rank wins: by revision, then live before other sources, as ``tables.BARS`` has it."""
        live = np.array([group[3] == "live" for group in self.groups], np.int64)
        ranks: IntArray = self.rev * 2 + live[self.group]
        return ranks

    @cached_property
    def series(self) -> IntArray:
        """The number of each row's series. Its bars may have several sources, and so be of several groups."""
        numbers: dict[SeriesKey, int] = {}
        of_groups = [numbers.setdefault(group[:3], len(numbers)) for group in self.groups]
        return np.array(of_groups, np.int64)[self.group]

    @cached_property
    def key(self) -> IntArray:
        """The primary key of each row as a number, in order of series and time."""
        keys: IntArray = (self.series << _TS_BITS) + self.ts
        return keys

    @cached_property
    def runs(self) -> list[BarRun]:
        """The rows as runs, in order."""
        if not len(self):
            return []
        reach = np.array([BAR_LENGTHS[group[2]].ms * (RUN_GAP + 1) for group in self.groups])[self.group[1:]]
        ends = np.flatnonzero((self.group[1:] != self.group[:-1]) | (self.ts[1:] - self.ts[:-1] > reach)) + 1
        starts, stops = np.r_[0, ends], np.r_[ends, len(self)]
        columns = (self.group[starts], self.ts[starts], self.ts[stops - 1], starts, stops)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [BarRun(self.groups[group], *places) for group, *places in rows]

    @cached_property
    def open_ranges(self) -> dict[SeriesKey, OpenRange]:
        """The first and the last open of each series."""
        found: dict[SeriesKey, OpenRange] = {}
        for run in self.runs:  # those of a series follow each other in time
            series = run.group[:3]
            first, _ = found.get(series, (run.first, run.last))
            found[series] = (first, run.last)
        return found
