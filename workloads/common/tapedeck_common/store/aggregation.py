"""SQL of bars of any interval: stored ones, and those aggregated from a finer interval that is stored.

An aggregated bar has the first open, the last close, the extremes and the sum of the volumes of the finer bars that it
contains. It exists if one of them does, and if it is over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from tapedeck_crds.intervals import BAR_LENGTHS, BarLength, finer_lengths

AggregatedBars: TypeAlias = dict[str, str]
"""Symbol → the interval of the bars that its bars are aggregated from."""

_STORED = sql.SQL(
    "SELECT symbol, ts, open, high, low, close, volume, rev FROM bars "
    "WHERE exchange = {exchange} AND interval = {interval}{symbols}{range}"
)
_AGGREGATED = sql.SQL(
    "SELECT symbol, {open} AS ts, (array_agg(open ORDER BY ts))[1] AS open, max(high) AS high, min(low) AS low, "
    "(array_agg(close ORDER BY ts DESC))[1] AS close, sum(volume ORDER BY ts) AS volume, 0 AS rev FROM bars "
    "WHERE exchange = {exchange} AND interval = {interval}{symbols}{range} GROUP BY 1, 2"
)
_SPANS = """
SELECT symbol, interval, (extract(epoch FROM first) * 1000)::int8, (extract(epoch FROM last) * 1000)::int8
FROM unnest(%(symbols)s::text[]) AS s(symbol), unnest(%(intervals)s::text[]) AS i(interval), LATERAL (
    SELECT min(ts) AS first, max(ts) AS last FROM bars
    WHERE bars.exchange = %(exchange)s AND bars.symbol = s.symbol AND bars.interval = i.interval
) AS span WHERE first IS NOT NULL
"""


def bar_open(length: BarLength) -> sql.Composable:
    """The open of the bar that contains ``ts``."""
    if length.monthly:
        return sql.SQL("date_trunc('month', ts, 'UTC')")
    return sql.SQL("date_bin({}::interval, ts, to_timestamp({}))").format(
        sql.Literal(f"{length.ms} milliseconds"), sql.Literal(length.origin // 1000)
    )


def bar_number(length: BarLength) -> sql.Composable:
    """The number of the bar that contains ``ts``, less a constant."""
    if length.monthly:
        return sql.SQL("(extract(year FROM ts AT TIME ZONE 'UTC') * 12 + extract(month FROM ts AT TIME ZONE 'UTC'))")
    return sql.SQL("div(extract(epoch FROM ts) * 1000 - {}, {})").format(
        sql.Literal(length.origin), sql.Literal(length.ms)
    )


def choose_finer(
    connection: psycopg.Connection[Any],
    exchange: str,
    symbols: Sequence[str],
    interval: str,
    start: int | None,
    end: int | None,
) -> AggregatedBars:
    """For each symbol the finer interval whose bars cover most of [start, end), the longest of several.

    Without the symbols that have none there.
    """
    finer = [length.interval for length in finer_lengths(interval)]
    if not symbols or not finer:
        return {}
    spans = connection.execute(_SPANS, {"exchange": exchange, "symbols": list(symbols), "intervals": finer})
    found: dict[str, tuple[int, int, str]] = {}
    for symbol, name, first, last in spans:
        length = BAR_LENGTHS[name]
        low, high = max(first, first if start is None else start), length.close_of(last)
        covered = (high if end is None else min(high, end)) - low
        if covered > 0:
            found[symbol] = max(found.get(symbol, (0, 0, "")), (covered, length.ms, name))
    return {symbol: name for symbol, (_, _, name) in found.items()}


def rows_of_bars(
    exchange: str, interval: str, built_from: AggregatedBars, start: int | None, end: int | None
) -> sql.Composed:
    """The columns of ``bars`` for all bars of the interval that open in [start, end).

    The symbols in ``built_from`` have aggregated bars, all others stored ones.
    """
    wanted = BAR_LENGTHS[interval]
    by_finer: dict[str, list[str]] = {}
    for symbol, finer in built_from.items():
        by_finer.setdefault(finer, []).append(symbol)
    others = sql.SQL(" AND NOT symbol = ANY({})").format(list(built_from)) if built_from else sql.SQL("")
    parts = [
        _STORED.format(
            exchange=sql.Literal(exchange), interval=sql.Literal(interval), symbols=others, range=_opens(start, end)
        )
    ]
    over = wanted.open_of(time.time_ns() // 1_000_000)
    first = None if start is None else wanted.first_open(start)
    last = over if end is None else min(over, wanted.first_open(end))
    for finer, symbols in by_finer.items():
        parts.append(
            _AGGREGATED.format(
                open=bar_open(wanted),
                exchange=sql.Literal(exchange),
                interval=sql.Literal(finer),
                symbols=sql.SQL(" AND symbol = ANY({})").format(symbols),
                range=_opens(first, last),
            )
        )
    return sql.SQL(" UNION ALL ").join(parts)


def _opens(start: int | None, end: int | None) -> sql.Composable:
    limits = [(">=", start), ("<", end)]
    return sql.Composed(
        [
            sql.SQL(" AND ts " + sign + " to_timestamp({}::int8 / 1000.0)").format(sql.Literal(limit))
            for sign, limit in limits
            if limit is not None
        ]
    )
