"""Trials of sweeps, and strategies. Times are milliseconds UTC."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg import sql

from tapedeck_crds.builtin_strategies import builtin_defaults, builtin_strategies
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.api_types.runs import StrategySummary, SweepMatrix, TrialRow, WalkForwardWindow
from tapedeck_gateway.store.page import rows_of
from tapedeck_gateway.store.pool import Pool

_COLUMNS = sql.SQL("""
SELECT win, trial, params, (extract(epoch FROM start_ts) * 1000)::int8, (extract(epoch FROM end_ts) * 1000)::int8,
       metrics, objective, feasible, message
FROM run_trials AS t WHERE run_id = %(id)s
""")
_TRIALS = sql.SQL("{} AND (win, trial) > (%(win)s::int8, %(trial)s::int8) ORDER BY win, trial LIMIT %(limit)s").format(
    _COLUMNS
)
# The best trial of a window is the first whose params were traded after it.
_BEST = sql.SQL("""
{} AND trial >= 0 AND params = (
    SELECT params FROM run_trials AS o WHERE o.run_id = t.run_id AND o.win = t.win AND o.trial = -1
) AND trial = (
    SELECT min(trial) FROM run_trials AS m
    WHERE m.run_id = t.run_id AND m.win = t.win AND m.trial >= 0 AND m.params = t.params
)
ORDER BY win LIMIT %(limit)s
""").format(_COLUMNS)
_TRADED = sql.SQL("{} AND trial = -1 ORDER BY win LIMIT %(limit)s").format(_COLUMNS)
_CELLS = """
SELECT params -> %(x)s::text, params -> %(y)s::text, avg(value), count(value)
FROM run_trials, LATERAL (
    SELECT CASE %(metric)s::text WHEN 'objective' THEN objective
           ELSE (metrics ->> %(metric)s::text)::float8 END AS value
) AS of_trial
WHERE run_id = %(id)s AND trial >= 0 AND win = %(win)s::int8 AND params ? %(x)s::text AND params ? %(y)s::text
GROUP BY 1, 2 LIMIT 100000
"""
_NAMES = """
WITH of_run AS (SELECT win, params, metrics FROM run_trials WHERE run_id = %(id)s AND trial >= 0)
SELECT (SELECT array_agg(DISTINCT name) FROM of_run, jsonb_object_keys(params) AS name),
       (SELECT array_agg(DISTINCT name) FROM of_run, jsonb_object_keys(metrics) AS name),
       (SELECT array_agg(DISTINCT win) FROM of_run)
"""
_STRATEGIES = """
SELECT strategy, count(*), (extract(epoch FROM max(started_at)) * 1000)::int8
FROM runs GROUP BY strategy ORDER BY strategy LIMIT 10000
"""
# Of each param the newest run that was given it: the last run alone may have left out what others were given, and one
# that failed may have been given what is no value of it.
_GIVEN = """
SELECT DISTINCT ON (strategy, param) strategy, param, value, name
FROM runs, jsonb_each(params) AS given (param, value)
WHERE NOT strategy = ANY(%(builtin)s) ORDER BY strategy, param, state = 'failed', started_at DESC LIMIT 10000
"""
WINDOWS_MAX = 10_000
OBJECTIVE = "objective"


def trials(pool: Pool, run_id: str, after: tuple[int, int] | None, limit: int) -> list[TrialRow]:
    """The first ``limit`` trials after a place = (window, trial)."""
    window, trial = after or (-1, -2)
    values = {"id": run_id, "win": window, "trial": trial, "limit": limit}
    return [TrialRow(*row) for row in rows_of(pool, _TRIALS, values)]


def windows(pool: Pool, run_id: str) -> list[WalkForwardWindow]:
    """The windows that were traded out-of-sample."""
    values = {"id": run_id, "limit": WINDOWS_MAX}
    best = {row[0]: TrialRow(*row) for row in rows_of(pool, _BEST, values)}
    traded = [TrialRow(*row) for row in rows_of(pool, _TRADED, values)]
    return [WalkForwardWindow(trial.window, trial.params, best.get(trial.window), trial) for trial in traded]


def matrix(pool: Pool, run_id: str, x: str, y: str, metric: str, window: int) -> SweepMatrix:
    """A metric (as specs or as metrics name it) of a window's trials, by the values of two params.

    Raises InvalidInput for a param, a metric or a window that the sweep does not have, as far as its trials tell.
    """
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", metric).lower()
    cells = rows_of(pool, _CELLS, {"id": run_id, "x": x, "y": y, "metric": name, "win": window})
    xs, ys = _ordered(cell[0] for cell in cells), _ordered(cell[1] for cell in cells)
    found = {(repr(cell[0]), repr(cell[1])): (cell[2], cell[3]) for cell in cells}
    table = [[found.get((repr(a), repr(b)), (None, 0)) for a in xs] for b in ys]
    values = [[cell[0] for cell in row] for row in table]
    if all(value is None for row in values for value in row):  # a name that no trial has gives nothing else
        _require_known(pool, run_id, x, y, name, window)
    return SweepMatrix(run_id, x, y, name, xs, ys, values, [[cell[1] for cell in row] for row in table])


def _require_known(pool: Pool, run_id: str, x: str, y: str, metric: str, window: int) -> None:
    ((params, metrics, windows),) = rows_of(pool, _NAMES, {"id": run_id})
    if windows is None:
        return  # no trial is stored yet
    for field, name in (("x", x), ("y", y)):
        if name not in (params or ()):
            raise InvalidInput(f"{field}: got {name!r}, expected a param of the sweep: {', '.join(params or ())}")
    if metric != OBJECTIVE and metrics is not None and metric not in metrics:
        raise InvalidInput(f"metric: got {metric!r}, expected {OBJECTIVE}, or one of {', '.join(metrics)}")
    if window not in windows:
        raise InvalidInput(f"window: got {window}, expected a window with trials: {min(windows)} to {max(windows)}")


def strategies(pool: Pool) -> list[StrategySummary]:
    """The built-in strategies with their defaults, and those that have run with what runs gave them, by name."""
    found = {name: StrategySummary(name, runs, last, {}) for name, runs, last in rows_of(pool, _STRATEGIES, {})}
    builtins = {each["name"]: each for each in builtin_strategies()}
    for strategy, param, value, run in rows_of(pool, _GIVEN, {"builtin": list(builtins)}):
        if (of := found.get(strategy)) is not None:
            of.params[param], of.given_in[param] = value, run
    for name, builtin in builtins.items():
        run = found.get(name) or StrategySummary(name, 0, None, {})
        found[name] = msgspec.structs.replace(run, params=builtin_defaults(name), about=builtin["about"])
    return [found[name] for name in sorted(found)]


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Different values, numbers before texts."""
    by_text = {repr(value): value for value in values}
    numbers = [v for v in by_text.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    others = [v for v in by_text.values() if isinstance(v, bool) or not isinstance(v, int | float)]
    return [*sorted(numbers), *sorted(others, key=repr)]
