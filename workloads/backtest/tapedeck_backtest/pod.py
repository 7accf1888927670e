"""A Backtest's run as a pod's workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from prometheus_client import REGISTRY

from tapedeck_backtest.report.gauges import RunGauges
from tapedeck_backtest.supervisor.strategy_process import StrategyProcess
from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.report import BacktestReport

if TYPE_CHECKING:
    from tapedeck_backtest.backtest_run import BacktestRun


class BacktestWorkload(Workload):
    """One run. Probes are answered before its modules are imported."""

    runs_foreign_code = True

    def __init__(self, settings: PodSettings, process: StrategyProcess) -> None:
        super().__init__()
        self._settings = settings
        self._process = process
        self._run: BacktestRun | None = None

    def report(self) -> BacktestReport:
        """The progress and the headline figures so far."""
        return self._run.report() if self._run is not None else BacktestReport(run_id=self._settings.uid)

    def run(self) -> None:
        """Execute the run. Raises InvalidInput, and what BacktestRun.execute raises."""
        spec = self._settings.parse_spec(BacktestSpec)
        if not self._settings.uid:
            raise InvalidInput("TAPEDECK_UID: missing, expected the id of the run", reason="BadSpec")
        from tapedeck_backtest.backtest_run import BacktestRun

        connections = Connections.read(self._settings.connections)
        run = self._run = BacktestRun(self._settings, spec, connections, self.stop_requested, self._process)
        run.execute()
        last = run.report()
        log.info("complete", bars=last.bars, trades=last.trades, value=last.value)


def main(process: StrategyProcess) -> NoReturn:
    """Run the pod's workload, and end the process: with exit code 0 once all results are published."""

    def make(settings: PodSettings) -> BacktestWorkload:
        workload = BacktestWorkload(settings, process)
        REGISTRY.register(RunGauges(workload.report))
        return workload

    run_pod("backtest", PodSettings, make)
