"""One trial: the strategy with its params over a window's bars, and the resulting metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import NO_LIMITS, Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.report.summary import Figures
from tapedeck_backtest.sandbox.error_boundary import BarTimeout, bar_timeout_message
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace
from tapedeck_backtest.strategy_loader import checked_params
from tapedeck_backtest.sweep.search_space import Params
from tapedeck_backtest.sweep.trial_record import trial_record
from tapedeck_backtest.sweep.windows import SweepWindow
from tapedeck_backtest.trials.window_data import WindowData, window_data
from tapedeck_backtest.vector.run import run_vectorised
from tapedeck_common.records import OUT_OF_SAMPLE_TRIAL, RunTrial
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN
from tapedeck_crds.sweep import Sweep

CACHED_WINDOWS = 3  # the in-sample part of a window, and its out-of-sample part without and with warm-up history


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials over bars that are loaded once. ``series`` includes warm-up history before the first window.

    ``heartbeat`` is called as trials progress.
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
    _windows: dict[tuple[int, int, int], WindowData] = field(default_factory=dict)

    def run(self, window: int, number: int, params: Params, start: int, end: int) -> RunTrial:
        """Run a trial over opens in [start, end), ms UTC. If the strategy fails, the trial has a message, no metrics.

        Raises RunFailed (BadParams) for params that the strategy does not declare.
        """
        all_params, message = self._all_params(params), ""
        data = self._window_data(start, end, self.spec.data.warmup_bars)
        results = self._run_vectorised(data, all_params)
        vectorised = results is not None
        if results is None:
            results = self._new_results()
            message = self._run_engine(data, all_params, self.spec, results)
        figures = results.summary() | {"vectorised": float(vectorised)}
        return self._trial(window, number, params, (start, end), results, message, figures)

    def run_test(self, window: SweepWindow, params: Params) -> RunTrial:
        """Trade a window out-of-sample, after the bars before it have warmed up the indicators.

        The metric ``cold`` is 1 if there are fewer bars before than the indicators need.
        """
        results = self._new_results()
        data, needed, message = self._traded_test(window, params, self.spec.broker.cash, results)
        figures = results.summary() | {
            "vectorised": 0.0, "warmup_bars": float(data.history), "cold": float(data.history < needed),
        }  # fmt: skip
        span = window.train_to, window.test_to
        return self._trial(window.number, OUT_OF_SAMPLE_TRIAL, params, span, results, message, figures)

    def repeat_test(self, window: SweepWindow, params: Params, cash: float, results: Results) -> str:
        """Trade a window out-of-sample again, from ``cash`` on and into ``results``; returns the error message."""
        return self._traded_test(window, params, cash, results)[2]

    def _traded_test(
        self, window: SweepWindow, params: Params, cash: float, results: Results
    ) -> tuple[WindowData, int, str]:
        """The bars of a test, how many its indicators need before it, and the error message of the strategy."""
        spec, all_params = self.spec, self._all_params(params)
        given = self.sweep.walk_forward.warmup_bars if self.sweep.walk_forward is not None else None
        alone = self._window_data(window.train_to, window.test_to, 0)
        needed = alone.min_period(spec, self.strategy, all_params, self.interval) - 1  # the first bar is one of them
        warmup = max(spec.data.warmup_bars, needed if given is None else given)
        data = self._window_data(window.train_to, window.test_to, warmup)
        spec = spec.model_copy(update={"broker": spec.broker.model_copy(update={"cash": cash})})
        return data, needed, self._run_engine(data, all_params, spec, results)

    def _trial(
        self,
        window: int,
        number: int,
        params: Params,
        span: tuple[int, int],
        results: Results,
        message: str,
        metrics: Figures,
    ) -> RunTrial:
        return trial_record(
            self.run_id, self.sweep, window, number, params, span, metrics, results.trades_hash, message
        )

    def _all_params(self, params: Params) -> dict[str, Any]:
        given = checked_params(self.strategy, self.spec.strategy.params)
        return given | checked_params(self.strategy, params, "sweep.params")

    def _window_data(self, start: int, end: int, warmup: int) -> WindowData:
        key = start, end, warmup
        if key not in self._windows:
            while len(self._windows) >= CACHED_WINDOWS:
                del self._windows[next(iter(self._windows))]
            self._windows[key] = window_data(
                self.spec, self.strategy, self.series, self.interval, self.sessions, self.limits, *key
            )
        return self._windows[key]

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

    def _run_engine(self, data: WindowData, params: Params, spec: BacktestSpec, results: Results) -> str:
        """Fill ``results`` in the engine; returns the error message with the strategy's own lines if it failed."""
        try:
            data.engine(spec, self.strategy, params, self.interval, results).run()
        except RunFailed as failure:  # an order or the account is NaN or infinite
            return failure.message
        except BarTimeout as error:
            return bar_timeout_message(self.spec.limits.bar_seconds, error)
        except (Exception, SystemExit) as error:
            return strategy_trace(error)
        return ""
