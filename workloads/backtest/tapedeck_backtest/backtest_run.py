"""One run: choose the strategy, let the source of its bars play, say how it goes and how it ended."""

from __future__ import annotations

from threading import Event
from typing import Any

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.modes import batch, paper, replay, sweep
from tapedeck_backtest.report.summary import HEADLINE
from tapedeck_backtest.run.session import Session
from tapedeck_backtest.sandbox.supervisor import Mark
from tapedeck_backtest.sources.replay_stream import START_TIMEOUT
from tapedeck_backtest.strategy_loader import checked_params, strategy_class
from tapedeck_common.pod.shell import write_termination_message
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.report import BacktestReport


class Run:
    """A run that may be asked how it goes from another thread. ``mark`` is told when a strategy's code runs.

    ``execute`` raises RunFailed, Interrupted (after ``stop`` is set), Unavailable, and psycopg.Error.
    """

    def __init__(
        self,
        settings: PodSettings,
        spec: BacktestSpec,
        connections: Connections,
        stop: Event,
        *,
        start_timeout: float = START_TIMEOUT,
        mark: Mark = lambda _run: None,
    ) -> None:
        self._settings = settings
        self._spec = spec
        self._start_timeout = start_timeout
        self._session = Session(settings, spec, connections, stop, self._last_words, mark)
        self._ending: tuple[str, str] = ("", "")

    def execute(self) -> None:
        """Do all of it. A failure that can't be mended is on the log too when it is raised."""
        try:
            self._execute()
        except RunFailed as failure:
            self.fail(failure.reason, failure.message)
            raise
        if self._spec.sweep is None:  # a sweep ends with its last trial, which may be another pod's
            self._session.end("complete", "")
        self._session.state = "complete"

    def report(self) -> BacktestReport:
        """How it goes."""
        reason, message = self._ending
        session = self._session
        results, bars = session.results, session.bars
        summary = results.summary() if results is not None and len(results.ts) else {}
        headline: dict[str, Any] = {name: summary.get(name) for name in HEADLINE}
        return BacktestReport(
            state="running" if session.state == "waiting" and bars else session.state,
            reason=reason,
            message=message,
            run_id=session.run_id,
            bars=bars,
            total=session.total,
            trades=len(results.pnl_net) if results is not None else 0,
            value=summary.get("final_value"),
            **headline,
            **(session.trials.report() if session.trials is not None else {}),
        )

    def _execute(self) -> None:
        session, spec = self._session, self._spec
        with session.foreign():
            strategy = strategy_class(spec.strategy, self._settings.files)
        params = checked_params(strategy, spec.strategy.params)
        data = spec.data
        if data.store is not None and spec.sweep is not None:
            sweep.run(session, strategy, spec.sweep, data.store)
        elif data.store is not None:
            batch.run(session, strategy, params, data.store)
        elif data.feed is not None:
            paper.run(session, strategy, params, data.feed)
        elif data.replay is not None:
            replay.run(session, strategy, params, data.replay, self._start_timeout)

    def fail(self, reason: str, message: str, *, announced: bool = False) -> None:
        """Say on the log that the run failed, which may be ``announced`` by another process. Raises Unavailable."""
        session = self._session
        session.state, self._ending = "failed", (reason, message)
        if not (announced or session.announced):
            session.announce("", [], "")
        session.end("failed", f"{reason}: {message}")

    def _last_words(self, message: str) -> int:
        """Of a strategy that does not end: from the guard's thread, before the process does."""
        try:
            self.fail("TimeLimit", f"limits.barSeconds: {message}")
        finally:
            write_termination_message(self._settings, self.report())
        return EXIT_BAD_INPUT
