"""One market's records in the order of time, and the points they result in: repeats dropped, corrections heeded."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeAlias

from tapedeck_common.market import Bar, Point, Trade
from tapedeck_transform.chain import Chain, Failed
from tapedeck_transform.layout import Layout
from tapedeck_transform.stages import Call
from tapedeck_transform.values import Record, Value

CORRECTED = 16  # so many of the last bars' results follow a correction
KEPT_MAX = 20_000


class _Kept(NamedTuple):
    record: Bar
    offset: int
    low: int


_Found: TypeAlias = dict[tuple[str, tuple[int, str, str]], Value]
"""Results by transform and place."""


class Series:
    """What is remembered of one series, all of it a function of the records from ``low`` on."""

    def __init__(self, layout: Layout, call: Call) -> None:
        self._layout, self._call = layout, call
        self._chain = Chain(layout, call)
        self._last: tuple[Record, int] | None = None  # with the place of the first of the same time
        self._ids: set[str] = set()  # of the trades of that time
        self._bars: deque[_Kept] = deque(maxlen=KEPT_MAX)

    @property
    def low(self) -> int | None:
        """The place on the log from which on the records must be read to go on; None before the first."""
        if self._last is None:
            return None
        lows = (self._chain.low, self._bars[0].offset if self._bars else None, self._last[1])
        return min(low for low in lows if low is not None)

    def take(self, record: Record, offset: int, failed: Failed) -> list[Point]:
        """The points of the next record: none for one that was there before."""
        if self._last is not None and not self._follows(record, self._last[0]):
            return self._correct(record, offset) if isinstance(record, Bar) else []
        self._note(record, offset)
        found = [_point(record, name, value) for name, value in self._chain.push(record, offset, failed)]
        if isinstance(record, Bar):
            self._bars.append(_Kept(record, offset, _low(self._chain, offset)))
            self._forget()
        return found

    def _follows(self, record: Record, last: Record) -> bool:
        """Whether a record is a new one, behind the last: ids of trades that are numbers say it, else their times."""
        if isinstance(record, Trade) and isinstance(last, Trade):
            if record.id.isdigit() and last.id.isdigit():
                return (len(record.id), record.id) > (len(last.id), last.id)
            return record.ts > last.ts or (record.ts == last.ts and record.id not in self._ids)
        return record.ts > last.ts

    def _note(self, record: Record, offset: int) -> None:
        same = self._last is not None and self._last[0].ts == record.ts
        self._last = (record, self._last[1] if same and self._last is not None else offset)
        if isinstance(record, Trade):
            if not same:
                self._ids.clear()
            self._ids.add(record.id)

    def _forget(self) -> None:
        """The bars that neither a result nor a correction of one needs any more."""
        if len(self._bars) <= CORRECTED:
            return
        low = self._bars[-1 - CORRECTED].low
        while len(self._bars) > CORRECTED + 1 and self._bars[0].offset < low:
            self._bars.popleft()

    def _correct(self, bar: Bar, offset: int) -> list[Point]:
        """A bar that is there already, or belongs between others: results that it changes are told again."""
        kept = list(self._bars)
        at = next((i for i, each in enumerate(kept) if each.record.ts >= bar.ts), len(kept))
        if at == len(kept) or (at == 0 and kept[0].record.ts != bar.ts):
            return []
        there = kept[at]
        if there.record.ts == bar.ts and there.record.rev >= bar.rev:
            return []
        before, _, _ = self._through(kept)
        if there.record.ts == bar.ts:
            kept[at] = _Kept(bar, there.offset, 0)
        else:  # it counts as read with the one before it, without which it would be too late
            kept.insert(at, _Kept(bar, kept[at - 1].offset, 0))
        after, kept, self._chain = self._through(kept)
        self._bars = deque(kept, KEPT_MAX)
        self._last = (kept[-1].record, kept[-1].offset)
        return _changed(bar, before, after)

    def _through(self, kept: list[_Kept]) -> tuple[_Found, list[_Kept], Chain]:
        """All that is kept through a chain of its own: results, the same with its lows, and the chain."""
        chain = Chain(self._layout, self._call)
        found: _Found = {}
        again: list[_Kept] = []
        for each in kept:
            results = chain.push(each.record, each.offset, _unsaid)
            found |= {(name, value.place): value for name, value in results}
            again.append(each._replace(low=_low(chain, each.offset)))
        return found, again, chain


def _low(chain: Chain, offset: int) -> int:
    return offset if chain.low is None else chain.low


def _unsaid(_name: str, _record: Record, _reason: str) -> None:
    """It was said when the record came first."""


def _changed(
    bar: Bar,
    before: dict[tuple[str, tuple[int, str, str]], Value],
    after: dict[tuple[str, tuple[int, str, str]], Value],
) -> list[Point]:
    points = []
    for (name, place), value in after.items():
        old = before.get((name, place))
        if old is None or value.rev > old.rev:
            points.append(_point(bar, name, value))
    for (name, place), old in before.items():
        if (name, place) not in after:  # a filter lets it pass no more
            points.append(
                Point(bar.exchange, bar.symbol, old.interval, name, old.ts, None, old.id, rev=old.rev + max(bar.rev, 1))
            )
    return points


def _point(record: Record, name: str, value: Value) -> Point:
    return Point(
        record.exchange, record.symbol, value.interval, name, value.ts, value.value, value.id,
        value.open, value.high, value.low, value.volume, value.rev,
    )  # fmt: skip
