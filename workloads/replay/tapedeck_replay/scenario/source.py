"""A source that applies a scenario to another source."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.scenario import ScenarioChange
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.scenario.bar_math import scale_volume, select_rows, shock_path, trend_path
from tapedeck_replay.scenario.schedule import PublishSchedule, max_lateness
from tapedeck_replay.scenario.shuffle_stage import ShuffleStage, segment_order
from tapedeck_replay.scenario.stages import (
    BarStage,
    ChangeWindow,
    MapStage,
    SourceStage,
    VolatilityStage,
    drop_bars,
    price_path,
    spread_shadows,
    window_of,
    within,
)
from tapedeck_replay.source.dataset import BarSource, Dataset, ScheduledBars, StartAfter

SEPARATOR = ";scenario="  # between the fingerprints of the data and of the changes


class ScenarioSource:
    """Another source's bars with every change applied in order: first those of the market, then those of publishing.

    This order is equivalent to the spec's, because no change of the market depends on when a bar is published. The
    result is a function of the bars and the spec. A read from the middle reads only what it depends on: from the start
    of the window for volatility, the whole dataset for shuffle.
    """

    def __init__(
        self, source: BarSource, changes: list[ScenarioChange], heartbeat: Callable[[], None] = lambda: None
    ) -> None:
        self._heartbeat = heartbeat
        self._source = source
        self._market = [(use, change) for use, change in enumerate(changes) if not _changes_publishing(change)]
        self._publishing = [(use, change) for use, change in enumerate(changes) if _changes_publishing(change)]
        self._changes = changes

    def resolve(self) -> Dataset:
        dataset = self._source.resolve()
        for number, change in enumerate(self._changes):
            _check(number, change, dataset)
        text = "\n".join(change.model_dump_json(by_alias=True, exclude_none=True) for change in self._changes)
        fingerprint = f"{dataset.fingerprint}{SEPARATOR}{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        lateness = max_lateness(self._changes, dataset.interval_ms)
        dataset = replace(dataset, fingerprint=fingerprint, lateness=lateness)
        if any(each.outage or each.duplicates or (each.shuffle and each.shuffle.replace) for each in self._changes):
            return replace(dataset, rows_by_symbol=self._count_rows(dataset))
        return dataset

    def resume(self, dataset: Dataset) -> None:
        self._source.resume(replace(dataset, fingerprint=dataset.fingerprint.partition(SEPARATOR)[0]))

    def count(self, dataset: Dataset, v: int) -> int:
        if not self._publishing and not any(each.outage or each.shuffle for each in self._changes):
            return self._source.count(dataset, v)
        count = 0
        for block in self.blocks(dataset, None):
            at = block.at if isinstance(block, ScheduledBars) else block.ts + dataset.interval_ms
            published = int(np.searchsorted(at, v, side="right"))
            count += published
            if published < len(block):
                break
        return count

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        market = self._market_stages(dataset)
        if self._publishing:
            yield from PublishSchedule(market, self._publishing, dataset).read(after, dataset.end)
            return
        since = dataset.start if after is None else max(dataset.start, after.ts)
        for block in market.read(since, dataset.end):
            if after is not None and block.ts[0] <= after.ts:
                series = np.searchsorted(np.array(dataset.symbols), after.symbol, side="right")
                block = select_rows(block, (block.ts > after.ts) | ((block.ts == after.ts) & (block.series >= series)))
            if len(block):
                yield block

    def _count_rows(self, dataset: Dataset) -> dict[str, int]:
        rows: Counter[int] = Counter()
        for block in self.blocks(dataset, None):
            self._heartbeat()
            rows.update(dict(enumerate(np.bincount(block.series, minlength=len(dataset.symbols)).tolist())))
        return {symbol: rows[index] for index, symbol in enumerate(dataset.symbols)}

    def _market_stages(self, dataset: Dataset) -> BarStage:
        stage: BarStage = SourceStage(self._source, dataset)
        for use, change in self._market:
            stage = _stage(stage, dataset, change, use)
        return stage


def _check(number: int, change: ScenarioChange, dataset: Dataset) -> None:
    """Raise InvalidReplay for a change that the dataset does not allow."""
    if dataset.length.monthly:
        raise InvalidReplay("BadScenario", f"scenario: got bars of {dataset.interval}, expected bars of equal lengths")
    if unknown := sorted(set(change.symbols or ()) - set(dataset.symbols)):
        raise InvalidReplay(
            "UnknownSymbol",
            f"scenario[{number}].symbols: got {', '.join(unknown)}, expected some of {', '.join(dataset.symbols)}",
        )
    if change.shuffle is not None and change.shuffle.seconds * 1000 % dataset.interval_ms:
        raise InvalidReplay(
            "BadScenario",
            f"scenario[{number}].shuffle.seconds: got {change.shuffle.seconds}, expected a whole number of "
            f"intervals ({dataset.interval})",
        )


def _changes_publishing(change: ScenarioChange) -> bool:
    return change.delay is not None or change.duplicates is not None or change.disorder is not None


def _stage(upstream: BarStage, dataset: Dataset, change: ScenarioChange, use: int) -> BarStage:
    window = window_of(change, dataset)
    if change.volatility is not None:
        return VolatilityStage(upstream, window, change.volatility.factor)
    if (shuffle := change.shuffle) is not None:
        length = shuffle.seconds * 1000
        order = segment_order((dataset.end - dataset.start) // length, change.seed, use, shuffle.replace)
        return ShuffleStage(upstream, dataset.start, dataset.end, length, order)
    return MapStage(upstream, _block_function(change, window, dataset, use))


def _block_function(
    change: ScenarioChange, window: ChangeWindow, dataset: Dataset, use: int
) -> Callable[[BarBlock], BarBlock]:
    if (shock := change.shock) is not None:
        path = shock_path(window.start, shock.percent, shock.duration, shock.recovery, shock.recovered)
        return price_path(window, dataset.interval_ms, *path)
    if change.trend is not None:
        return price_path(
            window, dataset.interval_ms, *trend_path(window.start, window.end, change.trend.percent_per_day)
        )
    if change.spread is not None:
        return spread_shadows(window, change.spread.factor)
    if change.volume is not None:
        return within(window, partial(scale_volume, factor=change.volume.factor))
    if change.outage is not None:
        return drop_bars(window, dataset, change.outage.percent, change.seed, use)
    raise InvalidReplay("BadSpec", "scenario: got a change without a kind, expected exactly one")
