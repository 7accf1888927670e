"""The schedule of publishing: delays, duplicates and disorder.

Each record gets a publish time ``at`` ≥ its event time, and a turn: (open / interval) × 2^d + the number of the copy,
where d is the number of changes that make duplicates. Records are published in the order (at, symbol, turn), which is
unique, so a position made of it identifies one record: a successor that resumes after it publishes every late bar and
every duplicate exactly as often as the scenario specifies. A bar is never published before its event time: disorder
delays bars, it brings none forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tapedeck_common.store.bars import BarBlock, Floats, Ints
from tapedeck_crds.scenario import ScenarioChange
from tapedeck_replay.scenario.bar_math import select_rows
from tapedeck_replay.scenario.random_numbers import name_hashes, uniforms
from tapedeck_replay.scenario.stages import BarStage, ChangeWindow, window_of
from tapedeck_replay.source.dataset import Dataset, ScheduledBars, StartAfter

OUT_ROWS = 16_384


def max_lateness(changes: list[ScenarioChange], interval_ms: int) -> int:
    """How long after its event time a bar can be published at the latest, milliseconds."""
    late = 0
    for change in changes:
        if change.delay is not None:
            late += round((change.delay.seconds + change.delay.jitter) * 1000)
        elif change.duplicates is not None:
            late += round(change.duplicates.after * 1000)
        elif change.disorder is not None:
            late += change.disorder.bars * interval_ms + 1
    return late


class PublishSchedule:
    """Bars in the order of publishing. A record stays in memory as long as an earlier one can still follow."""

    def __init__(self, upstream: BarStage, changes: list[tuple[int, ScenarioChange]], dataset: Dataset) -> None:
        self._upstream, self._dataset = upstream, dataset
        self._changes = [(use, change, window_of(change, dataset)) for use, change in changes]
        self._duplications = sum(change.duplicates is not None for _, change in changes)
        self._names = name_hashes(dataset.symbols)

    def read(self, after: StartAfter | None, until: int) -> Iterator[ScheduledBars]:
        """The records after ``after`` of the bars with an open time before ``until``."""
        dataset = self._dataset
        since = dataset.start if after is None else max(dataset.start, after.ts - dataset.lateness)
        waiting: ScheduledBars | None = None
        for block in self._upstream.read(since, until):
            records = self._scheduled(block)
            waiting = records if waiting is None else _concatenated(waiting, records)
            ready = waiting.at < block.ts[-1] + dataset.interval_ms  # later blocks are published no earlier
            yield from self._sorted(select_rows(waiting, ready), after)
            waiting = select_rows(waiting, ~ready)
        if waiting is not None:
            yield from self._sorted(waiting, after)

    def _sorted(self, records: ScheduledBars, after: StartAfter | None) -> Iterator[ScheduledBars]:
        records = select_rows(records, np.lexsort((records.turn, records.series, records.at)))
        if after is not None and len(records):
            records = _records_after(records, after, self._dataset)
        for begin in range(0, len(records), OUT_ROWS):
            yield select_rows(records, slice(begin, begin + OUT_ROWS))

    def _scheduled(self, block: BarBlock) -> ScheduledBars:
        event = block.ts + self._dataset.interval_ms
        turn = block.ts // self._dataset.interval_ms << self._duplications
        records = ScheduledBars(**vars(block), at=event, turn=turn)
        copy = 0
        for use, change, window in self._changes:
            if change.duplicates is not None:
                records = self._with_duplicates(records, use, change, window, 1 << copy)
                copy += 1
            else:
                delay = self._delay(records, use, change)
                records = replace(records, at=records.at + np.where(window.mask(records), delay, 0))
        return records

    def _delay(self, records: ScheduledBars, use: int, change: ScenarioChange) -> Ints:
        """How much later each record is published, milliseconds, shape (n,)."""
        if (delay := change.delay) is not None:
            jitter = self._uniforms(records, 2 * use, change)
            return np.rint((delay.seconds + delay.jitter * jitter) * 1000).astype(np.int64)
        if change.disorder is None:
            raise ValueError("expected delay or disorder")
        held = self._uniforms(records, 2 * use, change) < change.disorder.percent / 100
        bars = 1 + np.floor(self._uniforms(records, 2 * use + 1, change) * change.disorder.bars).astype(np.int64)
        return np.where(held, bars * self._dataset.interval_ms + 1, 0)

    def _with_duplicates(
        self, records: ScheduledBars, use: int, change: ScenarioChange, window: ChangeWindow, bit: int
    ) -> ScheduledBars:
        if change.duplicates is None:
            raise ValueError("expected duplicates")
        chosen = self._uniforms(records, 2 * use, change) < change.duplicates.percent / 100
        copies = select_rows(records, chosen & window.mask(records))
        at = copies.at + round(change.duplicates.after * 1000)
        return _concatenated(records, replace(copies, at=at, turn=copies.turn + bit))

    def _uniforms(self, records: ScheduledBars, use: int, change: ScenarioChange) -> Floats:
        # By turn, not by open time: a copy has random numbers of its own.
        return uniforms(change.seed, use, self._names[records.series], records.turn)


def _concatenated(one: ScheduledBars, other: ScheduledBars) -> ScheduledBars:
    columns = zip(vars(one).values(), vars(other).values(), strict=True)
    return ScheduledBars(*(np.concatenate(pair) for pair in columns))


def _records_after(records: ScheduledBars, after: StartAfter, dataset: Dataset) -> ScheduledBars:
    at = after.ts + dataset.interval_ms
    series = int(np.searchsorted(np.array(dataset.symbols), after.symbol))
    same = series < len(dataset.symbols) and dataset.symbols[series] == after.symbol
    keep = (records.at > at) | ((records.at == at) & (records.series >= series + same))
    if same and isinstance(after.place, int):
        keep |= (records.at == at) & (records.series == series) & (records.turn > after.place)
    return select_rows(records, keep)
