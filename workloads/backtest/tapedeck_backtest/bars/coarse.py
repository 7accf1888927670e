"""Which bar of a coarser interval a bar belongs to, by the session of its market.

In a market that never closes, with days in UTC, ``BarLength`` aligns the bars. In others a day is a session from its
open to its close, and a week or month its sessions; shorter intervals count from the local midnight before the open and
end with the session.
A bar outside the sessions belongs to none.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from tapedeck_backtest.bars.clock import DAY_MS
from tapedeck_common.bar_times import closes_of, opens_of
from tapedeck_common.store.bars import Ints
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_crds.session import ALWAYS_OPEN, Session, TradingDay

OUTSIDE = -1
"""The close of a coarse bar for bars outside the sessions."""
EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Limits:
    """The times in ms UTC from which and to which the bars of a run are known; None without a limit.

    A run that begins or ends within a session does not have it whole.
    """

    start: int | None = None
    end: int | None = None

    def within(self, first: int, last: int) -> tuple[int, int]:
        """The part of a span that is within the limits."""
        start = first if self.start is None else max(first, self.start)
        return start, last if self.end is None else min(last, self.end)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class CoarseBars:
    """Bars of ``wide`` over bars of ``fine``, both intervals, of a symbol with this session."""

    session: Session
    fine: str
    wide: str

    @property
    def by_sessions(self) -> bool:
        """Whether sessions make the bars. They do not make those of days, which have no times within a session."""
        return self.session != ALWAYS_OPEN and BAR_LENGTHS[self.fine].ms < DAY_MS

    def known(self, first: int, last: int) -> tuple[int, int]:
        """The time of which bars from open ``first`` to close ``last`` tell (ms UTC).

        Where the market rests between sessions, these are whole ones: what lacks in one was not traded.
        """
        if not self.by_sessions or self.session.is_continuous:
            return first, last
        days = list(self.session.between(first, last))
        return min([first, *(day.open for day in days)]), max([last, *(day.close for day in days)])

    def spans(self, events: Ints) -> tuple[Ints, Ints]:
        """For each fine bar (event times in ms UTC, ascending), open and close of its coarse bar, or OUTSIDE."""
        opened, wide = opens_of(BAR_LENGTHS[self.fine], events - 1), BAR_LENGTHS[self.wide]
        if not self.by_sessions:
            opens = opens_of(wide, opened)
            return opens, closes_of(wide, opens)
        beside = wide.ms if wide.ms > DAY_MS else 0  # so that the first and the last week or month have all sessions
        days = list(self.session.between(int(opened[0]) - beside, int(events[-1]) + beside)) if len(events) else []
        if not days:
            return opened, np.full(len(events), OUTSIDE)
        starts, ends = (np.array([getattr(day, name) for day in days], dtype=np.int64) for name in ("open", "close"))
        session = np.searchsorted(starts, opened, side="right") - 1
        inside = (session >= 0) & (opened < ends[session])
        first, last = _groups(days, wide)
        opens, closes = starts[first[session]], ends[last[session]]
        if wide.ms < DAY_MS:
            cell = (opened - opens + self._since_midnight) // wide.ms * wide.ms - self._since_midnight + opens
            opens, closes = np.maximum(opens, cell), np.minimum(closes, cell + wide.ms)
        return opens, np.where(inside, closes, OUTSIDE)

    @property
    def _since_midnight(self) -> int:
        """Milliseconds from the local midnight to the open of a session."""
        return 60_000 * (60 * int(self.session.open[:2]) + int(self.session.open[3:]))

    def span(self, event: int) -> tuple[int, int]:
        """``spans`` of one bar."""
        opens, closes = self.spans(np.array([event]))
        return int(opens[0]), int(closes[0])


def _groups(days: list[TradingDay], wide: BarLength) -> tuple[Ints, Ints]:
    """For each trading day, the first and the last of its day, week or month."""
    dates = [(day.date.toordinal() - EPOCH_ORDINAL) * DAY_MS for day in days]
    numbers = np.array([wide.number(date) if wide.ms > DAY_MS else date for date in dates], dtype=np.int64)
    _, firsts, group = np.unique(numbers, return_index=True, return_inverse=True)
    lasts = np.append(firsts[1:], len(days)) - 1
    return firsts[group], lasts[group]
