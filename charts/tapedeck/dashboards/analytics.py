"""Analytics: weekly returns, volatility, volume and movers of the products of an exchange."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.market_sql import daily_of, most_traded
from dashboards.panels import columns, kept, lines, rows
from dashboards.queries import sql, sql_series
from dashboards.variables import rows_variable, store_variable

_DAYS = 30
_MOST = 20
_DAILY = daily_of("symbol = ANY (ARRAY[${product:sqlstring}]::text[])")
# The first week has no close before it, unless the range begins with it.
_WEEKLY_RETURNS = f"""
{_DAILY}, weekly AS (
    SELECT symbol, date_trunc('week', day, 'UTC') AS week, (array_agg(close ORDER BY day DESC))[1] AS close
    FROM daily GROUP BY 1, 2
), compared AS (
    SELECT week AS time, symbol AS metric,
           close / nullif(lag(close) OVER (PARTITION BY symbol ORDER BY week), 0) - 1 AS return
    FROM weekly
)
SELECT time, metric, return FROM compared WHERE return IS NOT NULL ORDER BY 1
"""
_VOLATILITY = f"""
{_DAILY}, changes AS (
    SELECT symbol, day, ln(close / lag(close) OVER (PARTITION BY symbol ORDER BY day)) AS change
    FROM daily WHERE close > 0
), deviations AS (
    SELECT day AS time, symbol AS metric, sqrt(365) * stddev_samp(change) OVER days AS volatility,
           count(change) OVER days AS changes
    FROM changes WINDOW days AS (PARTITION BY symbol ORDER BY day ROWS {_DAYS - 1} PRECEDING)
)
SELECT time, metric, volatility FROM deviations WHERE changes >= 2 ORDER BY 1
"""
_VOLUME = f"""
{_DAILY}
SELECT date_trunc('week', day, 'UTC') AS time, symbol AS metric, sum(volume * close) AS volume
FROM daily GROUP BY 1, 2 ORDER BY 1
"""
_MOVERS = f"""
{daily_of("true")}, ends AS (
    SELECT symbol, (array_agg(open ORDER BY day))[1] AS first_open,
    (array_agg(close ORDER BY day DESC))[1] AS last_close,
           max(high) AS high, min(low) AS low, sum(volume * close) AS quote_volume
    FROM daily GROUP BY 1
)
SELECT symbol, last_close / nullif(first_open, 0) - 1 AS change, first_open, last_close, high, low, quote_volume
FROM ends ORDER BY abs(last_close / nullif(first_open, 0) - 1) DESC NULLS LAST LIMIT 50
"""
# The product's variable on the other dashboard comes after the exchange, whose products it offers.
_SHOW = "/d/tapedeck-market?var-exchange=${exchange}&var-product=${__value.raw}&${__url_time_range}" + kept("store")


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "analytics",
        "analytics",
        "Figures of the daily bars of an exchange's products: stored ones, else those that shorter bars make up. The "
        f"products offered are the {_MOST} with the greatest volume; the name of another one can be entered.",
        [
            store_variable(),
            rows_variable("exchange", "Exchange", "SELECT DISTINCT exchange FROM bar_series ORDER BY 1"),
            rows_variable("product", "Products", most_traded(_MOST), multi=True, all_of_them=True),
        ],
        [
            row(
                9,
                columns(
                    "Weekly returns",
                    "From the close of a week to that of the next. Weeks begin on Monday, UTC.",
                    "percentunit",
                    sql_series(_WEEKLY_RETURNS),
                ),
                lines(
                    "Volatility",
                    f"Standard deviation of the logarithmic daily returns of {_DAYS} days, annualised with 365 days.",
                    "percentunit",
                    sql_series(_VOLATILITY),
                ),
            ),
            row(
                9,
                columns(
                    "Weekly volume",
                    "In the quote currency of each product: the volume of each day at its close.",
                    "short",
                    sql_series(_VOLUME),
                ),
                rows(
                    "Movers",
                    "Of all products: from the first open in the range to the last close; the greatest changes first.",
                    sql(_MOVERS),
                    units={"change": "percentunit", "quote_volume": "short"},
                    links={"symbol": ("Show it", _SHOW)},
                ),
            ),
        ],
        period=("now-1y", "now"),
        refresh="5m",
    )
