"""``python -m tapedeck_backtest.bias_checks``: the checks of a Backtest's strategy without its run.

Takes the settings of the run's pod, and leaves a report: ``complete`` with what is worth knowing as its message, or
``failed`` with reason LookAhead or StartUp and what was found.
"""

from __future__ import annotations

import sys
from threading import Event
from typing import Any

from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.bias_checks.checks import CHECKS
from tapedeck_backtest.bias_checks.rerun import Lab
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.error_boundary import foreign
from tapedeck_backtest.sandbox.output import bounded_output
from tapedeck_backtest.sandbox.watchdog import Guard, limit_memory
from tapedeck_backtest.sources import stored_bars
from tapedeck_backtest.strategy_loader import checked_params, strategy_class
from tapedeck_common.pod.shell import Workload, run_pod, write_termination_message
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.report import BacktestReport


class CheckWorkload(Workload):
    """Runs the checks, and nothing of the run."""

    def __init__(self, settings: PodSettings) -> None:
        super().__init__()
        self._settings = settings
        self._report = BacktestReport()

    def report(self) -> BacktestReport:
        """The outcome."""
        return self._report

    def run(self) -> None:
        """Check. Raises InvalidInput where a check fails or cannot be made, Unavailable and psycopg.Error."""
        spec = self._settings.parse_spec(BacktestSpec)
        connections = Connections.read(self._settings.connections)
        limits = spec.resources.limits if spec.resources is not None else None
        limit_memory((limits or {}).get("memory"))
        with bounded_output(spec.limits.output_bytes):
            self._report = _checked(self._settings, spec, connections)


def _checked(settings: PodSettings, spec: BacktestSpec, connections: Connections) -> BacktestReport:
    wanted = spec.data.store
    if wanted is None:
        raise RunFailed("BadSpec", "data.store: missing, expected a range of bars to check with")
    guard = _guard(settings, spec)
    with foreign(guard, guard.progress):
        strategy: type[Any] = strategy_class(spec.strategy, settings.files)
    params = checked_params(strategy, spec.strategy.params)
    check_intervals(wanted.interval, spec.data.intervals)
    lab = Lab.over(spec, strategy, params, stored_bars.read(connections, wanted), wanted.interval, guard.progress)
    with foreign(guard, guard.progress):
        found = {reason: sentences for check, reason in CHECKS.values() if (sentences := check(lab))}
    text = "\n".join(f"{reason}: {sentence}" for reason, sentences in found.items() for sentence in sentences)
    if found:
        raise RunFailed(next(iter(found)), text)
    return BacktestReport(state="complete", message=f"no look-ahead, no start-up: {len(lab.events)} bars")


def _guard(settings: PodSettings, spec: BacktestSpec) -> Guard:
    def last_words(message: str) -> int:
        write_termination_message(settings, _failed("TimeLimit", f"limits.barSeconds: {message}"))
        return EXIT_BAD_INPUT

    return Guard(spec.limits.bar_seconds, Event(), last_words, lambda _inside: None)


def _failed(reason: str, message: str) -> BacktestReport:
    return BacktestReport(state="failed", reason=reason, message=message)


if __name__ == "__main__":
    # Exits 0 where all checks hold, 64 where one does not or cannot be made, 1 where trying again may help.
    sys.exit(run_pod("check", PodSettings, CheckWorkload, serve_probes=False))
