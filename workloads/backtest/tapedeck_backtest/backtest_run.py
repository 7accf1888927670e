"""One run: load the strategy, run it in the spec's mode, report its progress and publish its end."""

from __future__ import annotations

from threading import Event

from tapedeck_backtest.engine.observers import analyzer_classes, observer_classes
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.modes import batch, paper, replay, sweep
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.run.publisher import ResultPublisher
from tapedeck_backtest.sandbox.error_boundary import StrategyGuard
from tapedeck_backtest.sandbox.protocol import SupervisorChannel
from tapedeck_backtest.sandbox.watchdog import StrategyWatchdog
from tapedeck_backtest.sources.replay_stream import START_TIMEOUT
from tapedeck_backtest.strategy_loader import checked_params, load_strategy, open_hook_note, param_notes
from tapedeck_common.pod.shell import write_termination_message
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.report import BacktestReport


class BacktestRun:
    """A run whose report may be read from another thread. ``channel`` leads to its supervisor.

    ``start_timeout`` is how many seconds a Replay may take to start.
    """

    def __init__(
        self,
        settings: PodSettings,
        spec: BacktestSpec,
        connections: Connections,
        stop: Event,
        channel: SupervisorChannel,
        *,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self._settings = settings
        self._spec = spec
        self._start_timeout = start_timeout
        self._progress = RunProgress(settings.uid, spec.data.warmup_bars)
        watchdog = StrategyWatchdog(spec.limits.bar_seconds, stop, self._end_hanging_run, channel)
        self._context = RunContext(
            settings,
            spec,
            connections,
            self._progress,
            ResultPublisher(connections, settings.uid),
            StrategyGuard(watchdog, stop),
        )

    def execute(self) -> None:
        """Execute the whole run. A failure is published before it is raised.

        Raises RunFailed, Interrupted (once ``stop`` is set), Unavailable and psycopg.Error.
        """
        try:
            self._execute()
        except RunFailed as failure:
            self.publish_failure(failure.reason, failure.message)
            raise
        if self._spec.sweep is None:  # the end of a sweep is published by its last shard
            self._context.publish_ended("complete", self._progress.end_message())
        self._progress.complete()

    def report(self) -> BacktestReport:
        """The progress and the headline figures so far."""
        return self._progress.report()

    def publish_failure(self, reason: str, message: str, *, started: bool = False) -> None:
        """Publish the end of a failed run; ``started`` if its start was published by another process.

        Raises Unavailable.
        """
        self._progress.fail(reason, message)
        if not (started or self._context.started):
            self._context.publish_started("", [], "")
        self._context.publish_ended("failed", f"{reason}: {message}")

    def _execute(self) -> None:
        context, data = self._context, self._spec.data
        with context.strategy_code():
            strategy = load_strategy(self._spec.strategy, self._settings.files)
            observer_classes(self._spec, strategy)  # before any bar is read
            analyzer_classes(self._spec, strategy)
        params = checked_params(strategy, self._spec.strategy.params)
        open_hook = open_hook_note(strategy, self._spec.broker.cheat_on_open)
        for note in (*param_notes(strategy, params), *filter(None, (open_hook,))):
            self._progress.note(note)
        if data.store is not None and self._spec.sweep is not None:
            sweep.run(context, strategy, self._spec.sweep, data.store)
        elif data.store is not None:
            batch.run(context, strategy, params, data.store)
        elif data.feed is not None:
            paper.run(context, strategy, params, data.feed)
        elif data.replay is not None:
            replay.run(context, strategy, params, data.replay, self._start_timeout)

    def _end_hanging_run(self, message: str) -> int:
        """Publish and report the failure of a strategy that does not end. Called from the watchdog's thread."""
        try:
            self.publish_failure("TimeLimit", f"limits.barSeconds: {message}")
        finally:
            write_termination_message(self._settings, self.report())
        return EXIT_BAD_INPUT
