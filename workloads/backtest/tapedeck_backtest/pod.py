"""A Backtest's run as a pod's workload, and the reports of its supervisor about a run that was ended."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from tapedeck_backtest.report.gauges import RunGauges
from tapedeck_backtest.sandbox.protocol import SupervisorChannel
from tapedeck_common.logs import configure_logging, log
from tapedeck_common.pod.shell import Workload, run_pod, write_termination_message
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FAILED, InvalidInput, Unavailable
from tapedeck_crds.report import BacktestReport

if TYPE_CHECKING:
    from tapedeck_backtest.backtest_run import BacktestRun
    from tapedeck_backtest.sandbox.supervisor import RunKilled, StrategyExit

CA_FILES = ("kafka_ca", "store_ca")  # files of the connections that clients read again, and that hold no secret


class BacktestWorkload(Workload):
    """One run. Probes are answered before Backtrader is imported, which takes a third of a second."""

    runs_foreign_code = True

    def __init__(self, settings: PodSettings, channel: SupervisorChannel) -> None:
        super().__init__()
        self._settings = settings
        self._channel = channel
        self._run: BacktestRun | None = None

    def report(self) -> BacktestReport:
        """The progress and the headline figures so far."""
        return self._run.report() if self._run is not None else BacktestReport(run_id=self._settings.uid)

    def run(self) -> None:
        """Execute the run. Raises InvalidInput, RunFailed, Interrupted, Unavailable and psycopg.Error."""
        spec = self._settings.parse_spec(BacktestSpec)
        if not self._settings.uid:
            raise InvalidInput("TAPEDECK_UID: missing, expected the id of the run", reason="BadSpec")
        from tapedeck_backtest.backtest_run import BacktestRun
        from tapedeck_backtest.sandbox.landlock import deny_reads
        from tapedeck_backtest.sandbox.memory_limit import limit_memory
        from tapedeck_backtest.sandbox.output import bounded_output

        connections = Connections.read(self._settings.connections)
        run = self._run = BacktestRun(self._settings, spec, connections, self.stop_requested, self._channel)
        deny_reads(self._settings.connections, allow=CA_FILES)
        limits = spec.resources.limits if spec.resources is not None else None
        limit_memory((limits or {}).get("memory"))
        with bounded_output(spec.limits.output_bytes):
            run.execute()
        last = run.report()
        log.info("complete", bars=last.bars, trades=last.trades, value=last.value)


def main(channel: SupervisorChannel) -> int:
    """Run the pod's workload. Returns exit code 0 once all results are published."""

    def make(settings: PodSettings) -> BacktestWorkload:
        workload = BacktestWorkload(settings, channel)
        REGISTRY.register(RunGauges(workload.report))
        return workload

    return run_pod("backtest", PodSettings, make)


def report_strategy_exit(exit_: StrategyExit) -> int:
    """Publish and report that the strategy ended the run's process; returns the exit code."""
    from tapedeck_backtest.backtest_run import BacktestRun

    # The strategy's code is entered for the first time to load it, and again once the start has been published. After a
    # seek the run has another id than the pod.
    run_id, started = exit_.run_ids[-1], len(exit_.run_ids) > 1
    settings = _settings().model_copy(update={"uid": run_id})
    spec = BacktestSpec.model_validate_json(settings.spec)
    run = BacktestRun(settings, spec, Connections.read(settings.connections), Event(), SupervisorChannel())
    message = f"the strategy ended the process ({exit_.cause}) before the run was complete; see the pod's log"
    log.error("failed", reason="StrategyExited", message=message)
    try:
        run.publish_failure("StrategyExited", message, started=started)
    except Unavailable as error:
        log.error("failed", reason=error.reason, message=str(error))
        return EXIT_FAILED
    write_termination_message(settings, run.report())
    return EXIT_BAD_INPUT


def report_kill(exit_: RunKilled) -> int:
    """Report a SIGKILL; returns the exit code. The run has not ended: another pod starts it again."""
    settings = _settings()
    log.error("killed", message=exit_.message)
    report = BacktestReport(run_id=settings.uid, state="failed", reason="Killed", message=exit_.message)
    write_termination_message(settings, report)
    return exit_.exit_code


def output_limit() -> int:
    """Bytes that the strategy may print; 0 if the spec is invalid, because then no strategy runs."""
    try:
        return BacktestSpec.model_validate_json(PodSettings().spec).limits.output_bytes
    except ValueError:
        return 0


def _settings() -> PodSettings:
    settings = PodSettings()
    configure_logging(settings.log_level, workload="backtest", name=settings.name, uid=settings.uid)
    return settings
