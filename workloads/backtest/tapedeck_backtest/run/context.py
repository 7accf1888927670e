"""The parts that one run shares between its modes, and the records that start and end it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import msgspec

from tapedeck_backtest.bars.datetimes import Sessions, same_session
from tapedeck_backtest.report.undefined import undefined
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.run.publisher import ResultPublisher
from tapedeck_backtest.sandbox.error_boundary import StrategyGuard
from tapedeck_backtest.sources.stored_bars import read_sessions
from tapedeck_common.records import RunAnalyses, RunEnded, RunStarted
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.wire import Epoch
from tapedeck_crds.backtest import BacktestSpec

LISTED_MAX = 100  # open positions, and orders, that a run's end lists


@dataclass
class RunContext:
    """``started`` is whether RunStarted has been published, of this run or of the one that a seek ended."""

    settings: PodSettings
    spec: BacktestSpec
    connections: Connections
    progress: RunProgress
    publisher: ResultPublisher
    guard: StrategyGuard
    started: bool = False

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

    def strategy_code(self) -> AbstractContextManager[None]:
        """Surrounds the strategy's code (see sandbox.error_boundary)."""
        return self.guard.strategy_code(self.progress.run_id)

    def idle(self) -> None:
        """Call this while no bars arrive. Publishes pending results; raises Interrupted and Unavailable."""
        if self.progress.results is not None:
            self.progress.results.flush_if_pending()
        self.guard.heartbeat()

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

    def publish_ended(self, state: Literal["complete", "failed"], message: str) -> None:
        """Publish the end of the run with its results, and wait until the broker has all. Raises Unavailable."""
        results = self.progress.results
        figures = (results.summary() if results is not None else {}) | self.progress.figures
        self.publisher.publish(
            RunEnded(
                run_id=self.progress.run_id,
                state=state,
                message=message,
                bars=self.progress.bars,
                metrics=figures,
                undefined=undefined(figures),
                trades_hash=results.trades_hash if results is not None else "",
                ended_at=time.time_ns() // 1_000_000,
                drawdowns=results.drawdowns() if results is not None else [],
                periods=results.periods() if results is not None else [],
                analyses=results.analyses if results is not None else RunAnalyses(),
                positions=[*results.positions()][:LISTED_MAX] if results is not None else [],
                orders=[*results.orders()][:LISTED_MAX] if results is not None else [],
            )
        )
        self.publisher.flush()

    def restart(self, epoch: Epoch) -> None:
        """End the run, and begin another with its own id in the epoch. Raises Unavailable.

        The store keeps the first record of each number of a run, so the trades of a new epoch need a new id.
        """
        next_id = f"{self.settings.uid}@{epoch}"
        self.publish_ended("failed", f"Sought: the Replay went to epoch {epoch}; the run continues as {next_id}")
        self.progress.restart(next_id)
        self.publisher.switch_run(next_id)
