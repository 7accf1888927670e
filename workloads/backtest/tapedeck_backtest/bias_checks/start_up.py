"""Start-up check: indicators whose values depend on how many bars precede them.

A recursive indicator, such as an exponential average, has a value after its period, but the value converges only later.
"""

from __future__ import annotations

import math
from typing import Any

from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.engine.min_period import min_period
from tapedeck_crds.intervals import BAR_LENGTHS

TOLERANCE = 1e-4  # relative
COMPARED_AT = (1.0, 0.8, 0.6)  # positions of the compared values, as fractions of the bars
MULTIPLES = (2, 4, 8, 16, 32, 64)  # of the length, tried to find a sufficient one


def start_up_findings(rerun: StrategyRerun) -> list[str]:
    """One finding for each indicator line that depends on its start; empty if the check passes.

    Compares the value after ``data.warmupBars`` bars, or after the indicators' minimum period if that is longer, with
    the value after all bars.
    """
    events = rerun.events
    ends = [int(fraction * len(events)) for fraction in COMPARED_AT]
    values = {end: _values_after(rerun, 0, end) for end in ends}
    _, strategy = rerun.run(0, int(events[-1]))
    length = max(min_period(strategy, BAR_LENGTHS[rerun.interval].ms), rerun.spec.data.warmup_bars)
    lengths = [length * multiple for multiple in (1, *MULTIPLES) if length * multiple < ends[-1]]
    if not lengths:
        needed = round(length / COMPARED_AT[-1])
        return [f"{len(events)} bars are too few to compare: more than {needed} are needed"]
    worst = {n: _differences(values, {end: _values_after(rerun, end - n, end) for end in ends}) for n in lengths}
    return [
        f"{name}: differs by {worst[length][name]:.2%} after {length} bars from its value after all; "
        + _advice(next((n for n in lengths if worst[n][name] <= TOLERANCE), None), lengths[-1])
        for name in worst[length]
        if worst[length][name] > TOLERANCE
    ]


def _advice(sufficient: int | None, longest: int) -> str:
    if sufficient is None:
        return f"even {longest} are not sufficient"
    return f"data.warmupBars: {sufficient} would be sufficient"


def _values_after(rerun: StrategyRerun, low: int, high: int) -> dict[str, float]:
    """The last value of each line of each indicator, over the event times numbered [low, high)."""
    events = rerun.events
    _, strategy = rerun.run(int(events[low]), int(events[high - 1]))
    attributes = {id(value): name for name, value in vars(strategy).items()}
    values: dict[str, float] = {}
    for number, indicator in enumerate(strategy.getindicators()):
        name = _name(indicator, attributes.get(id(indicator)), number)
        for alias, line in _lines(indicator):
            values[f"{name}.{alias}"] = line.array[-1] if len(line.array) else math.nan
    return values


def _lines(indicator: Any) -> list[tuple[str, Any]]:
    """The lines of an indicator with their names. An operation on lines, such as close(-1), is one line."""
    if not hasattr(indicator, "getlinealiases"):
        return [("result", indicator.lines[0])]
    return [(alias, indicator.lines[number]) for number, alias in enumerate(indicator.getlinealiases())]


def _name(indicator: Any, attribute: str | None, number: int) -> str:
    params = ", ".join(f"{k}={v}" for k, v in indicator.params._getkwargs().items() if isinstance(v, int | float))
    return f"{attribute or number} ({type(indicator).__name__}{': ' if params else ''}{params})"


def _differences(full: dict[int, dict[str, float]], short: dict[int, dict[str, float]]) -> dict[str, float]:
    """The greatest relative difference of each line; infinite if only the full value is a number."""
    names = full[max(full)]
    return {name: max(_relative(full[end][name], short[end].get(name, math.nan)) for end in full) for name in names}


def _relative(full: float, short: float) -> float:
    if math.isnan(full) or math.isnan(short):
        return 0.0 if math.isnan(full) else math.inf
    return 0.0 if full == short else abs(full - short) / max(abs(full), abs(short))
