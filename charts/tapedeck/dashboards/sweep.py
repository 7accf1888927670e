"""Sweep: the trials of a sweep, its progress, and how the objective depends on a parameter."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import curve, lines, rows, value
from dashboards.queries import of_job, promql, sql
from dashboards.variables import metrics_variables, rows_variable, store_variable

RUN, PARAMETER = "${run:sqlstring}", "${parameter:sqlstring}"
_CHOICE = """
SELECT run_id AS __value, namespace || '/' || name || ' ' || to_char(started_at, 'YYYY-MM-DD HH24:MI:SS') AS __text
FROM runs WHERE trials > 0 ORDER BY started_at DESC LIMIT 200
"""
_TRIALS = f"""
SELECT win, trial, params::text AS params, start_ts, end_ts, objective, feasible,
       (metrics->>'return_percent')::float8 AS return_percent,
       (metrics->>'max_drawdown_percent')::float8 AS max_drawdown_percent, (metrics->>'trades')::float8 AS trades,
       message
FROM run_trials WHERE run_id = {RUN} ORDER BY win, trial >= 0, feasible DESC, objective DESC NULLS LAST LIMIT 1000
"""
_WINDOWS = f"""
SELECT best.win, best.params::text AS params, best.start_ts, best.end_ts, best.objective AS in_sample,
       traded.objective AS out_of_sample, (traded.metrics->>'return_percent')::float8 AS return_percent
FROM (
    SELECT DISTINCT ON (win) * FROM run_trials WHERE run_id = {RUN} AND trial >= 0
    ORDER BY win, feasible DESC, objective DESC NULLS LAST, trial
) AS best JOIN run_trials AS traded ON traded.run_id = best.run_id AND traded.win = best.win AND traded.trial = -1
ORDER BY best.win
"""
# Each value of the parameter with the greatest and the mean objective of its trials.
_BY_PARAMETER = f"""
SELECT (params->>{PARAMETER})::float8 AS parameter, max(objective) AS best, avg(objective) AS mean,
       min(objective) AS worst
FROM run_trials WHERE run_id = {RUN} AND trial >= 0 AND objective IS NOT NULL
  AND jsonb_typeof(params->{PARAMETER}) = 'number' GROUP BY 1 ORDER BY 1
"""
_BEST_SO_FAR = f"""
SELECT trial, objective, max(objective) FILTER (WHERE feasible) OVER (ORDER BY win, trial) AS best_so_far
FROM run_trials WHERE run_id = {RUN} AND trial >= 0 AND win = 0 ORDER BY trial LIMIT 5000
"""


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "sweep",
        "sweep",
        "Trials of a sweep or a walk-forward, from the store, and the progress of those that run.",
        [
            *metrics_variables("tapedeck_resource_trials_total"),
            store_variable(),
            rows_variable("run", "Sweep", _CHOICE),
            rows_variable(
                "parameter",
                "Parameter",
                f"SELECT DISTINCT jsonb_object_keys(params) FROM run_trials WHERE run_id = {RUN} ORDER BY 1",
            ),
        ],
        [
            row(
                5,
                value(
                    "Trials",
                    "Trials that are stored, and those of the whole sweep.",
                    "short",
                    sql(
                        "SELECT count(*) FILTER (WHERE t.trial >= 0) AS stored, max(r.trials) AS wanted "
                        f"FROM runs AS r LEFT JOIN run_trials AS t USING (run_id) WHERE r.run_id = {RUN}"
                    ),
                ),
                value(
                    "Best objective",
                    "Of feasible trials.",
                    "short",
                    sql(f"SELECT max(objective) FROM run_trials WHERE run_id = {RUN} AND trial >= 0 AND feasible"),
                ),
                value(
                    "Infeasible trials",
                    "Trials that a constraint rejects, or whose strategy failed; the table has the message.",
                    "short",
                    sql(f"SELECT count(*) FROM run_trials WHERE run_id = {RUN} AND trial >= 0 AND NOT feasible"),
                ),
            ),
            row(
                9,
                curve(
                    "Objective by trial",
                    "The objective of each trial of the first window, and the best so far.",
                    "short",
                    "trial",
                    "none",
                    sql(_BEST_SO_FAR),
                ),
                curve(
                    "Objective by parameter",
                    "Best, mean and worst objective of the trials with each value of the chosen parameter.",
                    "short",
                    "parameter",
                    "none",
                    sql(_BY_PARAMETER),
                    points=True,
                ),
            ),
            row(
                10,
                rows(
                    "Trials of the sweep",
                    "The best trial of each window first. Trial -1 trades the best params of its window out of sample.",
                    sql(_TRIALS),
                    units={"return_percent": "percent", "max_drawdown_percent": "percent"},
                ),
            ),
            row(
                8,
                rows(
                    "Windows",
                    "Of a walk-forward: the best params of each window, in sample and out of sample.",
                    sql(_WINDOWS),
                    units={"return_percent": "percent"},
                ),
            ),
            row(
                8,
                lines(
                    "Progress",
                    "Completed trials of those wanted, of all shards.",
                    "percentunit",
                    promql(
                        "max by (namespace, name) (tapedeck_resource_trials_total{@}) "
                        "/ max by (namespace, name) (tapedeck_resource_expected_trials{@} > 0)",
                        "{{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Trials by shard",
                    "Completed trials per second. A shard at 0 beside others is stuck or restarts.",
                    "ops",
                    promql(
                        "sum by (namespace, name, shard) "
                        f"(rate(tapedeck_backtest_trials_total{{{of_job('backtest')}}}[$__rate_interval]))",
                        "{{namespace}}/{{name}} {{shard}}",
                    ),
                ),
                lines(
                    "Failed trials",
                    "Trials whose strategy failed, as each sweep counts them at its end.",
                    "short",
                    promql(
                        "max by (namespace, name) (tapedeck_resource_failed_trials_total{@})", "{{namespace}}/{{name}}"
                    ),
                ),
            ),
        ],
        period=("now-6h", "now"),
        logs=True,
    )
