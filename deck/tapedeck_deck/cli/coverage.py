"""How whole a stored series is: its rows, and which share of its time has them. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import psycopg

from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS, BarLength
from tapedeck_crds.session import WEEKDAYS, Session
from tapedeck_crds.text import printable

TRADES = "trades"
CELLS = 24
_BLOCKS = "·▁▂▃▄▅▆▇█"

Unit = Literal["bars", "trading days", "trades"]

_BARS = """
SELECT width_bucket(ts, %(borders)s::timestamptz[]), count(*), (extract(epoch FROM min(ts)) * 1000)::int8,
       (extract(epoch FROM max(ts)) * 1000)::int8
FROM bars WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s GROUP BY 1
"""
# A session that opens on the evening before belongs to the next date: the shift moves its open to midnight.
_DAYS = """
SELECT (ts AT TIME ZONE %(zone)s + %(shift)s::interval)::date, count(*), (extract(epoch FROM min(ts)) * 1000)::int8,
       (extract(epoch FROM max(ts)) * 1000)::int8
FROM bars WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s GROUP BY 1
"""
_HOURS = """
SELECT floor(date_part('epoch', ts) / 3600)::int8, count(*), (extract(epoch FROM min(ts)) * 1000)::int8,
       (extract(epoch FROM max(ts)) * 1000)::int8
FROM trades WHERE exchange = %(exchange)s AND symbol = %(symbol)s GROUP BY 1
"""
_MISSING_TRADES = """
SELECT coalesce(sum(trades), 0)::int8 FROM gaps
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = '' AND state <> 'filled'
"""


@dataclass(frozen=True)
class SeriesName:
    """One series; ``interval`` is empty for trades."""

    exchange: str
    symbol: str
    interval: str

    @property
    def kind(self) -> str:
        """The interval of its bars, or trades."""
        return self.interval or TRADES

    def __str__(self) -> str:
        return series_text(self.exchange, self.symbol, self.kind)


def series_text(exchange: str, symbol: str, kind: str) -> str:
    """A series in one line, by which scripts tell it from others: exchange, symbol, and interval or trades."""
    return printable(f"{exchange} {symbol} {kind}")


@dataclass(frozen=True)
class Coverage:
    """What the store has of a series.

    ``missing`` counts in ``unit``: bars of the interval's grid, trading days without a bar, or trades that are
    known to be missing by their ids. ``shares`` has CELLS equal parts of the time from first to last, each with its
    share of bars, trading days or (trades) hours.
    """

    rows: int
    first: int
    last: int
    missing: int
    unit: Unit
    share: float
    shares: tuple[float, ...]

    @property
    def blocks(self) -> str:
        """The shares as a line of blocks: a full one has nothing missing, a dot has nothing."""
        return "".join(block(share) for share in self.shares)

    @property
    def percent(self) -> str:
        """The share, rounded down: only a series without a hole has 100.0%."""
        return f"{int(self.share * 1000) / 10:.1f}%"


def block(share: float) -> str:
    """The character of a share from 0 to 1: only 0 has the first, and only 1 the last."""
    inner = len(_BLOCKS) - 2
    return _BLOCKS[0 if share <= 0 else inner + 1 if share >= 1 else 1 + min(int(share * inner), inner - 1)]


def bars_coverage(
    connection: psycopg.Connection[Any], name: SeriesName, first: int, last: int, session: Session | None
) -> Coverage | None:
    """The coverage of a series of bars with these first and last opens; None where it has no bar."""
    length = BAR_LENGTHS[name.interval]
    if session is not None and not session.is_continuous and length.ms <= DAY_MS:
        return _days_coverage(connection, name, length, session)
    count = length.number(last) - length.number(first) + 1
    groups = split(count)
    numbers = [length.number(first) + start for start, _ in groups]
    borders = [datetime.fromtimestamp(length.opens(number) / 1000, UTC) for number in numbers]
    found = connection.execute(_BARS, {**vars(name), "borders": borders}).fetchall()
    rows = sum(row[1] for row in found)
    if not rows:
        return None
    in_group = {row[0] - 1: row[1] for row in found}
    shares = [in_group.get(i, 0) / size for i, (_, size) in enumerate(groups)]
    return Coverage(
        rows, min(row[2] for row in found), max(row[3] for row in found), count - rows, "bars", rows / count,
        stretched(shares),
    )  # fmt: skip


def _days_coverage(
    connection: psycopg.Connection[Any], name: SeriesName, length: BarLength, session: Session
) -> Coverage | None:
    """Trading days with at least one bar, of all weekdays of the session; a bar of a day has its date in UTC."""
    zone, shift = (session.timezone, _shift(session)) if length.ms < DAY_MS else ("UTC", timedelta())
    found = connection.execute(_DAYS, {**vars(name), "zone": zone, "shift": shift}).fetchall()
    if not found:
        return None
    expected = trading_days(session, min(row[0] for row in found), max(row[0] for row in found))
    present = {row[0] for row in found}
    missing, share, shares = _of_slots([day in present for day in expected])
    return _coverage(found, missing, "trading days", share, shares)


def trades_coverage(connection: psycopg.Connection[Any], name: SeriesName) -> Coverage | None:
    """The coverage of a symbol's trades, by hours with at least one of them; None where it has none."""
    found = connection.execute(_HOURS, vars(name)).fetchall()
    if not found:
        return None
    row = connection.execute(_MISSING_TRADES, vars(name)).fetchone()
    present = {each[0] for each in found}
    _, share, shares = _of_slots([hour in present for hour in range(min(present), max(present) + 1)])
    return _coverage(found, int(row[0]) if row else 0, "trades", share, shares)


def trading_days(session: Session, first: date, last: date) -> list[date]:
    """The dates of the session's weekdays from ``first`` to ``last``. Holidays are not known."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if WEEKDAYS[day.weekday()] in session.days]


def split(count: int) -> list[tuple[int, int]]:
    """``count`` places in at most CELLS groups of nearly equal size: (first place, size) of each."""
    groups = min(CELLS, count)
    starts = [count * i // groups for i in range(groups + 1)]
    return [(start, end - start) for start, end in pairwise(starts)]


def stretched(shares: Sequence[float]) -> tuple[float, ...]:
    """CELLS shares of fewer groups: each has that of the group in which it lies."""
    return tuple(shares[i * len(shares) // CELLS] for i in range(CELLS))


def _shift(session: Session) -> timedelta:
    opens = timedelta(hours=int(session.open[:2]), minutes=int(session.open[3:]))
    return timedelta(days=1) - opens if session.open >= session.close else timedelta()


def _of_slots(present: Sequence[bool]) -> tuple[int, float, tuple[float, ...]]:
    """How many slots are empty, the share of the others, and that of each cell."""
    if not present:
        return 0, 1.0, (1.0,) * CELLS
    shares = [sum(present[start : start + size]) / size for start, size in split(len(present))]
    return len(present) - sum(present), sum(present) / len(present), stretched(shares)


def _coverage(
    found: Sequence[tuple[Any, ...]], missing: int, unit: Unit, share: float, shares: tuple[float, ...]
) -> Coverage:
    """Of rows with slot, number, first and last."""
    first, last = min(row[2] for row in found), max(row[3] for row in found)
    return Coverage(sum(row[1] for row in found), first, last, missing, unit, share, shares)
