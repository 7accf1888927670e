"""Runs of backtests as the store keeps them. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.rows import dict_row

from tapedeck_gateway.store.bars import Pool

_RUN = """
SELECT run_id, name, namespace, strategy, params, exchange, symbols, interval, replay_uid, cash, state, message, bars,
       metrics, (extract(epoch FROM started_at) * 1000)::int8 AS started_at,
       (extract(epoch FROM ended_at) * 1000)::int8 AS ended_at
FROM runs
"""
_FILLS = """
SELECT seq, symbol, (extract(epoch FROM ts) * 1000)::int8 AS ts, side, size, price
FROM run_fills WHERE run_id = %s AND seq > %s ORDER BY seq LIMIT %s
"""
_TRADES = """
SELECT seq, symbol, side, size, (extract(epoch FROM entry_ts) * 1000)::int8 AS entry_ts, entry_price,
       (extract(epoch FROM exit_ts) * 1000)::int8 AS exit_ts, exit_price, pnl, pnl_net, commission,
       entry_reason, exit_reason
FROM run_trades WHERE run_id = %s AND seq > %s ORDER BY seq LIMIT %s
"""
_EQUITY = """
SELECT seq, (extract(epoch FROM ts) * 1000)::int8, value, cash, change_percent, drawdown_percent, sharpe
FROM run_equity
WHERE run_id = %s AND seq > %s ORDER BY seq
"""
_DRAWDOWN = """
SELECT coalesce(max(peak), 0), coalesce(max(1 - value / nullif(peak, 0)), 0) FROM (
    SELECT value, greatest(%s, max(value) OVER (ORDER BY seq)) AS peak FROM run_equity
    WHERE run_id = %s AND seq <= %s
) AS so_far
"""
_LAST = """
SELECT coalesce((SELECT max(seq) FROM run_fills WHERE run_id = %(id)s), -1),
       coalesce((SELECT max(seq) FROM run_equity WHERE run_id = %(id)s), -1),
       (SELECT count(*) FROM run_trades WHERE run_id = %(id)s)
"""
PAGE_MAX = 10_000

Row = dict[str, Any]


class EquityPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The account after one bar: event time, value and cash in the quote currency.

    Then the change since the bar before and the fall from the peak so far, percent, and the rolling Sharpe ratio.
    """

    seq: int
    ts: int
    value: float
    cash: float
    change_percent: float | None
    drawdown_percent: float | None
    sharpe: float | None


def runs(pool: Pool, limit: int) -> list[Row]:
    """The newest runs."""
    return _rows(pool, _RUN + "ORDER BY started_at DESC, run_id LIMIT %s", (limit,))


def run(pool: Pool, run_id: str) -> Row | None:
    """One run, None if the store has none of this id."""
    found = _rows(pool, _RUN + "WHERE run_id = %s", (run_id,))
    return found[0] if found else None


def report(pool: Pool, run_id: str) -> Row:
    """What a run that is over has besides its figures: the deepest drawdowns, months and years; null before."""
    found = _rows(pool, "SELECT drawdowns, periods FROM runs WHERE run_id = %s", (run_id,))
    return found[0] if found else {}


def fills(pool: Pool, run_id: str, after: int, limit: int) -> list[Row]:
    """Fills later than ``after``, in order of seq."""
    return _rows(pool, _FILLS, (run_id, after, limit))


def trades(pool: Pool, run_id: str, after: int, limit: int) -> list[Row]:
    """Closed trades later than ``after``, in order of seq."""
    return _rows(pool, _TRADES, (run_id, after, limit))


def equity(pool: Pool, run_id: str, after: int) -> list[EquityPoint]:
    """Points of the equity curve later than ``after``, in order of seq."""
    with pool.connection() as connection:
        return [EquityPoint(*row) for row in connection.execute(_EQUITY, (run_id, after), binary=True)]


def last_of(pool: Pool, run_id: str) -> tuple[int, int, int]:
    """The last seq of fills and of equity (-1 for none), and the number of closed trades."""
    with pool.connection() as connection:
        row = connection.execute(_LAST, {"id": run_id}).fetchone()
    return (-1, -1, 0) if row is None else (row[0], row[1], row[2])


def drawdown(pool: Pool, run_id: str, cash: float, upto: int) -> tuple[float, float]:
    """(highest value, deepest fall from a peak as a share of it) over the points up to seq ``upto``."""
    with pool.connection() as connection:
        row = connection.execute(_DRAWDOWN, (cash, run_id, upto)).fetchone()
    return (cash, 0.0) if row is None else (max(cash, row[0]), row[1])


def thinned(points: Sequence[EquityPoint], limit: int) -> Sequence[EquityPoint]:
    """At most ``limit`` of the points: first and last, and of each stretch its lowest and its highest."""
    if len(points) <= limit:
        return points
    stretches = (limit - 2) // 2
    inner = len(points) - 2
    kept = [0]
    for i in range(stretches):
        stretch = range(1 + inner * i // stretches, 1 + inner * (i + 1) // stretches)
        low = min(stretch, key=lambda k: points[k].value)
        high = max(stretch, key=lambda k: points[k].value)
        kept.extend(sorted({low, high}))
    return [points[k] for k in [*kept, len(points) - 1]]


def _rows(pool: Pool, query: str, values: tuple[object, ...]) -> list[Row]:
    with pool.connection() as connection:
        return connection.cursor(row_factory=dict_row).execute(query, values).fetchall()
