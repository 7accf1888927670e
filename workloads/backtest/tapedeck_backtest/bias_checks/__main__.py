"""``python -m tapedeck_backtest.bias_checks``: all bias checks of a Backtest's strategy, without the run itself.

Takes the settings of the run's pod, and leaves a report: ``complete``, or ``failed`` with reason LookAhead or StartUp
and the findings as its message. Exits 0 if all checks pass, 64 if one fails or cannot be made, 1 if a retry may help.
"""

from __future__ import annotations

import sys

from tapedeck_backtest.bars.datetimes import same_session
from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.bias_checks.checks import CHECKS
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.error_boundary import StrategyGuard
from tapedeck_backtest.sandbox.memory_limit import limit_memory
from tapedeck_backtest.sandbox.output import bounded_output
from tapedeck_backtest.sandbox.protocol import SupervisorChannel
from tapedeck_backtest.sandbox.watchdog import StrategyWatchdog
from tapedeck_backtest.sources.stored_bars import read_range, read_sessions
from tapedeck_backtest.strategy_loader import checked_params, load_strategy, open_hook_note
from tapedeck_common.pod.shell import Workload, run_pod, write_termination_message
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.report import BacktestReport


class CheckWorkload(Workload):
    """Makes the checks."""

    def __init__(self, settings: PodSettings) -> None:
        super().__init__()
        self._settings = settings
        self._report = BacktestReport()

    def report(self) -> BacktestReport:
        """The outcome, once all checks have passed."""
        return self._report

    def run(self) -> None:
        """Make all checks. Raises RunFailed if one fails or cannot be made, Interrupted, Unavailable, psycopg.Error."""
        spec = self._settings.parse_spec(BacktestSpec)
        connections = Connections.read(self._settings.connections)
        limits = spec.resources.limits if spec.resources is not None else None
        limit_memory((limits or {}).get("memory"))
        with bounded_output(spec.limits.output_bytes):
            self._report = self._check(spec, connections)

    def _check(self, spec: BacktestSpec, connections: Connections) -> BacktestReport:
        range_, run_id = spec.data.store, self._settings.uid
        if range_ is None:
            raise RunFailed("BadSpec", "data.store: missing, expected a range of bars to check with")
        watchdog = StrategyWatchdog(
            spec.limits.bar_seconds, self.stop_requested, self._report_hang, SupervisorChannel()
        )
        guard = StrategyGuard(watchdog, self.stop_requested)
        with guard.strategy_code(run_id):
            strategy = load_strategy(spec.strategy, self._settings.files)
        open_hook_note(strategy, spec.broker.cheat_on_open)
        params = checked_params(strategy, spec.strategy.params)
        check_intervals(range_.interval, spec.data.intervals)
        series = read_range(connections, range_)
        given, symbols = spec.data.session, list(series)
        sessions = same_session(given, symbols) if given else read_sessions(connections, range_.exchange, symbols)
        rerun = StrategyRerun.over(spec, strategy, params, series, range_.interval, sessions, guard.heartbeat)
        with guard.strategy_code(run_id):
            findings = {reason: lines for check, reason in CHECKS.values() if (lines := check(rerun))}
        if findings:
            text = "\n".join(f"{reason}: {line}" for reason, lines in findings.items() for line in lines)
            raise RunFailed(next(iter(findings)), text)
        message = f"no look-ahead, no start-up dependence: {len(rerun.events)} bars"
        return BacktestReport(state="complete", message=message)

    def _report_hang(self, message: str) -> int:
        """Report a strategy that does not end. Called from the watchdog's thread."""
        text = f"limits.barSeconds: {message}"
        write_termination_message(self._settings, BacktestReport(state="failed", reason="TimeLimit", message=text))
        return EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(run_pod("check", PodSettings, CheckWorkload, serve_probes=False))
