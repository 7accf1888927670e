"""When each bar is published: delays, duplicates, disorder.

Each record gets a due time ``at`` ≥ its event time and a turn, (open / interval) × 2^d + which copy it is,
where d is the number of changes that make copies. (at, symbol, turn) is the order in which records are
published, and no two have the same, so a position made of it names one record: a successor goes on behind it
and neither loses a bar, a late one or a copy, nor publishes one more often than the scenario says. A bar is
never published before its event time: disorder holds bars back, it brings none forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tapedeck_common.store.bars import Block, Floats, Ints
from tapedeck_crds.scenario import ScenarioChange
from tapedeck_replay.scenario.chance import uniforms, words_of
from tapedeck_replay.scenario.shape import only
from tapedeck_replay.scenario.stage import Stage, Window, window_of
from tapedeck_replay.tape import After, Scheduled, Tape

OUT_ROWS = 16_384


def lateness_of(changes: list[ScenarioChange], step: int) -> int:
    """How long after its event time a bar can be published at the latest, milliseconds."""
    late = 0
    for change in changes:
        if change.delay is not None:
            late += round((change.delay.seconds + change.delay.jitter) * 1000)
        elif change.duplicates is not None:
            late += round(change.duplicates.after * 1000)
        elif change.disorder is not None:
            late += change.disorder.bars * step + 1
    return late


class Schedule:
    """Bars in the order of publishing. Records wait in memory for as long as an earlier one can still come."""

    def __init__(self, before: Stage, changes: list[tuple[int, ScenarioChange]], tape: Tape) -> None:
        self._before, self._tape = before, tape
        self._changes = [(use, change, window_of(change, tape)) for use, change in changes]
        self._copies = sum(change.duplicates is not None for _, change in changes)
        self._words = words_of(tape.symbols)

    def read(self, after: After | None, until: int) -> Iterator[Scheduled]:
        """Those behind ``after``, of bars with an open before ``until``."""
        tape = self._tape
        since = tape.start if after is None else max(tape.start, after.ts - tape.lateness)
        waiting: Scheduled | None = None
        for block in self._before.read(since, until):
            records = self._scheduled(block)
            waiting = records if waiting is None else _together(waiting, records)
            ready = waiting.at < block.ts[-1] + tape.step  # whatever comes is not due before
            yield from self._out(only(waiting, ready), after)
            waiting = only(waiting, ~ready)
        if waiting is not None:
            yield from self._out(waiting, after)

    def _out(self, records: Scheduled, after: After | None) -> Iterator[Scheduled]:
        records = only(records, np.lexsort((records.turn, records.series, records.at)))
        if after is not None and len(records):
            records = _behind(records, after, self._tape)
        for begin in range(0, len(records), OUT_ROWS):
            yield only(records, slice(begin, begin + OUT_ROWS))

    def _scheduled(self, block: Block) -> Scheduled:
        event = block.ts + self._tape.step
        turn = block.ts // self._tape.step << self._copies
        records = Scheduled(**vars(block), at=event, turn=turn)
        copy = 0
        for use, change, window in self._changes:
            if change.duplicates is not None:
                records = self._doubled(records, use, change, window, 1 << copy)
                copy += 1
            else:
                late = self._late(records, use, change)
                at = records.at + np.where(window.holds(records), late, 0)
                records = replace(records, at=at)
        return records

    def _late(self, records: Scheduled, use: int, change: ScenarioChange) -> Ints:
        if (delay := change.delay) is not None:
            chance = self._chance(records, 2 * use, change)
            return np.rint((delay.seconds + delay.jitter * chance) * 1000).astype(np.int64)
        if change.disorder is None:
            raise ValueError("expected delay or disorder")
        held = self._chance(records, 2 * use, change) < change.disorder.percent / 100
        places = 1 + np.floor(self._chance(records, 2 * use + 1, change) * change.disorder.bars).astype(np.int64)
        return np.where(held, places * self._tape.step + 1, 0)

    def _doubled(self, records: Scheduled, use: int, change: ScenarioChange, window: Window, bit: int) -> Scheduled:
        if change.duplicates is None:
            raise ValueError("expected duplicates")
        again = self._chance(records, 2 * use, change) < change.duplicates.percent / 100
        copies = only(records, again & window.holds(records))
        at = copies.at + round(change.duplicates.after * 1000)
        return _together(records, replace(copies, at=at, turn=copies.turn + bit))

    def _chance(self, records: Scheduled, use: int, change: ScenarioChange) -> Floats:
        # By turn, not by open: a copy's luck is its own.
        return uniforms(change.seed, use, self._words[records.series], records.turn)


def _together(one: Scheduled, other: Scheduled) -> Scheduled:
    columns = zip(vars(one).values(), vars(other).values(), strict=True)
    return Scheduled(*(np.concatenate(pair) for pair in columns))


def _behind(records: Scheduled, after: After, tape: Tape) -> Scheduled:
    at = after.ts + tape.step
    series = int(np.searchsorted(np.array(tape.symbols), after.symbol))
    same = series < len(tape.symbols) and tape.symbols[series] == after.symbol
    keep = (records.at > at) | ((records.at == at) & (records.series >= series + same))
    if same:
        keep |= (records.at == at) & (records.series == series) & (records.turn > int(after.id))
    return only(records, keep)
