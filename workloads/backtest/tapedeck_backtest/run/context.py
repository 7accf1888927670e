"""The parts that one run shares between its modes, and the records that start and end it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import msgspec

from tapedeck_backtest.bars.datetimes import Sessions, same_session
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Ended, Outcome
from tapedeck_backtest.report.undefined import undefined
from tapedeck_backtest.run.notices import NoticeReceiver
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.run.publisher import ResultPublisher
from tapedeck_backtest.sources.stored_bars import read_sessions
from tapedeck_backtest.supervisor.strategy_process import StrategyProcess
from tapedeck_common.records import RunEnded, RunStarted
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.wire import Epoch
from tapedeck_crds.backtest import BacktestSpec


@dataclass
class RunContext:
    """``started`` is whether RunStarted has been published, of this run or of the one that a seek ended.

    ``outcome`` is that of a run whose stream broke off.
    """

    settings: PodSettings
    spec: BacktestSpec
    connections: Connections
    progress: RunProgress
    publisher: ResultPublisher
    process: StrategyProcess
    notices: NoticeReceiver
    started: bool = False
    outcome: Outcome | None = None

    def find_sessions(self, exchange: str, symbols: list[str]) -> Sessions:
        """The session of each symbol: the spec's, or else that of the catalogue.

        One that all symbols share becomes the spec's, so that it is kept with the run. Raises psycopg.Error.
        """
        data = self.spec.data
        if data.session is None:
            found = read_sessions(self.connections, exchange, symbols)
            if len(found) < len(symbols) or len(set(found.values())) > 1:
                return found
            data = data.model_copy(update={"session": found[symbols[0]]})
            self.spec = self.spec.model_copy(update={"data": data})
        return same_session(data.session, symbols)

    def ended(self) -> Outcome:
        """Wait for the outcome of the run. Raises RunFailed, StrategyKilled, Interrupted and Unavailable."""
        return self.notices.take(self.process.answer(Ended).outcome)

    def publish_started(self, exchange: str, symbols: list[str], interval: str, trials: int = 0) -> None:
        """Publish the start of the run: the strategy, and the bars that it runs over. Raises Unavailable."""
        spec, settings = self.spec, self.settings
        self.started = True
        self.publisher.publish(
            RunStarted(
                run_id=self.progress.run_id,
                name=settings.name,
                namespace=settings.namespace,
                strategy=spec.strategy.builtin or spec.strategy.module or "",
                params=msgspec.Raw(msgspec.json.encode(spec.strategy.params)),
                spec=msgspec.Raw(spec.model_dump_json(by_alias=True, exclude_none=True).encode()),
                exchange=exchange,
                symbols=symbols,
                interval=interval,
                replay_uid=settings.replay_uid,
                cash=spec.broker.cash,
                started_at=time.time_ns() // 1_000_000,
                trials=trials,
            )
        )
        self.notices.begin(self.progress.run_id, symbols, spec.data.intervals)

    def publish_ended(self, state: Literal["complete", "failed"], message: str, outcome: Outcome | None) -> None:
        """Publish the end of the run with its results, and wait until the broker has all. Raises Unavailable.

        Without an outcome, of a process that was ended, the results are those of its last progress.
        """
        if outcome is None:
            outcome = Outcome(bars=self.progress.bars, figures=self.progress.summary)
        figures = outcome.figures | self.progress.figures
        self.publisher.publish(
            RunEnded(
                run_id=self.progress.run_id,
                state=state,
                message=message,
                bars=outcome.bars,
                metrics=figures,
                undefined=undefined(figures),
                trades_hash=outcome.trades_hash,
                ended_at=time.time_ns() // 1_000_000,
                drawdowns=outcome.drawdowns,
                periods=outcome.periods,
                analyses=outcome.analyses,
                positions=outcome.positions,
                orders=outcome.orders,
            )
        )
        self.publisher.flush()

    def publish_failure(self, reason: str, message: str) -> None:
        """Publish the end of a failed run. Raises Unavailable."""
        self.progress.fail(reason, message)
        if not self.started:
            self.publish_started("", [], "")
        self.publish_ended("failed", f"{reason}: {message}", self._outcome_of_failure())

    def _outcome_of_failure(self) -> Outcome | None:
        if self.outcome is not None or self.process.outcome is None:
            return self.outcome
        try:
            return self.notices.take(self.process.outcome)
        except RunFailed:  # what has failed may send anything
            return None

    def restart(self, epoch: Epoch, outcome: Outcome) -> None:
        """End the run, and begin another with its own id in the epoch. Raises Unavailable.

        The store keeps the first record of each number of a run, so the trades of a new epoch need a new id.
        """
        next_id = f"{self.settings.uid}@{epoch}"
        message = f"Sought: the Replay went to epoch {epoch}; the run continues as {next_id}"
        self.publish_ended("failed", message, outcome)
        self.progress.restart(next_id)
        self.publisher.switch_run(next_id)
