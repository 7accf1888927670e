"""The transforms. Every result is a function of the last values only, so that a restarted pod computes it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import fsum
from typing import Any, Protocol, TypeAlias

import msgspec

from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.transforms import PREVIOUS, Transform
from tapedeck_transform.values import TransformValue, function_argument

EMA_SPAN = 4  # times ``over``: older values have (1 - 2/(over+1))^(4·over) < 0.1 % of the weight
FunctionCall: TypeAlias = Callable[[str, list[dict[str, Any]]], float | None]
"""(transform, records) → the result of its function. Raises FunctionFailed."""


class FunctionFailed(TapedeckError):
    """A user's function raised, timed out, or returned something other than a number."""

    reason = "FunctionFailed"


class TransformStage(Protocol):
    """One transform of one series."""

    def update(self, value: TransformValue, other: TransformValue | None) -> TransformValue | None:
        """The result for the next value, None if there is none. ``other`` is the value that the transform refers to.

        Raises FunctionFailed.
        """

    @property
    def first_needed(self) -> int | None:
        """The first offset that later results depend on."""


class _RollingWindow:
    """The last ``length`` values."""

    def __init__(self, length: int) -> None:
        self._values: deque[TransformValue] = deque(maxlen=length)

    @property
    def first_needed(self) -> int | None:
        return self._values[0].since if self._values else None

    def _result(self, number: float) -> TransformValue:
        last, first = self._values[-1], self._values[0]
        rev = sum(each.rev for each in self._values)
        return TransformValue(last.ts, last.id, last.interval, number, first.since, rev, seq=last.seq)


class SmaStage(_RollingWindow):
    """The arithmetic mean of the last ``over`` values."""

    def __init__(self, over: int) -> None:
        super().__init__(over)
        self._over = over

    def update(self, value: TransformValue, _other: TransformValue | None) -> TransformValue | None:
        self._values.append(value)
        if len(self._values) < self._over:
            return None
        return self._result(fsum(each.value for each in self._values) / self._over)


class EmaStage(_RollingWindow):
    """Σ (1−α)^i·x(t−i) / Σ (1−α)^i over the last 4·over values, α = 2/(over+1)."""

    def __init__(self, over: int) -> None:
        super().__init__(over * EMA_SPAN)
        self._over = over
        decay = 1 - 2 / (over + 1)
        self._weights = [decay**i for i in range(over * EMA_SPAN)]

    def update(self, value: TransformValue, _other: TransformValue | None) -> TransformValue | None:
        self._values.append(value)
        if len(self._values) < self._over:
            return None
        weights = self._weights[: len(self._values)]
        weighted = fsum(weight * each.value for weight, each in zip(weights, reversed(self._values), strict=True))
        return self._result(weighted / fsum(weights))


class ChangeStage(_RollingWindow):
    """The value minus the previous one, or minus another transform's value of the same record."""

    def __init__(self, reference: str) -> None:
        super().__init__(2)
        self._previous = reference == PREVIOUS

    def update(self, value: TransformValue, other: TransformValue | None) -> TransformValue | None:
        if not self._previous:
            if other is None or other.key != value.key:
                return None
            since, rev = min(value.since, other.since), value.rev + other.rev
            return TransformValue(
                value.ts, value.id, value.interval, value.value - other.value, since, rev, seq=value.seq
            )
        self._values.append(value)
        return self._result(value.value - self._values[0].value) if len(self._values) == 2 else None


class FilterStage:
    """The value itself, if it or another transform's value of the same record lies between two bounds."""

    first_needed: int | None = None

    def __init__(self, above: float | None, below: float | None, by: str | None) -> None:
        self._above, self._below, self._by = above, below, by

    def update(self, value: TransformValue, other: TransformValue | None) -> TransformValue | None:
        if self._by is None:
            return value if self._passes(value.value) else None
        if other is None or other.key != value.key or not self._passes(other.value):
            return None
        return msgspec.structs.replace(value, since=min(value.since, other.since), rev=value.rev + other.rev)

    def _passes(self, number: float) -> bool:
        return (self._above is None or number > self._above) and (self._below is None or number < self._below)


class ResampleStage:
    """Bars of a longer interval, emitted with their last part or, if that is missing, with the first later value or at
    the end of a Replay.

    A bar is complete if its start was seen: a value came before it, or its first part opens with it. Incomplete bars
    are not emitted.
    """

    def __init__(self, interval: str) -> None:
        self._interval = interval
        self._length = BAR_LENGTHS[interval]
        self._before: TransformValue | None = None  # the last value before the current bar
        self._current: TransformValue | None = None
        self._complete = self._emitted = False  # of the current bar
        self._last: TransformValue | None = None

    def update(self, value: TransformValue, _other: TransformValue | None) -> TransformValue | None:
        part = BAR_LENGTHS.get(value.interval)
        if part is not None and not self._length.consists_of(part):
            return None
        opened = self._length.open_of(value.ts)
        ended = self._current if self._current is not None and self._current.ts != opened else None
        late = ended if ended is not None and self._complete and not self._emitted else None
        if self._current is None or ended is not None:
            self._begin(opened, value, part is not None)
        else:
            self._current = _merged(self._current, value)
        self._last = value
        if late is None and self._complete and part and part.close_of(value.ts) == self._length.close_of(opened):
            self._emitted = True
            return self._current
        return late

    def finish(self) -> TransformValue | None:
        """The last bar, unless it was emitted or is incomplete at its start."""
        if not self._complete or self._emitted:
            return None
        self._emitted = True
        return self._current

    def _begin(self, opened: int, value: TransformValue, in_parts: bool) -> None:
        self._before = self._last
        self._complete = self._before is not None or (in_parts and value.ts == opened)
        self._emitted = False
        since = value.since if self._before is None else min(self._before.since, value.since)
        first, high, low = _open_high_low(value)
        self._current = TransformValue(
            opened, "", self._interval, value.value, since, value.rev, first, high, low, value.volume
        )

    @property
    def first_needed(self) -> int | None:
        return self._current.since if self._current is not None else None


def _open_high_low(value: TransformValue) -> tuple[float, float, float]:
    """Open, high and low of a bar; of another value the number itself."""
    return (
        value.value if value.open is None else value.open,
        value.value if value.high is None else value.high,
        value.value if value.low is None else value.low,
    )


def _merged(bar: TransformValue, value: TransformValue) -> TransformValue:
    """A bar with one more part."""
    _, high, low = _open_high_low(bar)
    _, part_high, part_low = _open_high_low(value)
    return msgspec.structs.replace(
        bar,
        value=value.value,
        high=max(high, part_high),
        low=min(low, part_low),
        volume=None if bar.volume is None or value.volume is None else bar.volume + value.volume,
        rev=bar.rev + value.rev,
    )


class FunctionStage(_RollingWindow):
    """The result of a user's function for the last ``lookback`` records."""

    def __init__(self, name: str, lookback: int, call: FunctionCall) -> None:
        super().__init__(lookback)
        self._name, self._lookback, self._call = name, lookback, call

    def update(self, value: TransformValue, _other: TransformValue | None) -> TransformValue | None:
        self._values.append(value)
        if len(self._values) < self._lookback:
            return None
        number = self._call(self._name, [function_argument(each) for each in self._values])
        return None if number is None else self._result(number)


def create_stage(transform: Transform, call: FunctionCall) -> TransformStage:
    """The stage that the spec of a transform defines."""
    if transform.sma is not None:
        return SmaStage(transform.sma.over)
    if transform.ema is not None:
        return EmaStage(transform.ema.over)
    if transform.change is not None:
        return ChangeStage(transform.change.reference)
    if transform.filter is not None:
        return FilterStage(transform.filter.above, transform.filter.below, transform.filter.by)
    if transform.resample is not None:
        return ResampleStage(transform.resample.interval)
    if transform.function is not None:
        return FunctionStage(transform.name, transform.function.lookback, call)
    raise TypeError(f"transforms.{transform.name}: got no kind, expected exactly one")
