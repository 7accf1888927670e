"""The symbols of an exchange whose prices changed most, by two look-ups for each. Times are milliseconds UTC."""

from __future__ import annotations

from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.api_types.analytics import Mover
from tapedeck_gateway.store.page import rows_of
from tapedeck_gateway.store.pool import Pool

_NEWEST = """
SELECT (extract(epoch FROM max(last_ts + ms * interval '1 millisecond')) * 1000)::int8
FROM bar_series JOIN unnest(%(intervals)s::text[], %(ms)s::int8[]) AS l(interval, ms) USING (interval)
WHERE exchange = %(exchange)s
"""
# Of each symbol the series that reaches furthest, the finest of several.
_MOVERS = """
WITH lengths AS (
    SELECT * FROM unnest(%(intervals)s::text[], %(ms)s::int8[]) AS l(interval, ms)
), chosen AS (
    SELECT DISTINCT ON (symbol) symbol, interval, ms * interval '1 millisecond' AS length
    FROM bar_series JOIN lengths USING (interval) WHERE exchange = %(exchange)s
    ORDER BY symbol, last_ts + ms * interval '1 millisecond' DESC, ms
), moments AS (
    SELECT to_timestamp(%(at)s::int8 / 1000.0) AS at, to_timestamp(%(before)s::int8 / 1000.0) AS before
)
SELECT %(exchange)s::text || ':' || symbol, (extract(epoch FROM now.ts + length) * 1000)::int8, now.close, past.close,
       now.close / past.close - 1
FROM chosen, moments, LATERAL (
    SELECT ts, close FROM bars WHERE exchange = %(exchange)s AND bars.symbol = chosen.symbol
        AND bars.interval = chosen.interval AND ts <= at - length AND ts > before - length ORDER BY ts DESC LIMIT 1
) AS now, LATERAL (
    SELECT close FROM bars WHERE exchange = %(exchange)s AND bars.symbol = chosen.symbol
        AND bars.interval = chosen.interval AND ts <= before - length ORDER BY ts DESC LIMIT 1
) AS past
WHERE past.close > 0 ORDER BY 5 DESC, 1
"""
_FIXED = [length for length in BAR_LENGTHS.values() if not length.monthly]
_LENGTHS = {"intervals": [length.interval for length in _FIXED], "ms": [length.ms for length in _FIXED]}


def newest_close(pool: Pool, exchange: str) -> int | None:
    """The close of the newest bar of an exchange; None where it has none."""
    ((found,),) = rows_of(pool, _NEWEST, {"exchange": exchange, **_LENGTHS})
    return None if found is None else int(found)


def movers(pool: Pool, exchange: str, before: int, at: int) -> list[Mover]:
    """Each symbol that has a close in (before, at] and one by ``before``: the greatest rise first."""
    return [
        Mover(*row) for row in rows_of(pool, _MOVERS, {"exchange": exchange, "before": before, "at": at, **_LENGTHS})
    ]
