"""One trial: the strategy with its params over a window's bars, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tapedeck.records import RunTrial
from tapedeck_backtest import engine
from tapedeck_backtest.choose import checked_params
from tapedeck_backtest.errors import Interrupted, RunFailed
from tapedeck_backtest.feeds import Columns
from tapedeck_backtest.results import Collector, Results
from tapedeck_backtest.sweep.judge import feasible, figure
from tapedeck_backtest.sweep.space import Params
from tapedeck_backtest.trace import strategy_trace
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.sweep import Sweep


@dataclass(frozen=True)
class Lab:
    """Where trials are made: bars are there once, each trial looks at a part of them."""

    run_id: str
    spec: BacktestSpec
    sweep: Sweep
    strategy: type[Any]
    series: dict[str, Columns]
    interval: str
    pulse: Callable[[], None]

    def part(self, start: int, end: int) -> dict[str, Columns]:
        """The bars with opens in [start, end), as views; symbols without one are left out."""
        width = INTERVAL_MS[self.interval]
        found = {}
        for symbol, columns in self.series.items():
            low, high = np.searchsorted(columns.event, (start + width, end + width))
            if low < high:
                found[symbol] = Columns(**{name: array[low:high] for name, array in vars(columns).items()})
        return found

    def _switches(self, params: Params) -> Params:
        """A number is all that an axis can say of a param that is true or false."""
        defaults = dict(self.strategy.params._getpairs())
        return {n: bool(v) if isinstance(defaults.get(n), bool) and v in (0, 1) else v for n, v in params.items()}

    def make(self, window: int, number: int, params: Params, start: int, end: int) -> RunTrial:
        """The trial. One whose strategy fails is a result too; Raises RunFailed for params that no strategy takes."""
        chosen = checked_params(self.strategy, self.spec.strategy.params | self._switches(params))
        results = Results(self.run_id, self.spec.broker.cash, INTERVAL_MS[self.interval], lambda _: None, self.pulse)
        made = engine.batch(self.spec, self.strategy, chosen, self.part(start, end), self.interval)
        made.addanalyzer(Collector, results=results)
        message = ""
        try:
            made.run()
        except (RunFailed, Interrupted):
            raise
        except (Exception, SystemExit) as error:
            message = strategy_trace(error)
        metrics = {} if message else results.summary()
        return RunTrial(
            run_id=self.run_id,
            window=window,
            trial=number,
            params=msgspec.Raw(msgspec.json.encode(params)),
            start=start,
            end=end,
            metrics=metrics,
            objective=figure(metrics, self.sweep.objective.metric),
            feasible=feasible(self.sweep, metrics),
            trades_hash="" if message else results.trades_hash,
            message=message,
        )
