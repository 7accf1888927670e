"""How whole a stored series of bars is: bars of each day, and the ranges that lack some. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from psycopg import sql

from tapedeck_crds.intervals import DAY_MS, BarLength
from tapedeck_crds.session import WEEKDAYS, Session
from tapedeck_gateway.api_types.market import DayCoverage, Hole
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.page import rows_of
from tapedeck_gateway.store.pool import Pool

_IN_RANGE = sql.SQL("""
FROM bars WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s
    AND ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)
""")
_DAYS = sql.SQL("SELECT floor(date_part('epoch', ts) / 86400)::int8, count(*) {} GROUP BY 1").format(_IN_RANGE)
# The opens on both sides of each jump; a month is shorter than its longest length.
_JUMPS = sql.SQL("""
SELECT before, ts FROM (
    SELECT (date_part('epoch', ts) * 1000)::int8 AS ts,
           (date_part('epoch', lag(ts) OVER (ORDER BY ts)) * 1000)::int8 AS before {}
) AS opens WHERE ts - before > %(ms)s AND ts > %(after)s ORDER BY ts LIMIT %(limit)s
""").format(_IN_RANGE)
_ENDS = sql.SQL(
    "SELECT (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8 {}"
).format(_IN_RANGE)
# LATERAL with LIMIT is a look-up in the primary key for each range; for EXISTS the planner may read all bars.
_WITH_BARS = """
SELECT r.first, r.stop FROM unnest(%(starts)s::int8[], %(stops)s::int8[]) AS r(first, stop)
CROSS JOIN LATERAL (
    SELECT FROM bars WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s
        AND ts >= to_timestamp(r.first / 1000.0) AND ts < to_timestamp(r.stop / 1000.0)
    LIMIT 1
) AS found
"""
HOLES_MAX = 10_000
JUMPS_READ = 10_000  # at once


def day_coverage(
    pool: Pool, symbol: ChartSymbol, length: BarLength, session: Session, start: int, end: int
) -> list[DayCoverage]:
    """Each day (UTC) from ``start`` to ``end`` with its bars, and those that the session expects."""
    values = _values(symbol, length, start, end)
    stored: dict[int, int] = {row[0]: row[1] for row in rows_of(pool, _DAYS, values)}
    return [
        DayCoverage(
            f"{datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%Y-%m-%d}",
            stored.get(day, 0),
            expected_bars(session, length, max(start, day * DAY_MS), min(end, (day + 1) * DAY_MS)),
        )
        for day in range(start // DAY_MS, (end - 1) // DAY_MS + 1)
    ]


def holes(pool: Pool, symbol: ChartSymbol, length: BarLength, session: Session, start: int, end: int) -> list[Hole]:
    """The ranges within the session that have no bar, in order: all, or the first HOLES_MAX."""
    found: list[Hole] = []
    for between in ranges_without_bars(pool, symbol, length, start, end):
        found += session_parts(session, length, between)
        if len(found) >= HOLES_MAX:
            break
    return found[:HOLES_MAX]


def ranges_without_bars(
    pool: Pool, symbol: ChartSymbol, length: BarLength, start: int, end: int
) -> Iterator[list[tuple[int, int]]]:
    """The ranges without bars, sessions or not, in blocks and in order."""
    values = _values(symbol, length, start, end)
    ((first, last),) = rows_of(pool, _ENDS, values)
    if first is None:
        yield [(start, end)]
        return
    yield [(start, first)]
    after, is_more = first, True
    while is_more:
        jumps = rows_of(pool, _JUMPS, {**values, "ms": length.ms, "after": after, "limit": JUMPS_READ})
        yield [(length.close_of(before), ts) for before, ts in jumps]
        if is_more := len(jumps) == JUMPS_READ:
            after = jumps[-1][1]
    yield [(length.close_of(last), end)]


def ranges_with_bars(
    pool: Pool, symbol: ChartSymbol, length: BarLength, ranges: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Of these ranges those in which a bar opens."""
    if not ranges:
        return []
    values = {
        "exchange": symbol.exchange,
        "symbol": symbol.symbol,
        "interval": length.interval,
        "starts": [start for start, _ in ranges],
        "stops": [stop for _, stop in ranges],
    }
    return [(first, stop) for first, stop in rows_of(pool, _WITH_BARS, values)]


def expected_bars(session: Session, length: BarLength, start: int, end: int) -> int:
    """How many bars open in [start, end) while the market trades. A bar of a day has its date in UTC."""
    if session.is_continuous or length.ms > DAY_MS:
        return _opens(length, start, end)
    if length.ms == DAY_MS:
        opens = range(length.first_open(start), end, DAY_MS)
        return sum(WEEKDAYS[datetime.fromtimestamp(each / 1000, UTC).weekday()] in session.days for each in opens)
    return sum(
        _opens(length, max(start, length.open_of(day.open)), min(end, day.close)) for day in session.between(start, end)
    )


def session_parts(session: Session, length: BarLength, ranges: list[tuple[int, int]]) -> list[Hole]:
    """Of ranges without bars what lies within sessions and would have at least one."""
    if session.is_continuous or length.ms > DAY_MS:
        return [Hole(start, end) for start, end in ranges if _opens(length, start, end) > 0]
    if length.ms == DAY_MS:
        return [Hole(start, end) for start, end in ranges if expected_bars(session, length, start, end)]
    found: list[Hole] = []
    for start, end in ranges:
        for day in session.between(start, end) if start < end else ():
            first, last = max(start, length.open_of(day.open)), min(end, day.close)
            if _opens(length, first, last) > 0:
                found.append(Hole(first, last))
    return found


def _opens(length: BarLength, start: int, end: int) -> int:
    """The number of bars that open in [start, end)."""
    return max(0, length.number(end - 1) - length.number(start - 1))


def _values(symbol: ChartSymbol, length: BarLength, start: int, end: int) -> dict[str, object]:
    return {
        "exchange": symbol.exchange,
        "symbol": symbol.symbol,
        "interval": length.interval,
        "start": start,
        "end": end,
    }
