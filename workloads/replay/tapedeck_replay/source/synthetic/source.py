"""A synthetic market as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.source import Synthetic
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import Dataset, StartAfter
from tapedeck_replay.source.synthetic.market import SyntheticMarket

VERSION = "1"  # raise it when the same spec would give other bars


class SyntheticSource:
    """Bars of a synthetic market; nothing is stored, and any part is computed when it is read."""

    def __init__(self, spec: Synthetic) -> None:
        self._spec = spec
        try:
            self._market = SyntheticMarket(spec)
        except ValueError as error:
            raise InvalidReplay("BadSynthetic", f"source.synthetic.{error}") from error

    def resolve(self) -> Dataset:
        market = self._market
        text = self._spec.model_dump_json(by_alias=True, exclude_none=True)
        return Dataset(
            self._spec.exchange,
            market.symbols,
            self._spec.interval,
            market.start,
            market.start + market.bars * market.interval_ms,
            dict.fromkeys(market.symbols, market.bars),
            f"synthetic-{VERSION}={hashlib.sha256(text.encode()).hexdigest()[:16]}",
        )

    def resume(self, dataset: Dataset) -> None:
        """Nothing to prepare: every pod computes the same bars from the spec."""

    def count(self, dataset: Dataset, v: int) -> int:
        last_open = min(v - dataset.interval_ms, dataset.end - 1)
        bars = (last_open - dataset.start) // dataset.interval_ms + 1
        return max(bars, 0) * len(dataset.symbols)

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        market = self._market
        first = 0 if after is None else max(0, (after.ts - market.start) // market.interval_ms)
        for number in range(min(first, market.bars) // market.steps, market.blocks):
            block = _select_symbols(market.block(number), market.symbols, dataset.symbols)
            if after is not None and len(block) and block.ts[0] <= after.ts:
                series = np.searchsorted(np.array(dataset.symbols), after.symbol, side="right")
                keep = (block.ts > after.ts) | ((block.ts == after.ts) & (block.series >= series))
                block = BarBlock(*(column[keep] for column in vars(block).values()))
            if len(block):
                yield block


def _select_symbols(block: BarBlock, symbols: tuple[str, ...], selected: tuple[str, ...]) -> BarBlock:
    """The rows of the selected symbols; ``series`` becomes an index into ``selected``."""
    if symbols == selected:
        return block
    indices = np.array([selected.index(symbol) if symbol in selected else -1 for symbol in symbols])
    series = indices[block.series]
    keep = series >= 0
    columns = [column[keep] for column in vars(block).values()]
    return BarBlock(series[keep], *columns[1:])
