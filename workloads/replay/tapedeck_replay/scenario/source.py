"""A source whose market or publishing is changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from tapedeck_common.store.bars import Block
from tapedeck_crds.scenario import ScenarioChange
from tapedeck_replay.scenario.schedule import Schedule, lateness_of
from tapedeck_replay.scenario.shape import only, shock_path, trend_path, widened, with_volume
from tapedeck_replay.scenario.shuffle import Shuffle, segment_order
from tapedeck_replay.scenario.stage import (
    Each,
    FromSource,
    Stage,
    Volatility,
    Window,
    bend,
    in_window,
    lose,
    window_of,
)
from tapedeck_replay.tape import After, BadInput, BarSource, Scheduled, Tape

MARK = ";scenario="  # in a fingerprint, between the data's and the changes'


class ScenarioSource:
    """Another source's bars, changed by each of the changes in order: first the market, then its publishing.

    That order loses nothing, because no change of the market looks at when a bar is published. The result is a
    function of the bars and the spec; going on from a position reads only what is needed to know it (a window's
    begin for volatility, all of the tape for shuffle).
    """

    def __init__(
        self, source: BarSource, changes: list[ScenarioChange], pulse: Callable[[], None] = lambda: None
    ) -> None:
        self._pulse = pulse
        self._source = source
        self._market = [(use, each) for use, each in enumerate(changes) if not _publishing(each)]
        self._publishing = [(use, each) for use, each in enumerate(changes) if _publishing(each)]
        self._changes = changes

    def resolve(self) -> Tape:
        tape = self._source.resolve()
        for number, change in enumerate(self._changes):
            if unknown := sorted(set(change.symbols or ()) - set(tape.symbols)):
                raise BadInput(
                    "UnknownSymbol",
                    f"scenario[{number}].symbols: got {', '.join(unknown)}, expected some of {', '.join(tape.symbols)}",
                )
            if change.shuffle is not None and change.shuffle.seconds * 1000 % tape.step:
                raise BadInput(
                    "BadScenario",
                    f"scenario[{number}].shuffle.seconds: got {change.shuffle.seconds}, expected a whole number of "
                    f"intervals ({tape.interval})",
                )
        text = "\n".join(change.model_dump_json(by_alias=True, exclude_none=True) for change in self._changes)
        changed = f"{tape.fingerprint}{MARK}{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        tape = replace(tape, fingerprint=changed, lateness=lateness_of(self._changes, tape.step))
        if any(each.outage or each.duplicates or (each.shuffle and each.shuffle.replace) for each in self._changes):
            return replace(tape, rows_of=self._rows(tape))
        return tape

    def resume(self, tape: Tape) -> None:
        self._source.resume(replace(tape, fingerprint=tape.fingerprint.partition(MARK)[0]))

    def count(self, tape: Tape, v: int) -> int:
        if not self._publishing and not any(each.outage or each.shuffle for each in self._changes):
            return self._source.count(tape, v)
        seen = 0
        for block in self.blocks(tape, None):
            due = block.at if isinstance(block, Scheduled) else block.ts + tape.step
            there = int(np.searchsorted(due, v, side="right"))
            seen += there
            if there < len(block):
                break
        return seen

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        market = self._stages(tape)
        if self._publishing:
            yield from Schedule(market, self._publishing, tape).read(after, tape.end)
            return
        since = tape.start if after is None else max(tape.start, after.ts)
        for block in market.read(since, tape.end):
            if after is not None and block.ts[0] <= after.ts:
                series = np.searchsorted(np.array(tape.symbols), after.symbol, side="right")
                block = only(block, (block.ts > after.ts) | ((block.ts == after.ts) & (block.series >= series)))
            if len(block):
                yield block

    def _rows(self, tape: Tape) -> dict[str, int]:
        rows: Counter[int] = Counter()
        for block in self.blocks(tape, None):
            self._pulse()
            rows.update(dict(enumerate(np.bincount(block.series, minlength=len(tape.symbols)).tolist())))
        return {symbol: rows[index] for index, symbol in enumerate(tape.symbols)}

    def _stages(self, tape: Tape) -> Stage:
        stage: Stage = FromSource(self._source, tape)
        for use, change in self._market:
            stage = _stage(stage, tape, change, use)
        return stage


def _publishing(change: ScenarioChange) -> bool:
    return change.delay is not None or change.duplicates is not None or change.disorder is not None


def _stage(before: Stage, tape: Tape, change: ScenarioChange, use: int) -> Stage:
    window = window_of(change, tape)
    if change.volatility is not None:
        return Volatility(before, window, change.volatility.factor)
    if (shuffle := change.shuffle) is not None:
        length = shuffle.seconds * 1000
        order = segment_order((tape.end - tape.start) // length, change.seed, use, shuffle.replace)
        return Shuffle(before, tape.start, tape.end, length, order)
    return Each(before, _function(change, window, tape, use))


def _function(change: ScenarioChange, window: Window, tape: Tape, use: int) -> Callable[[Block], Block]:
    if (shock := change.shock) is not None:
        path = shock_path(window.start, shock.percent, shock.duration, shock.recovery, shock.recovered)
        return bend(window, tape.step, *path)
    if change.trend is not None:
        return bend(window, tape.step, *trend_path(window.start, window.end, change.trend.percent_per_day))
    if change.spread is not None:
        return in_window(window, partial(widened, factor=change.spread.factor))
    if change.volume is not None:
        return in_window(window, partial(with_volume, factor=change.volume.factor))
    if change.outage is not None:
        return lose(window, tape, change.outage.percent, change.seed, use)
    raise BadInput("BadSpec", "scenario: got a change without a kind, expected exactly one")
