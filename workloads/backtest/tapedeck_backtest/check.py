"""``python -m tapedeck_backtest.check``: all bias checks of a Backtest's strategy, without the run itself.

Takes the settings of the run's pod, and leaves a report: ``complete``, or ``failed`` with reason LookAhead or StartUp
and the findings as its message. Exits 0 if all checks pass, 64 if one fails or cannot be made, 1 if a retry may help.
"""

from __future__ import annotations

from tapedeck_backtest.__main__ import serve
from tapedeck_backtest.bars.datetimes import same_session
from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Checked, Notice
from tapedeck_backtest.run.bars_out import series_messages
from tapedeck_backtest.run.market import market_of
from tapedeck_backtest.sources.stored_bars import read_range, read_sessions, stored_limits
from tapedeck_backtest.supervisor.strategy_process import StrategyProcess, start_process
from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.report import BacktestReport


class CheckWorkload(Workload):
    """Makes the checks in the strategy's process."""

    def __init__(self, settings: PodSettings, process: StrategyProcess) -> None:
        super().__init__()
        self._settings = settings
        self._process = process
        self._report = BacktestReport()

    def report(self) -> BacktestReport:
        """The outcome, once all checks have passed."""
        return self._report

    def run(self) -> None:
        """Make all checks. Raises RunFailed if one fails or cannot be made, Interrupted, Unavailable, psycopg.Error."""
        spec = self._settings.parse_spec(BacktestSpec)
        try:
            self._report = self._check(spec, Connections.read(self._settings.connections))
        finally:
            self._process.end()

    def _check(self, spec: BacktestSpec, connections: Connections) -> BacktestReport:
        range_ = spec.data.store
        if range_ is None:
            raise RunFailed("BadSpec", "data.store: missing, expected a range of bars to check with")
        self._process.begin(spec, self._settings, self.stop_requested, _ignore, check=True)
        check_intervals(range_.interval, spec.data.intervals)
        series = read_range(connections, range_)
        given, symbols = spec.data.session, list(series)
        sessions = same_session(given, symbols) if given else read_sessions(connections, range_.exchange, symbols)
        limits = stored_limits(range_, series)
        self._process.send(market_of(spec, range_.exchange, symbols, range_.interval, sessions, limits, series))
        for message in series_messages(series):
            self._process.send(message)
        bars = self._process.answer(Checked).bars
        return BacktestReport(state="complete", message=f"no look-ahead, no start-up dependence: {bars} bars")


def _ignore(_notice: Notice) -> None:
    """The checks have no results but their findings."""


if __name__ == "__main__":
    process = start_process(serve)
    run_pod("check", PodSettings, lambda settings: CheckWorkload(settings, process), serve_probes=False)
