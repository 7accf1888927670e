"""One run: choose the strategy, get the bars, let the engine work, put the results on the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import chain
from threading import Event
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from tapedeck.probe import leave_report
from tapedeck.records import ResultRecord, RunEnded, RunStarted
from tapedeck.settings import Connections, PodSettings
from tapedeck.wire import Epoch
from tapedeck_backtest import engine, stored
from tapedeck_backtest.choose import checked_params, strategy_class
from tapedeck_backtest.curve import stride
from tapedeck_backtest.engine import Engine, Step
from tapedeck_backtest.errors import Interrupted, RunFailed
from tapedeck_backtest.feeds import is_coarse
from tapedeck_backtest.finite import REASON as NOT_A_NUMBER
from tapedeck_backtest.finite import FiniteCollector, checked
from tapedeck_backtest.foreign import foreign
from tapedeck_backtest.honesty.check import refuse_dishonest
from tapedeck_backtest.honesty.lab import Lab
from tapedeck_backtest.limits import Guard
from tapedeck_backtest.live import LiveStream
from tapedeck_backtest.origin import origin_of_replay, origin_of_store
from tapedeck_backtest.publish import Publisher
from tapedeck_backtest.resample import Resampler, check_intervals, names, with_coarser
from tapedeck_backtest.results import Results
from tapedeck_backtest.stream import START_TIMEOUT, ReplayStream
from tapedeck_backtest.summary import HEADLINE
from tapedeck_backtest.sweep.known import known_trials
from tapedeck_backtest.sweep.run import Trials, deal, total
from tapedeck_backtest.sweep.trial import Lab as TrialLab
from tapedeck_backtest.sweep.windows import windows
from tapedeck_backtest.warmup import LateCollector, joined, quiet_until, steps_of
from tapedeck_crds.backtest import BacktestSpec, FeedRef
from tapedeck_crds.base import INTERVAL_MS, time_ms
from tapedeck_crds.report import EXIT_BAD_INPUT, BacktestReport, ReportState
from tapedeck_crds.sweep import Sweep


class Run:
    """A run that may be asked how it goes from another thread.

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
    ) -> None:
        self._settings = settings
        self._spec = spec
        self._connections = connections
        self._stop = stop
        self._start_timeout = start_timeout
        self._run_id = settings.uid
        self._publisher = Publisher(connections, self._run_id)
        self._guard = Guard(spec.limits.bar_seconds, stop, self._last_words)
        self._results: Results | None = None
        self._trials: Trials | None = None
        self._engine: Engine | None = None
        self._announced = False
        self._total = 0
        self._state: ReportState = "starting"
        self._ending: tuple[str, str] = ("", "")

    def execute(self) -> None:
        """Do all of it. A failure that can't be mended is on the log too when it is raised."""
        try:
            self._execute()
        except RunFailed as failure:
            self._fail(failure)
            raise
        if self._spec.sweep is None:  # a sweep ends with its last trial, which may be another pod's
            self._end("complete", "")
        self._state = "complete"

    def report(self) -> BacktestReport:
        """How it goes."""
        reason, message = self._ending
        results, bars = self._results, self.bars
        summary = results.summary() if results is not None and len(results.ts) else {}
        headline: dict[str, Any] = {name: summary.get(name) for name in HEADLINE}
        return BacktestReport(
            state="running" if self._state == "waiting" and bars else self._state,
            reason=reason,
            message=message,
            run_id=self._run_id,
            bars=bars,
            total=self._total,
            trades=len(results.pnl_net) if results is not None else 0,
            value=summary.get("final_value"),
            **headline,
            **(self._trials.report() if self._trials is not None else {}),
        )

    @property
    def bars(self) -> int:
        """Bars that the strategy has seen, all symbols together."""
        if self._engine is None:
            return 0
        seen = [len(data) - self._spec.data.warmup_bars for data in self._engine.datas if not is_coarse(data._name)]
        return sum(max(count, 0) for count in seen)

    def _fail(self, failure: RunFailed) -> None:
        self._state, self._ending = "failed", (failure.reason, failure.message)
        if not self._announced:
            self._announce("", [], "")
        self._end("failed", f"{failure.reason}: {failure.message}")

    def _last_words(self, message: str) -> int:
        """Of a strategy that does not end: from the guard's thread, before the process does."""
        try:
            self._fail(RunFailed("TimeLimit", f"limits.barSeconds: {message}"))
        finally:
            leave_report(self._settings, self.report())
        return EXIT_BAD_INPUT

    def _foreign(self) -> AbstractContextManager[None]:
        return foreign(self._guard, self._pulse)

    def _execute(self) -> None:
        with self._foreign():
            strategy = strategy_class(self._spec.strategy, self._settings.files)
        params = checked_params(strategy, self._spec.strategy.params)
        if self._spec.sweep is not None:
            self._run_sweep(strategy, self._spec.sweep)
        elif self._spec.data.store is not None:
            self._run_batch(strategy, params)
        elif self._spec.data.feed is not None:
            self._run_live(strategy, params, self._spec.data.feed)
        else:
            self._run_stream(strategy, params)

    def _run_batch(self, strategy: type[Any], params: dict[str, Any]) -> None:
        wanted = self._spec.data.store
        if wanted is None:
            raise ValueError("expected data.store")
        check_intervals(wanted.interval, self._spec.data.intervals)
        series = stored.read(self._connections, wanted)
        self._total = sum(len(columns.event) for columns in series.values())
        self._announce(wanted.exchange, list(series), wanted.interval)
        self._publisher.send(origin_of_store(self._settings, series))
        if self._spec.checks:
            with self._foreign():
                lab = Lab.over(self._spec, strategy, params, series, wanted.interval, self._pulse)
                refuse_dishonest(lab, self._spec.checks)
        data, begins = self._spec.data, 0
        if data.warmup_bars:
            begins = min(int(columns.event[0]) for columns in series.values())
            first = begins - INTERVAL_MS[wanted.interval]
            past = stored.history(
                self._connections, wanted.exchange, list(series), wanted.interval, first, data.warmup_bars
            )
            series = joined(past, series)
            strategy = quiet_until(strategy, begins)
        series = with_coarser(series, wanted.interval, data.intervals)
        self._work(engine.batch(self._spec, strategy, params, series, wanted.interval), wanted.interval, begins)

    def _run_sweep(self, strategy: type[Any], sweep: Sweep) -> None:
        wanted = self._spec.data.store
        if wanted is None:
            raise ValueError("expected data.store")
        series = stored.read(self._connections, wanted)
        first = min(int(columns.event[0]) for columns in series.values()) - INTERVAL_MS[wanted.interval]
        rolling = windows(sweep, first, max(int(columns.event[-1]) for columns in series.values()))
        self._announce(wanted.exchange, list(series), wanted.interval, total(sweep, rolling))
        run_id = self._run_id
        lab = TrialLab(run_id, self._spec, sweep, strategy, series, wanted.interval, self._pulse)
        self._trials = Trials(
            lab,
            deal(sweep, rolling, self._settings.shard),
            lambda: known_trials(self._connections, run_id),
            self._publisher.send,
            total(sweep, rolling),
        )
        self._state = "running"
        with self._foreign():
            self._trials.run()
        self._publisher.flush()

    def _run_stream(self, strategy: type[Any], params: dict[str, Any]) -> None:
        if not self._settings.replay_uid:
            raise RunFailed("NoStart", "TAPEDECK_REPLAY_UID: got nothing, expected the uid of the Replay to follow")
        self._state = "waiting"
        reference = self._spec.data.replay
        stream = ReplayStream(
            self._connections,
            self._settings.replay_uid,
            self._idle,
            self._start_timeout,
            follow=reference is not None and reference.on_seek == "restart",
        )
        try:
            start = stream.open()
            symbols = self._chosen_symbols(start.symbols)
            check_intervals(start.interval, self._spec.data.intervals)
            self._total = sum(start.rows[symbol] for symbol in symbols)
            while True:
                self._announce(start.exchange, symbols, start.interval)
                self._publisher.send(replace(origin_of_replay(self._settings, start), run_id=self._run_id))
                self._work_stream(strategy, params, stream.steps(symbols), start.exchange, symbols, start.interval)
                if (epoch := stream.go_on()) is None:
                    break
                self._begin_again(epoch)
        finally:
            stream.close()
        missing = [data._name for data in self._engine.datas if not len(data)] if self._engine is not None else []
        if missing:
            raise RunFailed("NoBars", f"data.replay: no bars of {', '.join(missing)} came from the Replay")

    def _run_live(self, strategy: type[Any], params: dict[str, Any], feed: FeedRef) -> None:
        settings, symbols = self._settings, list(feed.symbols)
        if not settings.feed_exchange or not settings.since:
            raise RunFailed("BadSpec", "TAPEDECK_FEED_EXCHANGE, TAPEDECK_SINCE: got nothing, expected both")
        check_intervals(feed.interval, self._spec.data.intervals)
        until = time_ms(feed.until) if feed.until is not None else None
        self._state = "waiting"
        live = LiveStream(
            self._connections,
            settings.feed_exchange,
            symbols,
            feed.interval,
            time_ms(settings.since),
            until,
            self._idle,
        )
        try:
            live.open()
            self._announce(settings.feed_exchange, symbols, feed.interval)
            self._work_stream(strategy, params, live.steps(), settings.feed_exchange, symbols, feed.interval)
        finally:
            live.close()

    def _work_stream(
        self,
        strategy: type[Any],
        params: dict[str, Any],
        steps: Iterator[Step],
        exchange: str,
        symbols: list[str],
        interval: str,
    ) -> None:
        data, begins = self._spec.data, 0
        if data.warmup_bars and (first := next(steps, None)) is not None:
            begins = first[0]
            before = begins - INTERVAL_MS[interval]
            past = stored.history(self._connections, exchange, symbols, interval, before, data.warmup_bars)
            steps = chain(steps_of(past, exchange, interval), [first], steps)
            strategy = quiet_until(strategy, begins)
        steps = Resampler(symbols, interval, data.intervals).steps(steps)
        feeds = names(symbols, data.intervals)
        self._work(engine.stream(self._spec, strategy, params, feeds, interval, steps), interval, begins)

    def _begin_again(self, epoch: Epoch) -> None:
        """What was traded stays under its own id: the store keeps the first of each number of a run."""
        went_on = f"{self._settings.uid}@{epoch}"
        self._end("failed", f"Sought: the Replay went to epoch {epoch}; the run goes on as {went_on}")
        self._run_id = went_on
        self._publisher = Publisher(self._connections, went_on)
        self._results, self._engine, self._total = None, None, 0
        self._state = "waiting"

    def _chosen_symbols(self, there: list[str]) -> list[str]:
        reference = self._spec.data.replay
        wanted = reference.symbols if reference is not None else None
        if not wanted:
            return sorted(there)
        unknown = [symbol for symbol in wanted if symbol not in there]
        if unknown:
            raise RunFailed(
                "NoBars", f"data.replay.symbols: the Replay has no {', '.join(unknown)}; it has {', '.join(there)}"
            )
        return list(dict.fromkeys(wanted))

    def _work(self, made: Engine, interval: str, begins: int) -> None:
        """``begins`` is the event time before which there is only history; 0 where there is none."""
        # A stream's points are few, or waited for.
        every = stride(self._total // len(made.datas)) if self._spec.data.store is not None else 1
        results = Results(self._run_id, self._spec.broker.cash, INTERVAL_MS[interval], self._emit, self._pulse, every)
        if begins:
            made.addanalyzer(LateCollector, results=results, begins=begins)
        else:
            made.addanalyzer(FiniteCollector, results=results)
        self._results, self._engine = results, made
        if self._state == "starting":
            self._state = "running"
        try:
            with self._foreign():
                made.run()
        except RunFailed as failure:
            if failure.reason != NOT_A_NUMBER:
                results.flush()
            raise
        results.flush()

    def _emit(self, record: ResultRecord) -> None:
        self._publisher.send(checked(record))

    def _idle(self) -> None:
        """While nothing comes from the replay."""
        if self._results is not None:
            self._results.flush_due()
        self._pulse()

    def _pulse(self) -> None:
        self._guard.progress()
        if self._stop.is_set():
            raise Interrupted("asked to end")

    def _announce(self, exchange: str, symbols: list[str], interval: str, trials: int = 0) -> None:
        spec, settings = self._spec, self._settings
        self._announced = True
        self._publisher.send(
            RunStarted(
                run_id=self._run_id,
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

    def _end(self, state: Literal["complete", "failed"], message: str) -> None:
        results = self._results
        self._publisher.send(
            RunEnded(
                run_id=self._run_id,
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
        self._publisher.flush()
