"""Backtest: the runs, one of them in detail, and several beside one another."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.market_sql import thinned
from dashboards.panels import kept, lines, rows
from dashboards.queries import promql, sql, sql_series
from dashboards.variables import metrics_variables, rows_variable, store_variable

# Without a run there is none to compare, and an array may be empty.
RUN, COMPARED = "${run:sqlstring}", "ANY (ARRAY[${compared:sqlstring}]::text[])"
# A run's own time is that of its bars, or of its work where it has none; a minute on both sides keeps its ends off the
# edges. The chosen run is the first, so that a link from elsewhere shows it.
_RUNS = f"""
SELECT started_at, namespace, name, strategy, params::text AS params, exchange, array_to_string(symbols,
       ' ') AS symbols,
       interval, state, bars, nullif(trials, 0) AS trials, (metrics->>'return_percent')::float8 AS return_percent,
       (metrics->>'max_drawdown_percent')::float8 AS max_drawdown_percent, (metrics->>'sharpe')::float8 AS sharpe,
       (metrics->>'win_rate_percent')::float8 AS win_rate_percent, (metrics->>'trades')::float8 AS trades,
       (metrics->>'open_positions')::float8 AS open_positions,
       (metrics->>'unrealised_profit')::float8 AS unrealised_profit, (metrics->>'lowest_value')::float8 AS lowest_value,
       message, run_id, (extract(epoch FROM coalesce(span.first_ts, started_at)) * 1000)::int8 - 60000 AS "from",
       (extract(epoch FROM coalesce(span.last_ts, ended_at, now())) * 1000)::int8 + 60000 AS "to"
FROM runs LEFT JOIN LATERAL (
    SELECT (SELECT ts FROM run_equity AS e WHERE e.run_id = runs.run_id ORDER BY seq LIMIT 1) AS first_ts,
           (SELECT ts FROM run_equity AS e WHERE e.run_id = runs.run_id ORDER BY seq DESC LIMIT 1) AS last_ts
) AS span ON true
ORDER BY run_id = {RUN} DESC, started_at DESC LIMIT 200
"""
_PERCENTS = dict.fromkeys(
    ("return_percent", "max_drawdown_percent", "win_rate_percent", "mean_return_percent", "best_return_percent"),
    "percent",
)
_KEPT = kept("datasource", "job", "namespace", "store")
_OPEN = (
    "/d/tapedeck-backtest?var-run=${__data.fields.run_id}&from=${__data.fields.from}&to=${__data.fields.to}"
    + _KEPT
    + kept("compared")
)
_SWEEP = "/d/tapedeck-sweep?var-run=${__data.fields.run_id}" + _KEPT
_PAGE = "@page@/?run=${__data.fields.run_id}"
_CHOICE = """
SELECT run_id AS __value, namespace || '/' || name || ' ' || to_char(started_at, 'YYYY-MM-DD HH24:MI:SS') AS __text
FROM runs ORDER BY started_at DESC LIMIT 200
"""
_TRADES = f"""
SELECT seq, symbol, side, size, entry_ts - interval '1 ms' AS entry_ts, entry_price,
       exit_ts - interval '1 ms' AS exit_ts,
       exit_price, pnl, commission, pnl_net, entry_reason, exit_reason
FROM run_trades WHERE run_id = {RUN} ORDER BY seq LIMIT 5000
"""
# One point a moment: several trades may end with the same bar.
_PROFIT = f"""
SELECT exit_ts AS ts, sum(sum(pnl_net)) OVER (ORDER BY exit_ts) AS profit
FROM run_trades WHERE run_id = {RUN} GROUP BY exit_ts
"""
_RETURNS = f"""
SELECT p.period, p.return_percent, p.max_drawdown_percent, p.trades, p.wins, p.profit, p.end_value
FROM runs, jsonb_to_recordset(periods) AS p(period text, return_percent float8, max_drawdown_percent float8,
       trades int8,
                                            wins int8, profit float8, end_value float8)
WHERE run_id = {RUN}
"""
_COMPARED_CURVES = f"""
SELECT e.ts AS time, r.namespace || '/' || r.name || ' ' || left(r.run_id, 8) AS metric,
       e.value / nullif(r.cash, 0) - 1 AS return
FROM runs AS r, LATERAL equity_curve(r.run_id, '{{value}}', 1000) AS e
WHERE r.run_id = {COMPARED} ORDER BY 1
"""
_COMPARED_FIGURES = f"""
SELECT f.key AS figure, r.namespace || '/' || r.name || ' ' || left(r.run_id, 8) AS run, f.value #>> '{{}}' AS value
FROM runs AS r, jsonb_each(r.metrics) AS f WHERE r.run_id = {COMPARED} ORDER BY 1, 2
"""
_STRATEGIES = """
SELECT strategy, interval, count(*) AS runs, avg((metrics->>'return_percent')::float8) AS mean_return_percent,
       max((metrics->>'return_percent')::float8) AS best_return_percent,
       avg((metrics->>'sharpe')::float8) AS mean_sharpe,
       max((metrics->>'max_drawdown_percent')::float8) AS max_drawdown_percent
FROM runs WHERE state = 'complete' GROUP BY strategy, interval ORDER BY mean_return_percent DESC NULLS LAST
"""


def _curve(columns: str, figures: str) -> str:
    return f"SELECT ts AS time, {columns} FROM equity_curve({RUN}, '{{{figures}}}') ORDER BY seq"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "backtest",
        "backtest",
        "Runs of backtests, from the tables of the store. The link of a run opens it at the time of its bars.",
        [
            *metrics_variables("tapedeck_backtest_bars_total"),
            store_variable(),
            rows_variable("run", "Run", _CHOICE),
            rows_variable("compared", "Compared runs", _CHOICE, multi=True),
        ],
        [
            row(
                9,
                rows(
                    "Runs",
                    "The last 200, the chosen one first. The link of a name opens the run at the time of its bars, the "
                    "link of its trials the sweep.",
                    sql(_RUNS),
                    units=_PERCENTS,
                    links={
                        "name": ("Open the run at its time", _OPEN),
                        "trials": ("Open the sweep", _SWEEP),
                        "run_id": ("Open it on the page", _PAGE),
                    },
                    hidden=("from", "to"),
                ),
            ),
            row(
                10,
                lines(
                    "Equity",
                    "Value and cash of the account, by market time; of a long run the extremes of each bucket.",
                    "short",
                    sql(_curve("value, cash", "value,cash")),
                ),
                rows(
                    "Figures",
                    "The figures of the run; those that are undefined with the reason.",
                    sql(
                        "SELECT key, value #>> '{}' AS value, undefined->>key AS undefined "
                        f"FROM runs, jsonb_each(metrics) WHERE run_id = {RUN} ORDER BY key"
                    ),
                ),
                widths=(16, 8),
            ),
            row(
                8,
                lines(
                    "Drawdown",
                    "Decline from the highest value so far.",
                    "percent",
                    sql(_curve("drawdown_percent AS drawdown", "drawdown_percent")),
                ),
                lines(
                    "Profit of closed trades",
                    "Cumulative, after commission; of many trades the extremes of each bucket.",
                    "short",
                    sql(thinned(_PROFIT, "profit")),
                ),
            ),
            row(
                9,
                lines(
                    "Rolling Sharpe ratio",
                    "Of the 126 complete trading days before, annualised.",
                    "none",
                    sql(_curve("sharpe", "sharpe")),
                ),
                rows(
                    "Returns",
                    "Of months and years in UTC. Available after the end of the run.",
                    sql(_RETURNS),
                    units=_PERCENTS,
                ),
            ),
            row(
                9,
                rows(
                    "Trades",
                    "Entry and exit are the closes of the bars that filled, less a millisecond: a daily bar is "
                    "of its day.",
                    sql(_TRADES),
                ),
            ),
            row(
                9,
                lines(
                    "Returns of the compared runs",
                    "Of the cash at the start, by market time.",
                    "percentunit",
                    sql_series(_COMPARED_CURVES),
                ),
                rows("Figures of the compared runs", "A row a figure and run.", sql(_COMPARED_FIGURES)),
            ),
            row(
                8,
                lines(
                    "Active runs: account",
                    "Value of each account in its quote currency, as the pods report it.",
                    "short",
                    promql("tapedeck_backtest_account_value{@}", "{{namespace}}/{{name}} {{shard}}"),
                ),
                lines(
                    "Active runs: bars",
                    "Bars that strategies process.",
                    "ops",
                    promql(
                        "sum by (namespace, name) (rate(tapedeck_backtest_bars_total{@}[$__rate_interval]))",
                        "{{namespace}}/{{name}}",
                    ),
                ),
            ),
            row(8, rows("Strategies", "Complete runs by strategy and interval.", sql(_STRATEGIES), units=_PERCENTS)),
        ],
        period=("now-7d", "now"),
        logs=True,
    )
