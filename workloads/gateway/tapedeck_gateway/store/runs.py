"""Backtest runs in the database. Times are milliseconds UTC."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from psycopg.rows import dict_row

from tapedeck_gateway.store.pool import Pool, connection_of

_RUN = """
SELECT run_id, name, namespace, strategy, params, exchange, symbols, interval, replay_uid, cash, state, message, bars,
       metrics, undefined, (extract(epoch FROM started_at) * 1000)::int8 AS started_at,
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
FROM equity_curve(%s, '{value,drawdown_percent}', %s, %s) ORDER BY seq
"""
_DRAWDOWN = "SELECT coalesce(max(drawdown_percent), 0) FROM run_equity WHERE run_id = %s AND seq <= %s"
_LAST_SEQS = """
SELECT coalesce((SELECT max(seq) FROM run_fills WHERE run_id = %(id)s), -1),
       coalesce((SELECT max(seq) FROM run_equity WHERE run_id = %(id)s), -1),
       (SELECT count(*) FROM run_trades WHERE run_id = %(id)s)
"""
PAGE_MAX = 10_000
CURVE_MIN = 6  # points of a thinned curve: its ends, and two extremes of two figures

RunRow: TypeAlias = dict[str, Any]
"""A row by column: the query names the columns."""


class EquityPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The account after one bar: event time, and value and cash in the quote currency.

    ``change_percent`` is the change since the bar before, ``drawdown_percent`` the loss since the highest value so
    far, ``sharpe`` the rolling Sharpe ratio.
    """

    seq: int
    ts: int
    value: float
    cash: float
    change_percent: float | None
    drawdown_percent: float | None
    sharpe: float | None


def runs(pool: Pool, limit: int) -> list[RunRow]:
    """The newest runs."""
    return _rows(pool, _RUN + "ORDER BY started_at DESC, run_id LIMIT %s", (limit,))


def run(pool: Pool, run_id: str) -> RunRow | None:
    """The run of this id; None if there is none."""
    found = _rows(pool, _RUN + "WHERE run_id = %s", (run_id,))
    return found[0] if found else None


def report(pool: Pool, run_id: str) -> RunRow:
    """Drawdowns, results by month and year, what was open at the end, and the analyses; null before the run's end."""
    found = _rows(pool, "SELECT drawdowns, periods, positions, orders, analyses FROM runs WHERE run_id = %s", (run_id,))
    return found[0] if found else {}


def fills(pool: Pool, run_id: str, after: int, limit: int) -> list[RunRow]:
    """The first ``limit`` fills with a seq above ``after``, in order."""
    return _rows(pool, _FILLS, (run_id, after, limit))


def trades(pool: Pool, run_id: str, after: int, limit: int) -> list[RunRow]:
    """The first ``limit`` closed trades with a seq above ``after``, in order."""
    return _rows(pool, _TRADES, (run_id, after, limit))


def equity(pool: Pool, run_id: str, points: int, after: int = -1) -> list[EquityPoint]:
    """At most ``points`` points of the equity curve with a seq above ``after``, in order.

    These are the first, the last, and of each stretch between those with the least and the greatest value and drawdown.
    """
    with connection_of(pool) as connection:
        return [EquityPoint(*row) for row in connection.execute(_EQUITY, (run_id, points, after), binary=True)]


def last_seqs(pool: Pool, run_id: str) -> tuple[int, int, int]:
    """The last seq of fills and of equity points (-1 for none), and the number of closed trades."""
    with connection_of(pool) as connection:
        row = connection.execute(_LAST_SEQS, {"id": run_id}).fetchone()
    return (-1, -1, 0) if row is None else (row[0], row[1], row[2])


def max_drawdown_percent(pool: Pool, run_id: str, upto: int) -> float:
    """The deepest drawdown of the points up to seq ``upto``."""
    with connection_of(pool) as connection:
        row = connection.execute(_DRAWDOWN, (run_id, upto)).fetchone()
    return 0.0 if row is None else float(row[0])


def _rows(pool: Pool, query: str, values: tuple[object, ...]) -> list[RunRow]:
    with connection_of(pool) as connection:
        return connection.cursor(row_factory=dict_row).execute(query, values).fetchall()
