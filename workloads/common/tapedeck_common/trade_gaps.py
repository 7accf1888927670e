"""Trades that are missing because their ids count up and some of them are absent. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from tapedeck_common.market import Trade
from tapedeck_common.records import Gap

if TYPE_CHECKING:
    import numpy as np

Int64s: TypeAlias = "np.typing.NDArray[np.int64]"
GAPS_MAX = 10_000  # kept of one series; later ones are counted only
TRADES_MIN = 10
GAP_SHARE_MAX = 0.25  # gaps by trades up to which numbers are taken for ids that count up
ID_DIGITS_MAX = 20  # digits of a 64-bit trade id
RANGES_SHOWN = 3
IdRange = tuple[int, int]
"""The first and the last id of a range."""


class _IdGap(NamedTuple):
    """Missing ids, between a trade at ``start`` and one at ``end``, milliseconds UTC."""

    first: int
    last: int
    start: int
    end: int


class TradeGapFinder:
    """Finds the gaps of one symbol's trades, which are added by time. ``missing`` counts the absent ids.

    There is none unless the ids count up: they are numbers, and few of them do not follow another one by 1.
    """

    def __init__(self) -> None:
        self._newest: tuple[int, int] | None = None  # the highest id and its time
        self._trades = self._gap_count = self._absent = 0
        self._are_numbers = True
        self._gaps: list[_IdGap] = []

    def add(self, trade: Trade) -> None:
        """Add the next trade."""
        if self._is_given_up(is_counting_id(trade.id)):
            return
        self._trades += 1
        trade_id = int(trade.id)
        newest, _ = self._newest or (trade_id - 1, trade.ts)
        if trade_id <= newest:
            self._remove(trade_id)
        else:
            self._follow(trade_id, trade.ts)

    def add_all(self, ids: Int64s, times: Int64s) -> None:
        """Add the next trades, whose ids count up; times are milliseconds UTC. Both are of shape (n,), n > 0."""
        if self._is_given_up(True):
            return
        self._trades += len(ids)
        if self._newest is not None:
            known = int(ids.searchsorted(self._newest[0], "right"))
            for trade_id in ids[:known].tolist():
                self._remove(trade_id)
            ids, times = ids[known:], times[known:]
        if not len(ids):
            return
        self._follow(int(ids[0]), int(times[0]))
        for place in ((ids[1:] - ids[:-1]) > 1).nonzero()[0].tolist():
            self._newest = int(ids[place]), int(times[place])
            self._follow(int(ids[place + 1]), int(times[place + 1]))
        self._newest = int(ids[-1]), int(times[-1])

    def _is_given_up(self, are_numbers: bool) -> bool:
        """Whether gaps are no longer looked for: ids are no numbers, or are too many apart."""
        if self._are_numbers and (not are_numbers or len(self._gaps) > 2 * GAPS_MAX):
            self._are_numbers = False
            self._gaps = []
        return not self._are_numbers

    def _follow(self, trade_id: int, ts: int) -> None:
        """A trade with a higher id than all before."""
        newest, before = self._newest or (trade_id - 1, ts)
        if trade_id > newest + 1:
            self._absent += trade_id - newest - 1
            self._gap_count += 1
            if len(self._gaps) < GAPS_MAX:
                self._gaps.append(_IdGap(newest + 1, trade_id - 1, before, ts))
        self._newest = trade_id, ts

    def exclude(self, trade_ids: Iterable[int]) -> None:
        """Trades that are there but were refused are not missing. To be called after the last ``add``."""
        for trade_id in trade_ids:
            self._remove(trade_id)

    @property
    def missing(self) -> int:
        """How many trades are missing."""
        return self._absent if self._counts_up else 0

    def gaps(self, exchange: str, symbol: str, state: Literal["open", "unfillable"]) -> list[Gap]:
        """The gaps, GAPS_MAX at most; those that begin at the same time are one."""
        found = []
        for start, group in groupby(self._gaps if self._counts_up else (), key=lambda gap: gap.start):
            same = list(group)
            ranges = [(gap.first, gap.last) for gap in same]
            found.append(trade_gap(exchange, symbol, start, same[-1].end, ranges, state))
        return found[:GAPS_MAX]

    @property
    def _counts_up(self) -> bool:
        enough = self._trades >= TRADES_MIN
        return self._are_numbers and enough and self._gap_count <= GAP_SHARE_MAX * self._trades

    def _remove(self, trade_id: int) -> None:
        """An id that comes after a higher one was not missing."""
        at = bisect_right(self._gaps, trade_id, key=lambda gap: gap.first) - 1
        if at < 0 or trade_id > self._gaps[at].last:
            return
        gap = self._gaps[at]
        parts = gap._replace(last=trade_id - 1), gap._replace(first=trade_id + 1)
        self._gaps[at : at + 1] = left = [part for part in parts if part.first <= part.last]
        self._gap_count += len(left) - 1
        self._absent -= 1


def is_counting_id(trade_id: str) -> bool:
    """Whether the id can be one that counts up: a number of 64 bits."""
    return trade_id.isascii() and trade_id.isdigit() and len(trade_id) <= ID_DIGITS_MAX


def missing_ranges(ids: Iterable[int]) -> list[IdRange]:
    """The ranges between ascending ids."""
    return [(before + 1, after - 1) for before, after in pairwise(ids) if after > before + 1]


def format_ids(ranges: list[IdRange]) -> str:
    """The ranges as text: ``11025-11055, 11060``, with an en dash; the first RANGES_SHOWN of them."""
    shown = [str(first) if first == last else f"{first}–{last}" for first, last in ranges[:RANGES_SHOWN]]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more else "")


def trade_gap(
    exchange: str, symbol: str, start: int, end: int, ranges: list[IdRange], state: Literal["open", "unfillable"]
) -> Gap:
    """The record of missing trades between times, milliseconds UTC."""
    count = sum(last - first + 1 for first, last in ranges)
    return Gap(exchange, symbol, "", start, max(end, start + 1), state, count, format_ids(ranges))
