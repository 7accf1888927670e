"""The bars of a window, as its trials play them: made once, played by all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tapedeck_backtest.bars.resample import built_from
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.cerebro import Engine
from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.engine.warmup import LateCollector, quiet_until
from tapedeck_backtest.report.nan_guard import FiniteCollector
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.run import market_for
from tapedeck_backtest.vector.signals import Market
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import INTERVAL_MS


@dataclass(frozen=True)
class Part:
    """``begins`` is the event time (ms UTC) before which there is only history, 0 where there is none.

    ``market`` is there where trials can be made over whole arrays.
    """

    series: dict[str, Columns]
    begins: int
    market: Market | None

    def engine(
        self, spec: BacktestSpec, strategy: type[Any], params: dict[str, Any], interval: str, results: Results
    ) -> Engine:
        """An engine over the bars that tells ``results``."""
        if not self.begins:
            made = cerebro.batch_engine(spec, strategy, params, self.series, interval)
            made.addanalyzer(FiniteCollector, results=results)
            return made
        made = cerebro.batch_engine(spec, quiet_until(strategy, self.begins), params, self.series, interval)
        made.addanalyzer(LateCollector, results=results, begins=self.begins)
        return made


def part_of(
    spec: BacktestSpec, strategy: type[Any], series: dict[str, Columns], interval: str, start: int, end: int
) -> Part:
    """The bars with opens in [start, end) and the spec's history before them, as views, of each symbol.

    One that has none keeps its feed, so that a strategy finds the feeds that it knows. ``series`` has them all, with
    history before the first.
    """
    width, warmup = INTERVAL_MS[interval], spec.data.warmup_bars
    found, firsts = {}, []
    for symbol, columns in series.items():
        low, high = (int(i) for i in np.searchsorted(columns.event, (start + width, end + width)))
        if low < high:
            firsts.append(int(columns.event[low]))
        behind = slice(max(low - warmup, 0), high)
        found[symbol] = Columns(**{name: array[behind] for name, array in vars(columns).items()})
    begins = min(firsts, default=start + width) if warmup else 0
    market = market_for(spec, strategy, found)
    return Part(built_from(found, interval, spec.data.intervals), begins, market)
