"""What the strategy's process tells of its run: records as they arise, progress, and the outcome."""

from __future__ import annotations

import time

from tapedeck_backtest.bars.arrays import is_resampled
from tapedeck_backtest.child.channel import PodChannel
from tapedeck_backtest.engine.cerebro import BacktestEngine
from tapedeck_backtest.protocol.messages import LISTED_MAX, Note, Outcome, Progress
from tapedeck_backtest.report.nan_guard import checked
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.sandbox.error_boundary import StrategyGuard
from tapedeck_common.records import ResultRecord, RunFill, RunTrade
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN

_PROGRESS_SHARE = 0.005  # of the time, for computing the figures so far


class RunReporter:
    """Sends the results of one run to the pod."""

    def __init__(self, channel: PodChannel, guard: StrategyGuard) -> None:
        self._channel = channel
        self._guard = guard
        self._engine: BacktestEngine | None = None
        self._warmup_bars = 0
        self._results: Results | None = None
        self._reported = 0  # steps
        self._next_progress = 0.0

    def new_results(self, spec: BacktestSpec, interval: str, every: int = 1) -> Results:
        """Results of a run that starts, sent as they arise; of each ``every`` steps only the extremes."""
        session = spec.data.session or ALWAYS_OPEN
        length = BAR_LENGTHS[interval].ms
        return Results("", spec.broker.cash, length, self.emit, self.heartbeat, every, session)

    def begin(self, results: Results, engine: BacktestEngine | None = None, warmup_bars: int = 0) -> None:
        """These are the results of the run, whose progress is sent from now on."""
        self._results, self._reported = results, 0
        self._engine = engine
        self._warmup_bars = warmup_bars

    def emit(self, record: ResultRecord) -> None:
        """Send a record. Raises RunFailed (NotANumber)."""
        # Of an account that trades often each fill alone would wake the pod; a chunk of equity follows within a moment.
        later = isinstance(record, RunFill | RunTrade)
        self._channel.send(checked(record), later=later)  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        """Send something that the user should know of the run."""
        self._channel.send(Note(text))

    def heartbeat(self) -> None:
        """The strategy has finished a bar."""
        self._guard.heartbeat()
        if time.monotonic() >= self._next_progress:
            self._send_progress()

    def idle(self) -> None:
        """No bars arrive: send what is pending."""
        if self._results is not None:
            self._results.flush()
            if len(self._results.ts) != self._reported:
                self._send_progress()

    def outcome(self) -> Outcome | None:
        """The results so far; None before the first bar was given to the strategy."""
        results = self._results
        if results is None:
            return None
        return Outcome(
            bars=self._bars(results),
            steps=len(results.ts),
            figures=results.summary(),
            trades_hash=results.trades_hash,
            drawdowns=results.drawdowns(),
            periods=results.periods(),
            analyses=results.analyses,
            positions=[*results.positions()][:LISTED_MAX],
            orders=[*results.orders()][:LISTED_MAX],
            empty_feeds=[data._name for data in self._engine.datas if not len(data)] if self._engine else [],
        )

    def _send_progress(self) -> None:
        if self._results is None or not len(self._results.ts):
            return
        began = time.monotonic()
        self._reported = len(self._results.ts)
        self._channel.send(Progress(self._bars(self._results), self._reported, self._results.summary()))
        ended = time.monotonic()
        self._next_progress = ended + (ended - began) / _PROGRESS_SHARE

    def _bars(self, results: Results) -> int:
        """Bars that the strategy has processed, of all symbols, without warm-up history and resampled feeds."""
        if self._engine is None:
            return len(results.ts)
        processed = [len(data) - self._warmup_bars for data in self._engine.datas if not is_resampled(data._name)]
        return sum(max(count, 0) for count in processed)
