"""One run: have the strategy loaded, give it the bars of the spec's mode, and publish its results and its end."""

from __future__ import annotations

from threading import Event

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.modes import batch, paper, replay, sweep
from tapedeck_backtest.protocol.messages import Outcome
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.notices import NoticeReceiver
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.run.publisher import ResultPublisher
from tapedeck_backtest.sources.replay_stream import START_TIMEOUT
from tapedeck_backtest.supervisor.strategy_process import StrategyProcess
from tapedeck_common.result_signatures import ResultSigner, read_key
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.report import BacktestReport


class BacktestRun:
    """A run whose report may be read from another thread. ``process`` was started before anything was read.

    ``start_timeout`` is how many seconds a Replay may take to start.
    """

    def __init__(
        self,
        settings: PodSettings,
        spec: BacktestSpec,
        connections: Connections,
        stop: Event,
        process: StrategyProcess,
        *,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self._settings = settings
        self._spec = spec
        self._stop = stop
        self._start_timeout = start_timeout
        self._progress = RunProgress(settings.uid)
        publisher = ResultPublisher(connections, settings.uid, _signer(settings))
        notices = NoticeReceiver(self._progress, publisher)
        self._context = RunContext(settings, spec, connections, self._progress, publisher, process, notices)

    def execute(self) -> None:
        """Execute the whole run. A failure is published before it is raised.

        Raises RunFailed, StrategyKilled, Interrupted (once ``stop`` is set), Unavailable and psycopg.Error.
        """
        try:
            outcome = self._execute()
        except RunFailed as failure:
            self._context.process.end()
            self._context.publish_failure(failure.reason, failure.message)
            raise
        finally:
            self._context.process.end()
        if outcome is not None:  # the end of a sweep is published by its last shard
            self._context.publish_ended("complete", self._progress.end_message(), outcome)
        self._progress.complete()

    def report(self) -> BacktestReport:
        """The progress and the headline figures so far."""
        return self._progress.report()

    def _execute(self) -> Outcome | None:
        context, data = self._context, self._spec.data
        context.process.begin(self._spec, self._settings, self._stop, context.notices.receive)
        if data.store is not None and self._spec.sweep is not None:
            sweep.run(context, self._spec.sweep, data.store)
        elif data.store is not None:
            return batch.run(context, data.store)
        elif data.feed is not None:
            return paper.run(context, data.feed)
        elif data.replay is not None:
            return replay.run(context, data.replay, self._start_timeout)
        return None


def _signer(settings: PodSettings) -> ResultSigner:
    return ResultSigner(read_key(settings.run_key_file, "TAPEDECK_RUN_KEY_FILE"), settings.namespace)
