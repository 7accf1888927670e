"""The transforms themselves. Each result is a function of the last values alone, so that it can be computed again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import fsum
from typing import Any, Protocol, TypeAlias

import msgspec

from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.transforms import PREVIOUS, Transform
from tapedeck_transform.values import Value, described

EMA_SPAN = 4  # times ``over``: what is left out has (1 - 2/(over+1))^(4·over) < 0.1 % of the weight
Call: TypeAlias = Callable[[str, list[dict[str, Any]]], float | None]
"""(transform, records) → what its function returns. Raises FunctionFailed."""


class FunctionFailed(Exception):
    """A function of the user's raised, took too long, or returned no number."""


class Stage(Protocol):
    """One transform of one series. ``low`` is the first place on the log that later results depend on."""

    def push(self, value: Value, other: Value | None) -> Value | None:
        """The next value's result, None where it has none; ``other`` is the one it refers to. Raises FunctionFailed."""

    @property
    def low(self) -> int | None: ...


class _Window:
    """The last values."""

    def __init__(self, length: int) -> None:
        self._values: deque[Value] = deque(maxlen=length)

    @property
    def low(self) -> int | None:
        return self._values[0].since if self._values else None

    def _result(self, number: float) -> Value:
        last, first = self._values[-1], self._values[0]
        return Value(last.ts, last.id, last.interval, number, first.since, sum(each.rev for each in self._values))


class Sma(_Window):
    """The mean of the last ``over`` values."""

    def __init__(self, over: int) -> None:
        super().__init__(over)
        self._over = over

    def push(self, value: Value, _other: Value | None) -> Value | None:
        self._values.append(value)
        if len(self._values) < self._over:
            return None
        return self._result(fsum(each.value for each in self._values) / self._over)


class Ema(_Window):
    """Σ (1−α)^i·x(t−i) / Σ (1−α)^i over the last 4·over values, α = 2/(over+1)."""

    def __init__(self, over: int) -> None:
        super().__init__(over * EMA_SPAN)
        self._over = over
        kept = 1 - 2 / (over + 1)
        self._weights = [kept**i for i in range(over * EMA_SPAN)]

    def push(self, value: Value, _other: Value | None) -> Value | None:
        self._values.append(value)
        if len(self._values) < self._over:
            return None
        weights = self._weights[: len(self._values)]
        weighted = fsum(weight * each.value for weight, each in zip(weights, reversed(self._values), strict=True))
        return self._result(weighted / fsum(weights))


class Change(_Window):
    """The value less the one before, or less another transform's of the same record."""

    def __init__(self, reference: str) -> None:
        super().__init__(2)
        self._previous = reference == PREVIOUS

    def push(self, value: Value, other: Value | None) -> Value | None:
        if not self._previous:
            if other is None or other.place != value.place:
                return None
            since, rev = min(value.since, other.since), value.rev + other.rev
            return Value(value.ts, value.id, value.interval, value.value - other.value, since, rev)
        self._values.append(value)
        return self._result(value.value - self._values[0].value) if len(self._values) == 2 else None


class Filter:
    """The value itself, where it or another transform's of the same record lies between two bounds."""

    low: int | None = None

    def __init__(self, above: float | None, below: float | None, by: str | None) -> None:
        self._above, self._below, self._by = above, below, by

    def push(self, value: Value, other: Value | None) -> Value | None:
        if self._by is None:
            return value if self._passes(value.value) else None
        if other is None or other.place != value.place or not self._passes(other.value):
            return None
        return msgspec.structs.replace(value, since=min(value.since, other.since), rev=value.rev + other.rev)

    def _passes(self, number: float) -> bool:
        return (self._above is None or number > self._above) and (self._below is None or number < self._below)


class Resample:
    """Bars of ``width`` ms, each told with its last part, or with the first value after it where parts are missing.

    A bar is left out whose beginning was not seen: before it comes a value, or a part that opens with it.
    """

    def __init__(self, interval: str) -> None:
        self._interval = interval
        self._width = INTERVAL_MS[interval]
        self._before: Value | None = None  # the last value of an earlier bar
        self._built: Value | None = None
        self._whole = self._told = False
        self._last: Value | None = None

    def push(self, value: Value, _other: Value | None) -> Value | None:
        part = INTERVAL_MS.get(value.interval, 0)
        if part and (self._width % part or self._width == part):
            return None
        opened = value.ts - value.ts % self._width
        over = self._built if self._built is not None and self._built.ts != opened else None
        due = over if over is not None and self._whole and not self._told else None
        if self._built is None or over is not None:
            self._begin(opened, value, bool(part))
        else:
            self._built = _joined(self._built, value)
        self._last = value
        if due is None and self._whole and part and value.ts + part == opened + self._width:
            self._told = True
            return self._built
        return due

    def _begin(self, opened: int, value: Value, in_parts: bool) -> None:
        self._before = self._last
        self._whole = self._before is not None or (in_parts and value.ts == opened)
        self._told = False
        since = value.since if self._before is None else min(self._before.since, value.since)
        first, high, low = _around(value)
        self._built = Value(opened, "", self._interval, value.value, since, value.rev, first, high, low, value.volume)

    @property
    def low(self) -> int | None:
        return self._built.since if self._built is not None else None


def _around(value: Value) -> tuple[float, float, float]:
    """Open, high and low of a bar, the value itself where it is none."""
    return (
        value.value if value.open is None else value.open,
        value.value if value.high is None else value.high,
        value.value if value.low is None else value.low,
    )


def _joined(built: Value, value: Value) -> Value:
    _, high, low = _around(built)
    _, its_high, its_low = _around(value)
    return msgspec.structs.replace(
        built,
        value=value.value,
        high=max(high, its_high),
        low=min(low, its_low),
        volume=None if built.volume is None or value.volume is None else built.volume + value.volume,
        rev=built.rev + value.rev,
    )


class Function(_Window):
    """What a function of the user's makes of the last ``lookback`` records."""

    def __init__(self, name: str, lookback: int, call: Call) -> None:
        super().__init__(lookback)
        self._name, self._lookback, self._call = name, lookback, call

    def push(self, value: Value, _other: Value | None) -> Value | None:
        self._values.append(value)
        if len(self._values) < self._lookback:
            return None
        found = self._call(self._name, [described(each) for each in self._values])
        return None if found is None else self._result(found)


def stage_of(transform: Transform, call: Call) -> Stage:
    """The stage that a spec asks for."""
    if transform.sma is not None:
        return Sma(transform.sma.over)
    if transform.ema is not None:
        return Ema(transform.ema.over)
    if transform.change is not None:
        return Change(transform.change.reference)
    if transform.filter is not None:
        return Filter(transform.filter.above, transform.filter.below, transform.filter.by)
    if transform.resample is not None:
        return Resample(transform.resample.interval)
    if transform.function is not None:
        return Function(transform.name, transform.function.lookback, call)
    raise TypeError(f"transforms.{transform.name}: no kind")
