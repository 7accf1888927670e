"""One run, from the pod's settings to its exit code."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from pydantic import ValidationError

from tapedeck_backtest.report.gauges import RunGauges
from tapedeck_backtest.sandbox.supervisor import Mark
from tapedeck_common.logs import configure, log
from tapedeck_common.probe import Probe, leave_report, on_stop
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FAILED
from tapedeck_crds.report import BacktestReport

if TYPE_CHECKING:
    from tapedeck_backtest.backtest_run import Run

AUTHORITIES = ("kafka_ca", "store_ca")  # files of the connections that are read again, and no secret


class Pod:
    """The probe answers before Backtrader is loaded: that takes a third of a second."""

    def __init__(self, settings: PodSettings, mark: Mark) -> None:
        self._settings = settings
        self._mark = mark
        self._run: Run | None = None
        self._last = BacktestReport(run_id=settings.uid)
        self.stop = Event()

    def report(self) -> BacktestReport:
        """How it goes."""
        return self._run.report() if self._run is not None else self._last

    def work(self) -> int:
        """Do the run and leave the report; returns the exit code."""
        code = self._work()
        last = self.report()
        if code == 0:
            log.info("complete", bars=last.bars, trades=last.trades, value=last.value)
        leave_report(self._settings, last)
        return code

    def _work(self) -> int:
        try:
            spec = BacktestSpec.model_validate_json(self._settings.spec)
            if not self._settings.uid:
                raise ValueError("TAPEDECK_UID: got nothing, expected the id of the run")
        except ValueError as error:
            return self._failed("BadSpec", str(error), EXIT_BAD_INPUT)
        import psycopg

        from tapedeck_backtest.backtest_run import Run
        from tapedeck_backtest.errors import Interrupted, RunFailed, Unavailable
        from tapedeck_backtest.sandbox.landlock import hide
        from tapedeck_backtest.sandbox.output import bounded_output
        from tapedeck_backtest.sandbox.watchdog import limit_memory

        try:
            connections = Connections.read(self._settings.connections)
        except ValidationError as error:
            return self._failed("BadConnections", str(error), EXIT_FAILED)
        run = self._run = Run(self._settings, spec, connections, self.stop, mark=self._mark)
        hide(self._settings.connections, but=AUTHORITIES)
        limits = spec.resources.limits if spec.resources is not None else None
        limit_memory((limits or {}).get("memory"))
        try:
            with bounded_output(spec.limits.output_bytes):
                run.execute()
        except RunFailed as failure:
            log.error("failed", reason=failure.reason, message=failure.message)
            return EXIT_BAD_INPUT
        except Interrupted:
            return self._failed("Interrupted", "asked to end before the run was over", EXIT_FAILED)
        except (Unavailable, psycopg.Error) as error:
            return self._failed("Unavailable", str(error), EXIT_FAILED)
        return 0

    def _failed(self, reason: str, message: str, code: int) -> int:
        log.error("failed", reason=reason, message=message)
        self._last = self.report().model_copy(update={"state": "failed", "reason": reason, "message": message})
        self._run = None
        return code


def main(mark: Mark) -> int:
    """Exit 0 when the run is over and its results are on the log. ``mark`` is told when a strategy's code runs."""
    settings = _settings()
    pod = Pod(settings, mark)
    on_stop(pod.stop.set)
    REGISTRY.register(RunGauges(pod.report))
    with Probe(settings, report=pod.report):
        return pod.work()


def ended_by_strategy(how: str, run_id: str, *, announced: bool) -> int:
    """Say in the report and on the log that the strategy ended the run's process; returns the exit code."""
    from tapedeck_backtest.backtest_run import Run
    from tapedeck_backtest.errors import Unavailable

    settings = _settings().model_copy(update={"uid": run_id})  # after a seek another one than the pod's
    spec = BacktestSpec.model_validate_json(settings.spec)
    run = Run(settings, spec, Connections.read(settings.connections), Event())
    message = f"the strategy ended the process ({how}) before the run was over; its log may say more"
    log.error("failed", reason="StrategyExited", message=message)
    try:
        run.fail("StrategyExited", message, announced=announced)
    except Unavailable as error:
        log.error("failed", reason="Unavailable", message=str(error))
        return EXIT_FAILED
    leave_report(settings, run.report())
    return EXIT_BAD_INPUT


def killed(how: str) -> None:
    """Say in the report what is known of a kill. The run is not over: another pod begins it again."""
    settings = _settings()
    log.error("killed", message=how)
    leave_report(settings, BacktestReport(run_id=settings.uid, state="failed", reason="Killed", message=how))


def room() -> int:
    """How many bytes the strategy may print; none where the spec is none, for then no strategy runs."""
    try:
        return BacktestSpec.model_validate_json(PodSettings().spec).limits.output_bytes
    except ValueError:
        return 0


def _settings() -> PodSettings:
    settings = PodSettings()
    configure(settings.log_level, workload="backtest", name=settings.name, run=settings.uid)
    return settings
