"""The search space of a sweep: the params of a trial by its number.

For a grid and a random search the params follow from the number alone, so a repeated trial is the same on any pod.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from tapedeck_backtest.errors import RunFailed
from tapedeck_crds.backtest import ParamValue
from tapedeck_crds.sweep import TRIALS_MAX, Axis, Sweep

Params: TypeAlias = dict[str, ParamValue]
_ROUNDING = 1e-9  # of a step: (0.3 - 0.1) / 0.1 is 1.9999999999999998


def axis_points(axis: Axis) -> Sequence[ParamValue]:
    """The values that a grid tries on an axis. For a range: from, from + step, … up to and including ``to``."""
    if axis.texts is not None:
        return axis.texts
    if axis.values is not None:
        return [int(n) if n.is_integer() else n for n in axis.values]
    if axis.from_ is None or axis.to is None or axis.step is None:
        raise ValueError(f"{axis.name}: expected values or a step")
    count = math.floor((axis.to - axis.from_) / axis.step + _ROUNDING) + 1
    if count > TRIALS_MAX:
        raise RunFailed("BadSweep", f"sweep.params.{axis.name}: got {count} values, expected at most {TRIALS_MAX}")
    numbers = [axis.from_ + i * axis.step for i in range(count)]
    return [int(n) for n in numbers] if is_integer_range(axis) else numbers


def is_integer_range(axis: Axis) -> bool:
    """Whether the axis is a range of integers."""
    return axis.step is not None and all(
        float(n).is_integer() for n in (axis.from_, axis.to, axis.step) if n is not None
    )


def trials_per_window(sweep: Sweep) -> int:
    """The number of trials of a search over one window. Raises RunFailed (BadSweep) for a grid that is too large."""
    if sweep.trials is not None:
        return sweep.trials
    count = math.prod(len(axis_points(axis)) for axis in sweep.params)
    if count > TRIALS_MAX:
        raise RunFailed("BadSweep", f"sweep.params: got {count} combinations, expected at most {TRIALS_MAX}")
    return count


def grid_params(axes: Sequence[Axis], number: int) -> Params:
    """The grid's combination of this number; the last axis changes fastest."""
    chosen: Params = {}
    for axis in reversed(axes):
        values = axis_points(axis)
        number, index = divmod(number, len(values))
        chosen[axis.name] = values[index]
    return {axis.name: chosen[axis.name] for axis in axes}


def random_params(axes: Sequence[Axis], seed: int, number: int) -> Params:
    """The random draw of this number: uniform over an axis's points, or over its range if it has no step."""
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, number])).random(len(axes))
    return {axis.name: _value_at(axis, float(fraction)) for axis, fraction in zip(axes, draw, strict=True)}


def _value_at(axis: Axis, fraction: float) -> ParamValue:
    """The value at a fraction, in [0, 1), of the axis."""
    if axis.step is None and axis.from_ is not None and axis.to is not None:
        return axis.from_ + fraction * (axis.to - axis.from_)
    values = axis_points(axis)
    return values[int(fraction * len(values))]
