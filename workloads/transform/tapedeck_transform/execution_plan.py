"""The execution plan of a spec's transforms: which apply to a series, in which order, and how far back they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.exchange import Channel
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.transforms import PREVIOUS, Transform
from tapedeck_transform.stages import EMA_SPAN

LOOKBACK_MAX = 20_000  # records; no more are read from the store at the first start
DEFAULT_CHANNEL: Channel = "bars"


class InvalidTransforms(InvalidInput):
    """The transforms of the spec cannot be computed."""

    reason = "BadTransforms"


@dataclass(frozen=True)
class ExecutionPlan:
    """The transforms of one series, each after those that it depends on. ``lookback`` is in records, by transform."""

    transforms: tuple[Transform, ...]
    lookback: dict[str, int] = field(default_factory=dict)

    @property
    def max_lookback(self) -> int:
        """How many records before a record its results depend on, if filters drop none of them."""
        return max(self.lookback.values(), default=0)


def sort_by_dependency(transforms: Sequence[Transform]) -> list[Transform]:
    """Each transform after those that it depends on. Raises InvalidTransforms for a cycle, or for mixed channels."""
    by_name = {each.name: each for each in transforms}
    try:
        names = list(TopologicalSorter({each.name: each.names for each in transforms}).static_order())
    except CycleError as error:
        raise InvalidTransforms(
            f"transforms: got the cycle {' → '.join(error.args[1])}, expected no transform that depends on itself"
        ) from None
    ordered = [by_name[name] for name in names]
    channels = channels_of(ordered)
    for each in ordered:
        for other in each.names:
            if channels[other] != channels[each.name]:
                raise InvalidTransforms(
                    f"transforms.{each.name}: got {other}, which is computed from {channels[other]}, "
                    f"expected a transform of {channels[each.name]}"
                )
    return ordered


def channels_of(transforms: Sequence[Transform]) -> dict[str, Channel]:
    """The channel that each transform is computed from; ``transforms`` are sorted by dependency."""
    channels: dict[str, Channel] = {}
    for each in transforms:
        channels[each.name] = channels[each.input] if each.input is not None else each.channel or DEFAULT_CHANNEL
    return channels


def plan_series(transforms: Sequence[Transform], channel: Channel, interval: str) -> ExecutionPlan:
    """The plan for a series of a channel and, for bars, of an interval; ``transforms`` are sorted by dependency."""
    channels = channels_of(transforms)
    applicable: list[Transform] = []
    for each in transforms:
        matches = channels[each.name] == channel and each.interval in (None, interval)
        if matches and all(name in {other.name for other in applicable} for name in each.names):
            applicable.append(each)
    return ExecutionPlan(tuple(applicable), _lookbacks(applicable, BAR_LENGTHS[interval].ms if interval else 0))


def _lookbacks(transforms: Sequence[Transform], interval_ms: int) -> dict[str, int]:
    lookback: dict[str, int] = {}
    records_per_result: dict[str, int] = {}
    for each in transforms:
        size = records_per_result[each.input] if each.input is not None else 1
        before = max((lookback[name] for name in each.names), default=0)
        records_per_result[each.name] = size
        if each.resample is not None:
            ratio = (
                max(BAR_LENGTHS[each.resample.interval].ms // (interval_ms * size), 1) if interval_ms else LOOKBACK_MAX
            )
            records_per_result[each.name] = min(size * ratio, LOOKBACK_MAX)
            before += 2 * records_per_result[each.name] - 1
        lookback[each.name] = min(before + _own_lookback(each) * size, LOOKBACK_MAX)
    return lookback


def _own_lookback(transform: Transform) -> int:
    """How many earlier values of its input the transform itself uses."""
    if transform.sma is not None:
        return transform.sma.over - 1
    if transform.ema is not None:
        return transform.ema.over * EMA_SPAN - 1
    if transform.function is not None:
        return transform.function.lookback - 1
    return int(transform.change is not None and transform.change.reference == PREVIOUS)
