"""Which transforms a market's records go through, in which order, and how far back they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.live import Channel
from tapedeck_crds.transforms import PREVIOUS, Transform
from tapedeck_transform.stages import EMA_SPAN

FAR = 20_000  # no more records than this are read from the store at a start
DEFAULT_CHANNEL: Channel = "bars"


class BadTransforms(InvalidInput):
    """What is asked for can't be computed."""


@dataclass(frozen=True)
class Layout:
    """The transforms of one kind of records, each after those that it builds on; ``back`` is by how many records."""

    transforms: tuple[Transform, ...]
    back: dict[str, int] = field(default_factory=dict)

    @property
    def deepest(self) -> int:
        """Records before one that its results can depend on, where none are left out on the way."""
        return max(self.back.values(), default=0)


def ordered(transforms: Sequence[Transform]) -> list[Transform]:
    """Each after those that it builds on. Raises BadTransforms for a circle, or a mixture of channels."""
    by_name = {each.name: each for each in transforms}
    try:
        names = list(TopologicalSorter({each.name: each.names for each in transforms}).static_order())
    except CycleError as error:
        raise BadTransforms(
            f"transforms: got {' → '.join(error.args[1])}, expected none that builds on itself"
        ) from None
    found = [by_name[name] for name in names]
    channels = channels_of(found)
    for each in found:
        for other in each.names:
            if channels[other] != channels[each.name]:
                raise BadTransforms(
                    f"transforms.{each.name}: {other} is computed from {channels[other]}, "
                    f"expected {channels[each.name]} as itself"
                )
    return found


def channels_of(transforms: Sequence[Transform]) -> dict[str, Channel]:
    """The channel of the records that each is computed from, of transforms in order."""
    found: dict[str, Channel] = {}
    for each in transforms:
        found[each.name] = found[each.input] if each.input is not None else each.channel or DEFAULT_CHANNEL
    return found


def layout_of(transforms: Sequence[Transform], channel: Channel, interval: str) -> Layout:
    """What records of a channel and, for bars, an interval go through; ``transforms`` are in order."""
    channels = channels_of(transforms)
    chosen: list[Transform] = []
    for each in transforms:
        fits = channels[each.name] == channel and each.interval in (None, interval)
        if fits and all(name in {other.name for other in chosen} for name in each.names):
            chosen.append(each)
    return Layout(tuple(chosen), _backs(chosen, INTERVAL_MS.get(interval, 0)))


def _backs(transforms: Sequence[Transform], part: int) -> dict[str, int]:
    back: dict[str, int] = {}
    unit: dict[str, int] = {}  # how many records make one result
    for each in transforms:
        size = unit[each.input] if each.input is not None else 1
        before = max((back[name] for name in each.names), default=0)
        unit[each.name] = size
        if each.resample is not None:
            ratio = max(INTERVAL_MS[each.resample.interval] // (part * size), 1) if part else FAR
            unit[each.name] = min(size * ratio, FAR)
            before += 2 * unit[each.name] - 1
        back[each.name] = min(before + _own(each) * size, FAR)
    return back


def _own(transform: Transform) -> int:
    """Values before one that the transform itself looks back at."""
    if transform.sma is not None:
        return transform.sma.over - 1
    if transform.ema is not None:
        return transform.ema.over * EMA_SPAN - 1
    if transform.function is not None:
        return transform.function.lookback - 1
    return int(transform.change is not None and transform.change.reference == PREVIOUS)
