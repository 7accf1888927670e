"""Which trials are feasible, and which of them are best."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tapedeck_backtest.report.end_notes import is_bust
from tapedeck_common.records import RunTrial
from tapedeck_crds.sweep import Sweep

Metrics: TypeAlias = Mapping[str, float | None]


def metric_value(metrics: Metrics, name: str) -> float | None:
    """The metric by its name in the spec (camelCase); None if it is undefined for the trial, NaN or infinite."""
    value = metrics.get(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    return value if value is not None and math.isfinite(value) else None


def is_feasible(sweep: Sweep, metrics: Metrics) -> bool:
    """Whether the objective has a value, the account was never ruined, and every constraint holds.

    An undefined metric fulfils no constraint.
    """
    if metric_value(metrics, sweep.objective.metric) is None or is_bust(metrics):
        return False
    for constraint in sweep.constraints:
        value = metric_value(metrics, constraint.metric)
        if value is None:
            return False
        if constraint.min is not None and value < constraint.min:
            return False
        if constraint.max is not None and value > constraint.max:
            return False
    return True


def best_trials(sweep: Sweep, trials: Iterable[RunTrial], count: int) -> list[RunTrial]:
    """The ``count`` best feasible trials, best first; among equals the one with the lower number."""
    sign = -1.0 if sweep.objective.direction == "maximize" else 1.0
    feasible = [trial for trial in trials if trial.feasible and trial.objective is not None]
    return sorted(feasible, key=lambda t: (sign * (t.objective or 0.0), t.window, t.trial))[:count]
