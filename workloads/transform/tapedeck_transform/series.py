"""One series through its transforms: repeats are dropped, corrections of bars are computed again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tapedeck_common.market import Bar, Point, Trade, is_number, trade_id_key
from tapedeck_crds.transforms import PREVIOUS, Transform
from tapedeck_transform.execution_plan import ExecutionPlan
from tapedeck_transform.stages import FunctionCall, FunctionFailed, ResampleStage, TransformStage, create_stage
from tapedeck_transform.values import Record, TransformValue, value_of

CORRECTABLE_BARS = 16  # a correction recomputes the results of so many of the last bars
BUFFER_MAX = 20_000
OnFailure: TypeAlias = Callable[[str, Record, str], None]
"""(transform, record, reason) of a result that could not be computed."""
Results: TypeAlias = list[tuple[str, TransformValue]]
ResultKey: TypeAlias = tuple[str, tuple[int, str, str]]
"""Transform, and TransformValue.key."""


class TransformChain:
    """The stages of one series, in the order of its plan."""

    def __init__(self, plan: ExecutionPlan, call: FunctionCall) -> None:
        self._stages = [(each, create_stage(each, call)) for each in plan.transforms]

    def update(self, record: Record, offset: int, on_failure: OnFailure) -> Results:
        """The results of the next record, by transform."""
        results: dict[str, TransformValue] = {}
        for each, stage in self._stages:
            value = results.get(each.input) if each.input is not None else value_of(record, each.field, offset)
            if value is None:
                continue
            result = _result(each, stage, value, results.get(_reference(each)), record, on_failure)
            if result is not None:
                results[each.name] = result
        return list(results.items())

    def finish(self, last: Record, on_failure: OnFailure) -> Results:
        """The results that waited for a later value, after the ``last`` record, and what follows from them."""
        results: dict[str, list[TransformValue]] = {}
        for each, stage in self._stages:
            others = {other.key: other for other in results.get(_reference(each), ())}
            found = (
                _result(each, stage, value, others.get(value.key), last, on_failure)
                for value in results.get(each.input or "", ())
            )
            results[each.name] = [result for result in found if result is not None]
            if isinstance(stage, ResampleStage) and (bar := stage.finish()) is not None:
                results[each.name].append(bar)
        return [(name, value) for name, values in results.items() for value in values]

    @property
    def first_needed(self) -> int | None:
        """The first offset that later results depend on."""
        return min((first for _, stage in self._stages if (first := stage.first_needed) is not None), default=None)


class _BufferedBar(NamedTuple):
    """``first_needed`` is the chain's, after this bar."""

    record: Bar
    offset: int
    first_needed: int


class SeriesState:
    """The state of one series: a function of the records from ``first_needed`` on."""

    def __init__(self, plan: ExecutionPlan, call: FunctionCall) -> None:
        self._plan = plan
        self._call = call
        self._chain = TransformChain(plan, call)
        self._last: tuple[Record, int] | None = None  # with the offset of the first record of the same time
        self._ids: set[str] = set()  # of the trades of that time
        self._bars: deque[_BufferedBar] = deque(maxlen=BUFFER_MAX)

    @property
    def first_needed(self) -> int | None:
        """The offset from which records must be read to restore this state; None before the first record."""
        if self._last is None:
            return None
        offsets = (self._chain.first_needed, self._bars[0].offset if self._bars else None, self._last[1])
        return min(offset for offset in offsets if offset is not None)

    def update(self, record: Record, offset: int, on_failure: OnFailure) -> list[Point]:
        """The points of the next record: none for a repeat."""
        if self._last is not None and not self._is_new(record, self._last[0]):
            return self._correct(record, offset) if isinstance(record, Bar) else []
        since = self._remember(record, offset)
        points = [_point(record, name, value) for name, value in self._chain.update(record, since, on_failure)]
        if isinstance(record, Bar):
            self._bars.append(_BufferedBar(record, offset, _first_needed(self._chain, offset)))
            self._trim()
        return points

    def finish(self, on_failure: OnFailure) -> list[Point]:
        """The points that waited for a later record: a Replay has ended, so none follows."""
        if self._last is None:
            return []
        record, _ = self._last
        return [_point(record, name, value) for name, value in self._chain.finish(record, on_failure)]

    def _is_new(self, record: Record, last: Record) -> bool:
        """Whether a record follows the last one: by time, and a trade also by its id where both are numbers."""
        if record.ts > last.ts:
            return True
        if not (isinstance(record, Trade) and isinstance(last, Trade)):
            return False
        if record.ts == last.ts:
            return record.id not in self._ids
        return is_number(record.id) and is_number(last.id) and trade_id_key(record.id) > trade_id_key(last.id)

    def _remember(self, record: Record, offset: int) -> int:
        """Returns the offset of the first record of the same time: whoever reads from there knows all its trades."""
        same_time = self._last is not None and self._last[0].ts == record.ts
        since = self._last[1] if same_time and self._last is not None else offset
        self._last = (record, since)
        if isinstance(record, Trade):
            if not same_time:
                self._ids.clear()
            self._ids.add(record.id)
        return since

    def _trim(self) -> None:
        """Drop the bars that neither a result nor the correction of one needs any more."""
        if len(self._bars) <= CORRECTABLE_BARS:
            return
        first = self._bars[-1 - CORRECTABLE_BARS].first_needed
        while len(self._bars) > CORRECTABLE_BARS + 1 and self._bars[0].offset < first:
            self._bars.popleft()

    def _correct(self, bar: Bar, offset: int) -> list[Point]:
        """Replace a buffered bar by a higher revision, or insert a late one; returns the points that change."""
        buffered = list(self._bars)
        at = next((i for i, each in enumerate(buffered) if each.record.ts >= bar.ts), len(buffered))
        if at == len(buffered) or (at == 0 and buffered[0].record.ts != bar.ts):
            return []
        existing = buffered[at]
        if existing.record.ts == bar.ts and existing.record.rev >= bar.rev:
            return []
        before, _, _ = self._recompute(buffered)
        if existing.record.ts == bar.ts:
            buffered[at] = _BufferedBar(bar, existing.offset, 0)
        else:  # with the offset of the bar before it: a restarted pod reads both or neither
            buffered.insert(at, _BufferedBar(bar, buffered[at - 1].offset, 0))
        after, buffered, self._chain = self._recompute(buffered)
        self._bars = deque(buffered, BUFFER_MAX)
        self._last = (buffered[-1].record, buffered[-1].offset)
        return _changed_points(bar, before, after)

    def _recompute(
        self, buffered: list[_BufferedBar]
    ) -> tuple[dict[ResultKey, TransformValue], list[_BufferedBar], TransformChain]:
        """The bars through a new chain: the results, the bars with their new ``first_needed``, and the chain."""
        chain = TransformChain(self._plan, self._call)
        results: dict[ResultKey, TransformValue] = {}
        updated: list[_BufferedBar] = []
        for each in buffered:
            for name, value in chain.update(each.record, each.offset, ignore_failure):
                results[name, value.key] = value
            updated.append(each._replace(first_needed=_first_needed(chain, each.offset)))
        return results, updated, chain


def ignore_failure(_transform: str, _record: Record, _reason: str) -> None:
    """For a record that is processed again: its failure was reported the first time."""


def _result(
    transform: Transform,
    stage: TransformStage,
    value: TransformValue,
    other: TransformValue | None,
    record: Record,
    on_failure: OnFailure,
) -> TransformValue | None:
    """The finite result of a stage for a value; none, and a call of ``on_failure``, where it fails."""
    try:
        result = stage.update(value, other)
        if result is not None and not math.isfinite(result.value):
            raise FunctionFailed(f"got {result.value}, expected a finite number")
    except (FunctionFailed, OverflowError) as error:
        on_failure(transform.name, record, str(error))
        return None
    return result


def _reference(transform: Transform) -> str:
    """The transform that this one refers to in addition to its input; empty for none."""
    if transform.change is not None and transform.change.reference != PREVIOUS:
        return transform.change.reference
    return (transform.filter.by or "") if transform.filter is not None else ""


def _first_needed(chain: TransformChain, offset: int) -> int:
    return offset if chain.first_needed is None else chain.first_needed


def _changed_points(
    bar: Bar, before: dict[ResultKey, TransformValue], after: dict[ResultKey, TransformValue]
) -> list[Point]:
    """The points of new and of corrected results, and an empty one for each result that a filter no longer passes."""
    points = []
    for (name, key), value in after.items():
        old = before.get((name, key))
        if old is None or value.rev > old.rev:
            points.append(_point(bar, name, value))
    for (name, key), old in before.items():
        if (name, key) not in after:
            points.append(
                Point(bar.exchange, bar.symbol, old.interval, name, old.ts, None, old.id, rev=old.rev + max(bar.rev, 1))
            )
    return points


def _point(record: Record, name: str, value: TransformValue) -> Point:
    return Point(
        record.exchange, record.symbol, value.interval, name, value.ts, value.value, value.id,
        value.open, value.high, value.low, value.volume, value.rev, value.seq,
    )  # fmt: skip
