"""Market: the timeline and the candles of a product, its volume, spreads, tickers and trades."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.market_sql import CLOSES, EXCHANGE, PRODUCT, SHOWN, candles_of, thinned
from dashboards.panels import candles, columns, kept, lines, rows
from dashboards.queries import sql, sql_series
from dashboards.variables import choice_variable, rows_variable, store_variable

_OWN = candles_of(f"s.exchange = {EXCHANGE}")
_EVERY = candles_of("true")
_SERIES = """
SELECT exchange, symbol, interval, first_ts, last_ts, (extract(epoch FROM first_ts) * 1000)::int8 AS "from",
       (extract(epoch FROM last_ts) * 1000)::int8 + 60000 AS "to"
FROM bar_series ORDER BY exchange, symbol, last_ts - first_ts DESC LIMIT 1000
"""
_JUMP = (
    "/d/tapedeck-market?var-exchange=${__data.fields.exchange}&var-product=${__data.fields.symbol}"
    "&from=${__data.fields.from}&to=${__data.fields.to}" + kept("store", "interval")
)
_TICKERS = """
SELECT DISTINCT ON (symbol) symbol, ts AS time, price, bid, ask, (ask - bid) / nullif(bid, 0) AS spread, volume24h
FROM tickers WHERE exchange = ${exchange:sqlstring} AND ts BETWEEN $__timeTo()::timestamptz - interval '1 day'
       AND $__timeTo()
ORDER BY symbol, ts DESC
"""


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "market",
        "market",
        "Bars, tickers and trades of one product, and the differences between exchanges.",
        [
            store_variable(),
            rows_variable("exchange", "Exchange", "SELECT DISTINCT exchange FROM bar_series ORDER BY 1"),
            rows_variable(
                "product", "Product", f"SELECT DISTINCT symbol FROM bar_series WHERE exchange = {EXCHANGE} ORDER BY 1"
            ),
            choice_variable("interval", "Interval", SHOWN, "1h"),
        ],
        [
            row(
                7,
                lines(
                    "Timeline",
                    "Close of the finest bars in the range. Where there are more points than pixels, the least and the "
                    "greatest of each bucket are drawn.",
                    "short",
                    sql(thinned(CLOSES, "close")),
                ),
            ),
            row(
                12,
                candles(
                    "Candles",
                    "Bars of the interval: stored ones, else aggregated from shorter ones. In a long range a candle "
                    "has several intervals.",
                    sql(f"{_OWN} SELECT time, open, high, low, close, volume FROM candles ORDER BY time"),
                ),
            ),
            row(
                8,
                columns(
                    "Volume",
                    "In units of the product, by candle.",
                    "short",
                    sql(f"{_OWN} SELECT time, volume FROM candles ORDER BY time"),
                ),
                lines(
                    "Spread between exchanges",
                    "Difference of each exchange's close to the mean of all exchanges that have the product.",
                    "percentunit",
                    sql_series(
                        f"{_EVERY} SELECT time, exchange AS metric, "
                        "close / nullif(avg(close) OVER (PARTITION BY time), 0) - 1 AS spread "
                        "FROM (SELECT *, count(*) OVER (PARTITION BY time) AS exchanges FROM candles) AS counted "
                        "WHERE exchanges > 1 ORDER BY time"
                    ),
                ),
            ),
            row(
                8,
                lines(
                    "Ticker price",
                    "Price of the product's tickers; the least and the greatest of each bucket.",
                    "short",
                    sql(
                        thinned(
                            f"SELECT ts, price FROM tickers WHERE exchange = {EXCHANGE} AND symbol = {PRODUCT} "
                            "AND $__timeFilter(ts)",
                            "price",
                        )
                    ),
                ),
                rows(
                    "Tickers",
                    "The last of each product in the day before the end of the range.",
                    sql(_TICKERS),
                    units={"spread": "percentunit"},
                ),
            ),
            row(
                9,
                rows(
                    "Series",
                    "All stored bars. A link opens the time that a series has.",
                    sql(_SERIES),
                    links={"symbol": ("Show it", _JUMP)},
                    hidden=("from", "to"),
                ),
                rows(
                    "Trades",
                    "The last of the product in the range.",
                    sql(
                        f"SELECT ts AS time, price, amount, side, id FROM trades WHERE exchange = {EXCHANGE} "
                        f"AND symbol = {PRODUCT} AND $__timeFilter(ts) "
                        "ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC LIMIT 100"
                    ),
                ),
            ),
        ],
        period=("now-7d", "now"),
    )
