"""What charts mark: the fills and trades of a run, and gaps. Times are milliseconds UTC.

Ranges are of bars, [start, end). A fill and an exit have the event time of their bar, which is its close: those of a
range are in (start, end]. ``until`` is the last event time that a reader may see: see ``future``.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import class_row

from tapedeck_common.store.aggregation import bar_open
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.chart_marks import MARKS_OF_BAR
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.pool import Pool, connection_of

MARKS_MAX = 5_000  # of each kind: the newest
_RUN_OF = """
SELECT run_id, name, strategy, replay_uid FROM runs
WHERE replay_uid = %(replay)s AND %(symbol)s = ANY(symbols) AND (replay_uid <> '' OR exchange = %(exchange)s)
    AND (%(run)s::text = '' OR run_id = %(run)s)
ORDER BY started_at DESC, run_id LIMIT 1
"""
_FILLS = sql.SQL("""
SELECT seq, (extract(epoch FROM event) * 1000)::int8 AS ts, side, size, price,
       CASE WHEN number = %(of_bar)s THEN fills - number ELSE 0 END AS left_out
FROM (
    SELECT seq, event, side, size, price, row_number() OVER (PARTITION BY {open} ORDER BY seq) AS number,
           count(*) OVER (PARTITION BY {open}) AS fills
    FROM (
        SELECT seq, side, size, price, ts AS event, ts - interval '1 millisecond' AS ts FROM run_fills
        WHERE run_id = %(run)s AND symbol = %(symbol)s AND ts > to_timestamp(%(start)s::int8 / 1000.0)
            AND ts <= to_timestamp(least(%(end)s::int8, %(until)s::int8) / 1000.0)
    ) AS within_bars
) AS of_bars
WHERE number <= %(of_bar)s ORDER BY seq DESC LIMIT %(limit)s
""")
_TRADES = """
SELECT seq, (extract(epoch FROM exit_ts) * 1000)::int8 AS ts, side, size, entry_price, exit_price, pnl_net, exit_reason
FROM run_trades
WHERE run_id = %(run)s AND symbol = %(symbol)s AND exit_ts > to_timestamp(%(start)s::int8 / 1000.0)
    AND exit_ts <= to_timestamp(least(%(end)s::int8, %(until)s::int8) / 1000.0)
ORDER BY seq DESC LIMIT %(limit)s
"""
_GAPS = """
SELECT interval, (extract(epoch FROM start_ts) * 1000)::int8 AS ts, (extract(epoch FROM end_ts) * 1000)::int8 AS until,
       state, trades
FROM gaps
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND start_ts >= to_timestamp(%(start)s::int8 / 1000.0)
    AND start_ts < to_timestamp(%(end)s::int8 / 1000.0) AND end_ts <= to_timestamp(%(until)s::int8 / 1000.0)
ORDER BY start_ts DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class MarkedRun:
    """The run whose fills and trades a chart marks."""

    run_id: str
    name: str
    strategy: str
    replay_uid: str


@dataclass(frozen=True)
class MarkedFill:
    """A fill at event time ``ts``: ``size`` in the base currency, ``price`` in the quote currency.

    ``left_out`` is the number of fills of its bar after it that are not marked.
    """

    seq: int
    ts: int
    side: str
    size: float
    price: float
    left_out: int


@dataclass(frozen=True)
class MarkedTrade:
    """A closed trade; ``ts`` is that of its exit."""

    seq: int
    ts: int
    side: str
    size: float
    entry_price: float
    exit_price: float
    pnl_net: float
    exit_reason: str


@dataclass(frozen=True)
class MarkedGap:
    """Missing bars of an interval; with an empty interval, ``trades`` missing trades."""

    interval: str
    ts: int
    until: int
    state: str
    trades: int


def run_of(pool: Pool, symbol: ChartSymbol, run_id: str = "") -> MarkedRun | None:
    """The run of this id, if it traded the symbol; without an id, the newest one that did."""
    values = {"replay": symbol.replay, "symbol": symbol.symbol, "exchange": symbol.exchange, "run": run_id}
    with connection_of(pool) as connection:
        return connection.cursor(row_factory=class_row(MarkedRun)).execute(_RUN_OF, values).fetchone()


def fills_between(
    pool: Pool, run: MarkedRun, symbol: str, length: BarLength, start: int, end: int, until: int
) -> list[MarkedFill]:
    """The newest fills of a run in a symbol, in order; of each bar of a length the first MARKS_OF_BAR."""
    values = {"run": run.run_id, "symbol": symbol, "start": start, "end": end, "until": until, "limit": MARKS_MAX}
    values |= {"of_bar": MARKS_OF_BAR}
    query = _FILLS.format(open=bar_open(length))
    with connection_of(pool) as connection:
        return connection.cursor(row_factory=class_row(MarkedFill)).execute(query, values).fetchall()[::-1]


def trades_between(pool: Pool, run: MarkedRun, symbol: str, start: int, end: int, until: int) -> list[MarkedTrade]:
    """The newest trades of a run in a symbol that were closed in a range, in order."""
    values = {"run": run.run_id, "symbol": symbol, "start": start, "end": end, "until": until, "limit": MARKS_MAX}
    with connection_of(pool) as connection:
        return connection.cursor(row_factory=class_row(MarkedTrade)).execute(_TRADES, values).fetchall()[::-1]


def gaps_between(pool: Pool, exchange: str, symbol: str, start: int, end: int, until: int) -> list[MarkedGap]:
    """The newest gaps that begin in a range and end by ``until``, in order."""
    values = {"exchange": exchange, "symbol": symbol, "start": start, "end": end, "until": until, "limit": MARKS_MAX}
    with connection_of(pool) as connection:
        return connection.cursor(row_factory=class_row(MarkedGap)).execute(_GAPS, values).fetchall()[::-1]
