"""One trial: the strategy with its params over a window's bars, and the resulting metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import NO_LIMITS, Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.sandbox.error_boundary import bar_timeout_message
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace
from tapedeck_backtest.sandbox.watchdog import BarTimeout
from tapedeck_backtest.strategy_loader import checked_params
from tapedeck_backtest.sweep.ranking import is_feasible, metric_value
from tapedeck_backtest.sweep.search_space import Params
from tapedeck_backtest.sweep.window_data import WindowData, window_data
from tapedeck_backtest.vector.run import run_vectorised
from tapedeck_common.records import RunTrial
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import Interrupted
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN
from tapedeck_crds.sweep import Sweep

CACHED_WINDOWS = 2  # the in-sample part of a window and its out-of-sample part


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials over bars that are loaded once. ``series`` includes warm-up history before the first window.

    ``heartbeat`` is called as trials progress; what it raises ends the trial.
    """

    run_id: str
    spec: BacktestSpec
    sweep: Sweep
    strategy: type[Any]
    series: dict[str, BarArrays]
    interval: str
    sessions: Sessions
    heartbeat: Callable[[], None]
    limits: Limits = NO_LIMITS
    _windows: dict[tuple[int, int], WindowData] = field(default_factory=dict)

    def run(self, window: int, number: int, params: Params, start: int, end: int) -> RunTrial:
        """Run a trial over opens in [start, end), ms UTC. If the strategy fails, the trial has a message, no metrics.

        Raises RunFailed (BadParams) for params that the strategy does not declare.
        """
        given = checked_params(self.strategy, self.spec.strategy.params)
        all_params = given | checked_params(self.strategy, params, "sweep.params")
        data, message = self._window_data(start, end), ""
        results = self._run_vectorised(data, all_params)
        vectorised = results is not None
        if results is None:
            results, message = self._run_engine(data, all_params)
        metrics = {} if message else {**results.summary(), "vectorised": float(vectorised)}
        return RunTrial(
            run_id=self.run_id,
            window=window,
            trial=number,
            params=msgspec.Raw(msgspec.json.encode(params)),
            start=start,
            end=end,
            metrics=metrics,
            objective=metric_value(metrics, self.sweep.objective.metric),
            feasible=is_feasible(self.sweep, metrics),
            trades_hash="" if message else results.trades_hash,
            message=message,
        )

    def _window_data(self, start: int, end: int) -> WindowData:
        if (start, end) not in self._windows:
            while len(self._windows) >= CACHED_WINDOWS:
                del self._windows[next(iter(self._windows))]
            self._windows[start, end] = window_data(
                self.spec, self.strategy, self.series, self.interval, self.sessions, self.limits, start, end
            )
        return self._windows[start, end]

    def _new_results(self) -> Results:
        session = self.spec.data.session or ALWAYS_OPEN
        interval_ms = BAR_LENGTHS[self.interval].ms
        return Results(self.run_id, self.spec.broker.cash, interval_ms, None, self.heartbeat, session=session)

    def _run_vectorised(self, data: WindowData, params: Params) -> Results | None:
        """The results of a vectorised trial; None if the trial needs the engine."""
        if data.vectorised is None:
            return None
        results = self._new_results()
        (symbol,) = data.series
        complete = run_vectorised(self.spec, self.strategy, params, symbol, data.vectorised, results)
        self.heartbeat()
        return results if complete else None

    def _run_engine(self, data: WindowData, params: Params) -> tuple[Results, str]:
        """The results of a trial in the engine, and the error message with the strategy's own lines if it failed."""
        results = self._new_results()
        try:
            data.engine(self.spec, self.strategy, params, self.interval, results).run()
        except Interrupted:
            raise
        except RunFailed as failure:  # an order or the account is NaN or infinite
            return results, failure.message
        except BarTimeout as error:
            self.heartbeat()  # raises Interrupted if the pod is asked to stop, which shortens the time limit
            return results, bar_timeout_message(self.spec.limits.bar_seconds, error)
        except (Exception, SystemExit) as error:
            return results, strategy_trace(error)
        return results, ""
