"""What a run's parts share: its settings, the way of its results to the log, and where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from threading import Event
from typing import Any, Literal

import msgspec

from tapedeck_backtest.bars.resample import Resampler, names
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.cerebro import Engine, Step
from tapedeck_backtest.engine.feeds import is_coarse
from tapedeck_backtest.engine.warmup import LateCollector, quiet_until, steps_of
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.curve import stride
from tapedeck_backtest.report.nan_guard import REASON as NOT_A_NUMBER
from tapedeck_backtest.report.nan_guard import FiniteCollector, checked
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.run.publisher import Publisher
from tapedeck_backtest.sandbox.error_boundary import foreign
from tapedeck_backtest.sandbox.supervisor import Mark
from tapedeck_backtest.sandbox.watchdog import Guard
from tapedeck_backtest.sources import stored_bars
from tapedeck_backtest.sweep.shard import Trials
from tapedeck_common.records import ResultRecord, RunEnded, RunStarted
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.wire import Epoch
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.errors import Interrupted
from tapedeck_crds.report import ReportState


class Session:
    """One run as it goes.

    ``last_words`` is told of a strategy that does not end, from the guard's thread; ``mark`` when its code runs.
    """

    def __init__(
        self,
        settings: PodSettings,
        spec: BacktestSpec,
        connections: Connections,
        stop: Event,
        last_words: Callable[[str], int],
        mark: Mark,
    ) -> None:
        self.settings = settings
        self.spec = spec
        self.connections = connections
        self.run_id = settings.uid
        self.state: ReportState = "starting"
        self.total = 0
        self.results: Results | None = None
        self.trials: Trials | None = None
        self.engine: Engine | None = None
        self.announced = False
        self._stop = stop
        self._guard = Guard(
            spec.limits.bar_seconds, stop, last_words, lambda inside: mark(self.run_id if inside else None)
        )
        self._publisher = Publisher(connections, self.run_id)

    @property
    def bars(self) -> int:
        """Bars that the strategy has seen, all symbols together."""
        if self.engine is None:
            return len(self.results.ts) if self.results is not None else 0
        seen = [len(data) - self.spec.data.warmup_bars for data in self.engine.datas if not is_coarse(data._name)]
        return sum(max(count, 0) for count in seen)

    def foreign(self) -> AbstractContextManager[None]:
        """Where the strategy's code runs."""
        return foreign(self._guard, self.pulse)

    def pulse(self) -> None:
        """The strategy is through with a bar. Raises Interrupted when the pod is asked to end."""
        self._guard.progress()
        if self._stop.is_set():
            raise Interrupted("asked to end")

    def idle(self) -> None:
        """While nothing comes from the stream."""
        if self.results is not None:
            self.results.flush_due()
        self.pulse()

    def send(self, record: ResultRecord) -> None:
        """Put a record on the log. Raises Unavailable."""
        self._publisher.send(record)

    def flush(self) -> None:
        """Wait until the log has all. Raises Unavailable."""
        self._publisher.flush()

    def announce(self, exchange: str, symbols: list[str], interval: str, trials: int = 0) -> None:
        """Say what runs over what."""
        spec, settings = self.spec, self.settings
        self.announced = True
        self.send(
            RunStarted(
                run_id=self.run_id,
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

    def play_whole(self, results: Results, records: list[ResultRecord]) -> None:
        """Hand on what was made of all bars at once: ``results`` without emit, and its ``records``."""
        self.results, self.state = results, "running"
        for record in records:
            self._emit(record)
        results.emit = self._emit
        results.flush()

    def new_results(self, interval: str, every: int = 1) -> Results:
        """Results of the run from its start, which emit to the log."""
        return Results(self.run_id, self.spec.broker.cash, INTERVAL_MS[interval], self._emit, self.pulse, every)

    def play(self, made: Engine, interval: str, begins: int) -> None:
        """``begins`` is the event time before which there is only history; 0 where there is none."""
        # A stream's points are few, or waited for.
        symbols = sum(not is_coarse(data._name) for data in made.datas)
        every = stride(self.total // symbols) if self.spec.data.store is not None else 1
        results = self.new_results(interval, every)
        if begins:
            made.addanalyzer(LateCollector, results=results, begins=begins)
        else:
            made.addanalyzer(FiniteCollector, results=results)
        self.results, self.engine = results, made
        if self.state == "starting":
            self.state = "running"
        try:
            with self.foreign():
                made.run()
        except RunFailed as failure:
            if failure.reason != NOT_A_NUMBER:
                results.flush()
            raise
        results.flush()

    def play_stream(
        self,
        strategy: type[Any],
        params: dict[str, Any],
        steps: Iterator[Step],
        exchange: str,
        symbols: list[str],
        interval: str,
    ) -> None:
        """Play bars as they come, behind the history that the spec asks for."""
        data, begins = self.spec.data, 0
        if data.warmup_bars and (first := next(steps, None)) is not None:
            begins = first[0]
            before = begins - INTERVAL_MS[interval]
            past = stored_bars.history(self.connections, exchange, symbols, interval, before, data.warmup_bars)
            steps = chain(steps_of(past, exchange, interval), [first], steps)
            strategy = quiet_until(strategy, begins)
        steps = Resampler(symbols, interval, data.intervals).steps(steps)
        feeds = names(symbols, data.intervals)
        self.play(cerebro.stream_engine(self.spec, strategy, params, feeds, interval, steps), interval, begins)

    def begin_again(self, epoch: Epoch) -> None:
        """What was traded stays under its own id: the store keeps the first of each number of a run."""
        went_on = f"{self.settings.uid}@{epoch}"
        self.end("failed", f"Sought: the Replay went to epoch {epoch}; the run goes on as {went_on}")
        self.run_id = went_on
        self._publisher = Publisher(self.connections, went_on)
        self.results, self.engine, self.total = None, None, 0
        self.state = "waiting"

    def end(self, state: Literal["complete", "failed"], message: str) -> None:
        """Say how the run ended, and with which results."""
        results = self.results
        self.send(
            RunEnded(
                run_id=self.run_id,
                state=state,
                message=message,
                bars=self.bars,
                metrics=results.summary() if results is not None else {},
                trades_hash=results.trades_hash if results is not None else "",
                ended_at=time.time_ns() // 1_000_000,
                drawdowns=results.drawdowns() if results is not None else [],
                periods=results.periods() if results is not None else [],
            )
        )
        self.flush()

    def _emit(self, record: ResultRecord) -> None:
        self.send(checked(record))
