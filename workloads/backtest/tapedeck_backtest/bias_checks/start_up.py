"""Start-up analysis: indicators whose values still depend on how many bars came before.

An indicator with a memory without end, such as an exponential average, is ready by its period but right only later.
"""

from __future__ import annotations

import math
from typing import Any

from tapedeck_backtest.bias_checks.rerun import Lab
from tapedeck_crds.base import INTERVAL_MS

TOLERANCE = 1e-4  # relative
AT = (1.0, 0.8, 0.6)  # shares of the bars after which values are compared
LONGER = (2, 4, 8, 16, 32, 64)


def start_up(lab: Lab) -> list[str]:
    """A sentence for each indicator that depends on it; none where all is well.

    Compared are values after ``data.warmupBars`` bars, or as many as the indicators ask for, and after all bars.
    """
    events = lab.events
    ends = [int(share * len(events)) for share in AT]
    values = {end: _after(lab, 0, end) for end in ends}
    _, strategy = lab.run(0, int(events[-1]))
    length = max(_asked_for(strategy, INTERVAL_MS[lab.interval]), lab.spec.data.warmup_bars)
    lengths = [length * times for times in (1, *LONGER) if length * times < ends[-1]]
    if not lengths:
        return [f"{len(events)} bars are too few to compare with: more than {round(length / AT[-1])} are needed"]
    worst = {n: _differences(values, {end: _after(lab, end - n, end) for end in ends}) for n in lengths}
    return [
        f"{name}: differs by {worst[length][name]:.2%} after {length} bars from its value after all; "
        + _advice(next((n for n in lengths if worst[n][name] <= TOLERANCE), None), lengths[-1])
        for name in worst[length]
        if worst[length][name] > TOLERANCE
    ]


def _asked_for(strategy: Any, width: int) -> int:
    """How many bars of ``width`` (ms) the indicators ask for: of a coarser feed what makes theirs and a cut one."""
    asked: list[int] = []
    for data, bars in zip(strategy.datas, strategy._minperiods, strict=True):
        _, _, interval = data._name.partition("@")
        asked.append((bars + 1) * (INTERVAL_MS[interval] // width) if interval else bars)
    return max(asked)


def _advice(enough: int | None, longest: int) -> str:
    if enough is None:
        return f"not even {longest} are enough"
    return f"data.warmupBars: {enough} would be enough"


def _after(lab: Lab, low: int, high: int) -> dict[str, float]:
    """The last value of each line of each indicator, over bars ``low`` to ``high`` (numbers of event times)."""
    events = lab.events
    _, strategy = lab.run(int(events[low]), int(events[high - 1]))
    attributes = {id(value): name for name, value in vars(strategy).items()}
    values: dict[str, float] = {}
    for number, indicator in enumerate(strategy.getindicators()):
        name = _name(indicator, attributes.get(id(indicator)), number)
        for line, alias in enumerate(indicator.getlinealiases()):
            array = indicator.lines[line].array
            values[f"{name}.{alias}"] = array[-1] if len(array) else math.nan
    return values


def _name(indicator: Any, attribute: str | None, number: int) -> str:
    params = ", ".join(f"{k}={v}" for k, v in indicator.params._getkwargs().items() if isinstance(v, int | float))
    return f"{attribute or number} ({type(indicator).__name__}{': ' if params else ''}{params})"


def _differences(values: dict[int, dict[str, float]], short: dict[int, dict[str, float]]) -> dict[str, float]:
    """The greatest relative difference of each line; infinite where only one of two is a number."""
    names = values[max(values)]
    return {name: max(_relative(values[end][name], short[end].get(name, math.nan)) for end in values) for name in names}


def _relative(right: float, short: float) -> float:
    if math.isnan(right) or math.isnan(short):
        return 0.0 if math.isnan(right) else math.inf
    return 0.0 if right == short else abs(right - short) / max(abs(right), abs(short))
