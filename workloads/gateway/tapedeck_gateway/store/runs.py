"""Backtest runs in the database. Times are milliseconds UTC.

``until`` is the last event time that a reader may see: see ``future``. Rows of later events are left out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from psycopg.rows import dict_row

from tapedeck_crds.repeat import StoredRun
from tapedeck_gateway.store.page import rows_of
from tapedeck_gateway.store.pool import Pool, connection_of

_RUN = """
SELECT run_id, name, namespace, strategy, params, exchange, symbols, interval, replay_uid, cash, trials, state, message,
       bars, metrics, undefined, (extract(epoch FROM started_at) * 1000)::int8 AS started_at,
       (extract(epoch FROM ended_at) * 1000)::int8 AS ended_at,
       CASE WHEN replay_uid <> '' THEN (extract(epoch FROM greatest(
           (SELECT ts FROM run_equity AS e WHERE e.run_id = runs.run_id ORDER BY seq DESC LIMIT 1),
           (SELECT ts FROM run_fills AS f WHERE f.run_id = runs.run_id ORDER BY seq DESC LIMIT 1),
           (SELECT exit_ts FROM run_trades AS t WHERE t.run_id = runs.run_id ORDER BY seq DESC LIMIT 1)
       )) * 1000)::int8 END AS last_event
FROM runs
"""
_FILLS = """
SELECT seq, symbol, (extract(epoch FROM ts) * 1000)::int8 AS ts, side, size, price
FROM run_fills WHERE run_id = %s AND seq > %s AND ts <= to_timestamp(%s::int8 / 1000.0) ORDER BY seq LIMIT %s
"""
_TRADES = """
SELECT seq, symbol, side, size, (extract(epoch FROM entry_ts) * 1000)::int8 AS entry_ts, entry_price,
       (extract(epoch FROM exit_ts) * 1000)::int8 AS exit_ts, exit_price, pnl, pnl_net, commission,
       entry_reason, exit_reason
FROM run_trades WHERE run_id = %s AND seq > %s AND exit_ts <= to_timestamp(%s::int8 / 1000.0) ORDER BY seq LIMIT %s
"""
_EQUITY = """
SELECT seq, (extract(epoch FROM ts) * 1000)::int8, value, cash, change_percent, drawdown_percent, sharpe
FROM equity_curve(%s, '{value,drawdown_percent}', %s, %s, to_timestamp(%s::int8 / 1000.0)) ORDER BY seq
"""
_EQUITY_AFTER = """
SELECT seq, (extract(epoch FROM ts) * 1000)::int8, value, cash, change_percent, drawdown_percent, sharpe
FROM run_equity WHERE run_id = %s AND seq > %s AND ts <= to_timestamp(%s::int8 / 1000.0) ORDER BY seq LIMIT %s
"""
_DRAWDOWN = "SELECT coalesce(max(drawdown_percent), 0) FROM run_equity WHERE run_id = %s AND seq <= %s"
_LAST_SEQS = """
WITH seen AS (SELECT to_timestamp(%(until)s::int8 / 1000.0) AS until)
SELECT coalesce((SELECT seq FROM run_fills WHERE run_id = %(id)s AND ts <= until ORDER BY seq DESC LIMIT 1), -1),
       coalesce((SELECT seq FROM run_equity WHERE run_id = %(id)s AND ts <= until ORDER BY seq DESC LIMIT 1), -1),
       (SELECT count(*) FROM run_trades WHERE run_id = %(id)s AND exit_ts <= until)
FROM seen
"""
_CHOSEN = """
WHERE (%(name)s::text = '' OR name = %(name)s) AND (%(namespace)s::text = '' OR namespace = %(namespace)s)
  AND (%(strategy)s::text = '' OR strategy = %(strategy)s) AND (%(sweep)s::bool IS NULL OR (trials > 0) = %(sweep)s)
  AND (started_at < to_timestamp(%(before)s::int8 / 1000000.0)
       OR started_at = to_timestamp(%(before)s::int8 / 1000000.0) AND run_id > %(after_id)s)
ORDER BY started_at DESC, run_id LIMIT %(limit)s
"""
_STARTED = "SELECT (extract(epoch FROM started_at) * 1000000)::int8 FROM runs WHERE run_id = %(id)s"
_INPUTS = "SELECT spec, origin FROM runs LEFT JOIN run_origins USING (run_id) WHERE run_id = %(id)s"
NEWEST_US = 253_402_300_799_000_000
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


def run_page(
    pool: Pool, chosen: dict[str, str], sweep: bool | None, after: tuple[int, str] | None, limit: int
) -> tuple[list[RunRow], tuple[int, str] | None]:
    """The newest runs after a place = (start in µs, run id), and the place of the last where there may be more.

    ``chosen`` has name, namespace and strategy, empty for all; ``sweep`` is whether sweeps are wanted, None for both.
    """
    before = after or (NEWEST_US, "")
    values: dict[str, object] = {**chosen, "sweep": sweep, "before": before[0], "after_id": before[1], "limit": limit}
    found = _rows(pool, _RUN + _CHOSEN, values)
    if len(found) < limit:
        return found, None
    ((started,),) = rows_of(pool, _STARTED, {"id": found[-1]["run_id"]})
    return found, (started, found[-1]["run_id"])


def run(pool: Pool, run_id: str) -> RunRow | None:
    """The run of this id; None if there is none."""
    found = _rows(pool, _RUN + "WHERE run_id = %s", (run_id,))
    return found[0] if found else None


def stored_run(pool: Pool, run: RunRow) -> StoredRun:
    """What a run was made of."""
    ((spec, origin),) = rows_of(pool, _INPUTS, {"id": run["run_id"]})
    return StoredRun(run["run_id"], run["name"], run["namespace"], spec, run["state"], origin)


def report(pool: Pool, run_id: str) -> RunRow:
    """Drawdowns, results by month and year, what was open at the end, and the analyses; null before the run's end."""
    found = _rows(pool, "SELECT drawdowns, periods, positions, orders, analyses FROM runs WHERE run_id = %s", (run_id,))
    return found[0] if found else {}


# What is known of a run before its end. Its other columns, new ones too, are its outcome.
_KNOWN_BEFORE = frozenset(
    {"run_id", "name", "namespace", "strategy", "params", "exchange", "symbols", "interval", "replay_uid", "cash"}
    | {"trials", "state", "started_at", "ended_at"}
)


def seen_until(run: RunRow, until: int) -> RunRow:
    """The run as a reader sees it: without its outcome where it has events after ``until``.

    ``shown_until`` is then that time, otherwise null.
    """
    seen = {name: value for name, value in run.items() if name != "last_event"}
    if run["last_event"] is None or run["last_event"] <= until:
        return {**seen, "shown_until": None}
    known = {name: value if name in _KNOWN_BEFORE else None for name, value in seen.items()}
    return {**known, "message": "", "shown_until": until}


def fills(pool: Pool, run_id: str, after: int, limit: int, until: int) -> list[RunRow]:
    """The first ``limit`` fills with a seq above ``after``, in order."""
    return _rows(pool, _FILLS, (run_id, after, until, limit))


def trades(pool: Pool, run_id: str, after: int, limit: int, until: int) -> list[RunRow]:
    """The first ``limit`` trades that are closed with a seq above ``after``, in order."""
    return _rows(pool, _TRADES, (run_id, after, until, limit))


def equity(pool: Pool, run_id: str, points: int, after: int, until: int) -> list[EquityPoint]:
    """At most ``points`` points of the equity curve with a seq above ``after``, in order.

    These are the first, the last, and of each stretch between those with the least and the greatest value and drawdown.
    """
    with connection_of(pool) as connection:
        return [EquityPoint(*row) for row in connection.execute(_EQUITY, (run_id, points, after, until), binary=True)]


def equity_after(pool: Pool, run_id: str, after: int, limit: int, until: int) -> list[EquityPoint]:
    """The first ``limit`` points of the equity curve with a seq above ``after``, in order."""
    with connection_of(pool) as connection:
        rows = connection.execute(_EQUITY_AFTER, (run_id, after, until, limit), binary=True)
        return [EquityPoint(*row) for row in rows]


def last_seqs(pool: Pool, run_id: str, until: int) -> tuple[int, int, int]:
    """The last seq of fills and of equity points (-1 for none), and the number of closed trades."""
    with connection_of(pool) as connection:
        row = connection.execute(_LAST_SEQS, {"id": run_id, "until": until}).fetchone()
    return (-1, -1, 0) if row is None else (row[0], row[1], row[2])


def max_drawdown_percent(pool: Pool, run_id: str, upto: int) -> float:
    """The deepest drawdown of the points up to seq ``upto``."""
    with connection_of(pool) as connection:
        row = connection.execute(_DRAWDOWN, (run_id, upto)).fetchone()
    return 0.0 if row is None else float(row[0])


def _rows(pool: Pool, query: str, values: tuple[object, ...] | dict[str, object]) -> list[RunRow]:
    with connection_of(pool) as connection:
        return connection.cursor(row_factory=dict_row).execute(query, values).fetchall()
