"""Which trial is better."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tapedeck_common.records import RunTrial
from tapedeck_crds.sweep import Sweep

Metrics: TypeAlias = Mapping[str, float | None]


def figure(metrics: Metrics, name: str) -> float | None:
    """A figure by the name that a spec gives it; None where the run was too short for it, or it is not finite."""
    value = metrics.get(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    return value if value is not None and math.isfinite(value) else None


def feasible(sweep: Sweep, metrics: Metrics) -> bool:
    """Whether the objective has a value and every constraint holds. A figure that is not there fulfils none."""
    if figure(metrics, sweep.objective.metric) is None:
        return False
    for constraint in sweep.constraints:
        value = figure(metrics, constraint.metric)
        if value is None:
            return False
        if constraint.min is not None and value < constraint.min:
            return False
        if constraint.max is not None and value > constraint.max:
            return False
    return True


def best(sweep: Sweep, trials: Iterable[RunTrial], count: int) -> list[RunTrial]:
    """The best of those that are feasible, best first; of equals the one with the lower number."""
    sign = -1.0 if sweep.objective.direction == "maximize" else 1.0
    able = [trial for trial in trials if trial.feasible and trial.objective is not None]
    return sorted(able, key=lambda t: (sign * (t.objective or 0.0), t.window, t.trial))[:count]
