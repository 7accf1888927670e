"""A Backtest's run as a pod's workload, and what its supervisor reports of a run that was ended."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from tapedeck_backtest.report.gauges import RunGauges
from tapedeck_backtest.sandbox.supervisor import Mark
from tapedeck_common.logs import configure, log
from tapedeck_common.pod.shell import Workload, run_pod, write_termination_message
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FAILED, InvalidInput
from tapedeck_crds.report import BacktestReport

if TYPE_CHECKING:
    from tapedeck_backtest.backtest_run import Run

AUTHORITIES = ("kafka_ca", "store_ca")  # files of the connections that are read again, and no secret


class BacktestWorkload(Workload):
    """One run. The probe server answers before Backtrader is loaded: that takes a third of a second."""

    def __init__(self, settings: PodSettings, mark: Mark) -> None:
        super().__init__()
        self._settings = settings
        self._mark = mark
        self._run: Run | None = None

    def report(self) -> BacktestReport:
        """The progress and the results so far."""
        return self._run.report() if self._run is not None else BacktestReport(run_id=self._settings.uid)

    def run(self) -> None:
        """Do the run. Raises InvalidInput, Interrupted, Unavailable, and psycopg.Error."""
        spec = self._settings.parse_spec(BacktestSpec)
        if not self._settings.uid:
            raise InvalidInput("TAPEDECK_UID: missing, expected the id of the run", reason="BadSpec")
        from tapedeck_backtest.backtest_run import Run
        from tapedeck_backtest.sandbox.landlock import hide
        from tapedeck_backtest.sandbox.output import bounded_output
        from tapedeck_backtest.sandbox.watchdog import limit_memory

        connections = Connections.read(self._settings.connections)
        run = self._run = Run(self._settings, spec, connections, self.stop_requested, mark=self._mark)
        hide(self._settings.connections, but=AUTHORITIES)
        limits = spec.resources.limits if spec.resources is not None else None
        limit_memory((limits or {}).get("memory"))
        with bounded_output(spec.limits.output_bytes):
            run.execute()
        last = run.report()
        log.info("complete", bars=last.bars, trades=last.trades, value=last.value)


def main(mark: Mark) -> int:
    """Exits 0 once the results are on the log. ``mark`` is called when a strategy's code starts and when it ends."""

    def make(settings: PodSettings) -> BacktestWorkload:
        workload = BacktestWorkload(settings, mark)
        REGISTRY.register(RunGauges(workload.report))
        return workload

    return run_pod("backtest", PodSettings, make)


def ended_by_strategy(how: str, run_id: str, *, announced: bool) -> int:
    """Say in the report and on the log that the strategy ended the run's process; returns the exit code."""
    from tapedeck_backtest.backtest_run import Run
    from tapedeck_crds.errors import Unavailable

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
    write_termination_message(settings, run.report())
    return EXIT_BAD_INPUT


def killed(how: str) -> None:
    """Say in the report what is known of a kill. The run is not over: another pod begins it again."""
    settings = _settings()
    log.error("killed", message=how)
    write_termination_message(
        settings, BacktestReport(run_id=settings.uid, state="failed", reason="Killed", message=how)
    )


def room() -> int:
    """How many bytes the strategy may print; none where the spec is none, for then no strategy runs."""
    try:
        return BacktestSpec.model_validate_json(PodSettings().spec).limits.output_bytes
    except ValueError:
        return 0


def _settings() -> PodSettings:
    settings = PodSettings()
    configure(settings.log_level, workload="backtest", name=settings.name, uid=settings.uid)
    return settings
