"""One trial: the strategy with its params over a window's bars, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.sandbox.error_boundary import too_long
from tapedeck_backtest.sandbox.trace import strategy_trace
from tapedeck_backtest.sandbox.watchdog import TooLong
from tapedeck_backtest.strategy_loader import checked_params
from tapedeck_backtest.sweep.ranking import feasible, figure
from tapedeck_backtest.sweep.search_space import Params
from tapedeck_backtest.sweep.window_data import Part, part_of
from tapedeck_backtest.vector.run import trade
from tapedeck_common.records import RunTrial
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.errors import Interrupted
from tapedeck_crds.sweep import Sweep

PARTS = 2  # a window's, and what its best trades afterwards


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
    _parts: dict[tuple[int, int], Part] = field(default_factory=dict)

    def make(self, window: int, number: int, params: Params, start: int, end: int) -> RunTrial:
        """The trial. One whose strategy fails is a result too; Raises RunFailed for params that no strategy takes."""
        given = checked_params(self.strategy, self.spec.strategy.params)
        chosen = given | checked_params(self.strategy, self._switches(params), "sweep.params")
        part, message = self._part(start, end), ""
        results = self._vectorised(part, chosen)
        vectorised = results is not None
        if results is None:
            results, message = self._engined(part, chosen)
        metrics = {} if message else {**results.summary(), "vectorised": float(vectorised)}
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

    def _part(self, start: int, end: int) -> Part:
        if (start, end) not in self._parts:
            while len(self._parts) >= PARTS:
                del self._parts[next(iter(self._parts))]
            self._parts[start, end] = part_of(self.spec, self.strategy, self.series, self.interval, start, end)
        return self._parts[start, end]

    def _switches(self, params: Params) -> Params:
        """A number is all that an axis can say of a param that is true or false."""
        defaults = dict(self.strategy.params._getpairs())
        return {n: bool(v) if isinstance(defaults.get(n), bool) and v in (0, 1) else v for n, v in params.items()}

    def _results(self) -> Results:
        return Results(self.run_id, self.spec.broker.cash, INTERVAL_MS[self.interval], None, self.pulse)

    def _vectorised(self, part: Part, params: Params) -> Results | None:
        """The trial over whole arrays; None where only the engine can make it."""
        if part.market is None:
            return None
        results = self._results()
        (symbol,) = part.series
        made = trade(self.spec, self.strategy, params, symbol, part.market, results)
        self.pulse()
        return results if made else None

    def _engined(self, part: Part, params: Params) -> tuple[Results, str]:
        """The trial bar by bar, and what went wrong with the strategy's own lines."""
        results = self._results()
        try:
            part.engine(self.spec, self.strategy, params, self.interval, results).run()
        except Interrupted:
            raise
        except RunFailed as failure:  # an order or an account that is no number
            return results, failure.message
        except TooLong as error:
            self.pulse()  # raises where the pod is asked to end: that ends a strategy in the same way
            return results, too_long(self.spec.limits.bar_seconds, error)
        except (Exception, SystemExit) as error:
            return results, strategy_trace(error)
        return results, ""
