"""SQL of bars of any interval, curves that keep their extremes, daily closes. For TimescaleDB and Postgres."""

from __future__ import annotations

# Milliseconds by interval, of those that are whole numbers of shorter ones. Candles are counted from a Monday on which
# three days of Binance's begin as well.
LENGTHS = {
    "1s": 1_000, "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000,
    "2h": 7_200_000, "4h": 14_400_000, "6h": 21_600_000, "8h": 28_800_000, "12h": 43_200_000, "1d": 86_400_000,
    "3d": 259_200_000, "1w": 604_800_000,
}  # fmt: skip
_LENGTHS = ", ".join(f"('{name}', {ms}::int8)" for name, ms in LENGTHS.items())
SHOWN = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
MAX_CANDLES = 1500
MAX_POINTS = 1000

EXCHANGE, PRODUCT, INTERVAL = "${exchange:sqlstring}", "${product:sqlstring}", "${interval:sqlstring}"
_MONDAY = "'1970-01-05T00:00:00Z'::timestamptz"
_FROM, _TO = "$__timeFrom()::timestamptz", "$__timeTo()::timestamptz"

# `asked`: the range, and the milliseconds of a candle: those of the interval, or as many of them as keep the number of
# candles below the limit.
_ASKED = f"""
lengths(interval, ms) AS (VALUES {_LENGTHS}),
asked AS (
    SELECT ms * greatest(1, ceil(extract(epoch FROM {_TO} - {_FROM}) * 1000 / ms / {MAX_CANDLES}))::int8 AS ms
    FROM lengths WHERE interval = {INTERVAL}
), span AS (
    SELECT ms, make_interval(secs => ms / 1000.0) AS width,
           date_bin(make_interval(secs => ms / 1000.0), {_FROM}, {_MONDAY}) AS first,
           date_bin(make_interval(secs => ms / 1000.0), {_TO}, {_MONDAY}) + make_interval(secs => ms / 1000.0) AS until
    FROM asked
)"""


def series_of(exchange: str) -> str:
    """``series``: for each exchange that has the product the interval whose bars cover most of the range and make up
    whole candles, the longest of several. ``exchange`` is a condition. A bar covers the time up to its close: a series
    ends with the close of its last bar, whose open is ``last_ts``."""
    return f"""
series AS (
    SELECT DISTINCT ON (s.exchange) s.exchange, s.symbol, s.interval
    FROM bar_series AS s JOIN lengths USING (interval), span
    WHERE {exchange} AND s.symbol = {PRODUCT} AND span.ms % lengths.ms = 0
      AND s.first_ts < span.until AND s.last_ts + make_interval(secs => lengths.ms / 1000.0) > span.first
    ORDER BY s.exchange, least(s.last_ts + make_interval(secs => lengths.ms / 1000.0), span.until)
             - greatest(s.first_ts, span.first) DESC, lengths.ms DESC
)"""


def candles_of(exchange: str) -> str:
    """``candles``: exchange, time, open, high, low, close, volume. Candles are whole, also at the ends of the range."""
    return f"""
WITH {_ASKED.strip()}, {series_of(exchange).strip()}, candles AS (
    SELECT b.exchange, date_bin(span.width, b.ts, {_MONDAY}) AS time, (array_agg(b.open ORDER BY b.ts))[1] AS open,
           max(b.high) AS high, min(b.low) AS low, (array_agg(b.close ORDER BY b.ts DESC))[1] AS close,
           sum(b.volume) AS volume
    FROM bars AS b JOIN series USING (exchange, symbol, interval), span
    WHERE b.ts >= span.first AND b.ts < span.until
    GROUP BY 1, 2
)"""


def thinned(rows: str, column: str) -> str:
    """At most 1,000 of rows with ``ts``: the first, the last, and of each bucket of time the least and the greatest."""
    return f"""
WITH bucketed AS (
    SELECT ts, {column}, row_number() OVER (ORDER BY ts) AS n, count(*) OVER () AS total,
           width_bucket(extract(epoch FROM ts), extract(epoch FROM {_FROM}), extract(epoch FROM {_TO}) + 1,
                        {MAX_POINTS // 2 - 1}) AS bucket
    FROM ({rows}) AS given
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY bucket ORDER BY {column}, ts) AS lowest,
           row_number() OVER (PARTITION BY bucket ORDER BY {column} DESC, ts) AS highest
    FROM bucketed
)
SELECT ts AS time, {column} FROM ranked
WHERE total <= {MAX_POINTS} OR n IN (1, total) OR 1 IN (lowest, highest) ORDER BY ts"""


# The product's finest bars in the range.
CLOSES = f"""
SELECT b.ts, b.close FROM bars AS b
WHERE b.exchange = {EXCHANGE} AND b.symbol = {PRODUCT} AND $__timeFilter(b.ts) AND b.interval = (
    SELECT s.interval FROM bar_series AS s JOIN (VALUES {_LENGTHS})
        AS l(interval, ms) USING (interval)
    WHERE s.exchange = {EXCHANGE} AND s.symbol = {PRODUCT} AND s.first_ts <= {_TO} AND s.last_ts >= {_FROM}
    ORDER BY l.ms LIMIT 1)"""

# `source`: of each product of the exchange the interval whose bars make up days: stored days, else minutes, else the
# longest within a day.
_SOURCE = f"""
lengths(interval, ms) AS (VALUES {_LENGTHS}),
source AS (
    SELECT DISTINCT ON (symbol) symbol, interval, ms FROM bar_series JOIN lengths USING (interval)
    WHERE exchange = {EXCHANGE} AND 86400000 % ms = 0 AND %s
    ORDER BY symbol, interval = '1d' DESC, interval = '1m' DESC, ms DESC
), shown AS (
    SELECT date_trunc('day', {_FROM}, 'UTC') AS first, {_TO} AS until
)"""


def _source(products: str) -> str:
    return _SOURCE.replace("%s", products).strip()


def daily_of(products: str) -> str:
    """``daily``: a bar a day of each product of the exchange, stored or rolled up. ``products`` is a condition."""
    return f"""
WITH {_source(products)}, daily AS (
    SELECT b.symbol, b.ts AS day, b.open, b.high, b.low, b.close, b.volume
    FROM bars AS b JOIN source USING (symbol), shown
    WHERE source.interval = '1d' AND b.interval = '1d' AND b.exchange = {EXCHANGE}
      AND b.ts >= shown.first AND b.ts <= shown.until
    UNION ALL
    SELECT b.symbol, b.bucket, b.open, b.high, b.low, b.close, b.volume
    FROM bars_1d AS b JOIN source USING (symbol), shown
    WHERE source.interval = '1m' AND b.exchange = {EXCHANGE} AND b.bucket >= shown.first AND b.bucket <= shown.until
    UNION ALL
    SELECT b.symbol, date_trunc('day', b.ts, 'UTC'), (array_agg(b.open ORDER BY b.ts))[1], max(b.high), min(b.low),
           (array_agg(b.close ORDER BY b.ts DESC))[1], sum(b.volume)
    FROM bars AS b JOIN source USING (symbol, interval), shown
    WHERE source.interval NOT IN ('1d', '1m') AND b.exchange = {EXCHANGE}
      AND b.ts >= shown.first AND b.ts <= shown.until
    GROUP BY 1, 2
)"""


def most_traded(limit: int) -> str:
    """The products of the exchange with the greatest volume in their quote currency, each on its last day in the range:
    as many bars as a day has, by the index, rather than all of the range."""
    return f"""
WITH {_source("true")}
SELECT symbol FROM source, shown, LATERAL (
    SELECT sum(volume * close) AS volume FROM (
        SELECT b.volume, b.close FROM bars AS b
        WHERE b.exchange = {EXCHANGE} AND b.symbol = source.symbol AND b.interval = source.interval
          AND b.ts >= shown.first AND b.ts <= shown.until
        ORDER BY b.ts DESC LIMIT 86400000 / source.ms
    ) AS bars_of_day
) AS last_day
WHERE volume IS NOT NULL ORDER BY volume DESC, symbol LIMIT {limit}"""
