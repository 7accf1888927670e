"""One series' records through its transforms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from tapedeck_crds.transforms import PREVIOUS, Transform
from tapedeck_transform.layout import Layout
from tapedeck_transform.stages import Call, FunctionFailed, stage_of
from tapedeck_transform.values import Record, Value, value_of

Failed: TypeAlias = Callable[[str, Record, str], None]
"""(transform, record, reason) of a result that there is not."""
Results: TypeAlias = list[tuple[str, Value]]


class Chain:
    """The transforms of one series with what they remember."""

    def __init__(self, layout: Layout, call: Call) -> None:
        self._steps = [(each, stage_of(each, call)) for each in layout.transforms]

    def push(self, record: Record, offset: int, failed: Failed) -> Results:
        """What the next record results in."""
        found: dict[str, Value] = {}
        for each, stage in self._steps:
            value = found.get(each.input) if each.input is not None else value_of(record, each.field, offset)
            if value is None:
                continue
            try:
                result = stage.push(value, found.get(_other(each)))
                if result is not None and not math.isfinite(result.value):
                    raise FunctionFailed(f"got {result.value}, expected a finite number")
            except (FunctionFailed, OverflowError) as error:
                failed(each.name, record, str(error))
                continue
            if result is not None:
                found[each.name] = result
        return list(found.items())

    @property
    def low(self) -> int | None:
        """The first place on the log that later results depend on."""
        return min((low for _, stage in self._steps if (low := stage.low) is not None), default=None)


def _other(transform: Transform) -> str:
    """The transform that one refers to beside its input."""
    if transform.change is not None and transform.change.reference != PREVIOUS:
        return transform.change.reference
    return (transform.filter.by or "") if transform.filter is not None else ""
