"""Runs of Backtests: their results, and the trials of sweeps."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from tapedeck_common.records import RunAnalyses, RunDrawdown, RunOrder, RunPeriod, RunPosition
from tapedeck_gateway.api_types.fields import Ms, Next

Figures: TypeAlias = dict[str, float | None]
ShownUntil: TypeAlias = Annotated[
    int | None,
    msgspec.Meta(description="The position of the run's replay, beyond which nothing is shown; null where all is."),
]


class RunSummary(msgspec.Struct, frozen=True):
    """A run. Its outcome (bars, metrics, message) is null before its end, and before its replay has reached it."""

    run_id: str
    name: str
    namespace: str
    strategy: str
    params: dict[str, Any]
    exchange: str
    symbols: list[str]
    interval: str
    replay_uid: str
    cash: float
    trials: Annotated[int, msgspec.Meta(description="The number of trials of a sweep, 0 for a single run.")]
    state: Literal["running", "complete", "failed"]
    message: str
    bars: int | None
    metrics: Figures | None
    undefined: Annotated[
        dict[str, str] | None, msgspec.Meta(description="The reason for each figure of metrics that is null.")
    ]
    started_at: Ms
    ended_at: Ms | None
    shown_until: ShownUntil


class RunPage(msgspec.Struct, frozen=True):
    """Runs, the newest first."""

    runs: list[RunSummary]
    next: Next


class RunReport(RunSummary, frozen=True):
    """A run with what its report shows; all of it is null before its end."""

    drawdowns: list[RunDrawdown] | None
    periods: list[RunPeriod] | None
    positions: list[RunPosition] | None
    orders: list[RunOrder] | None
    analyses: RunAnalyses | None


class RunMetrics(msgspec.Struct, frozen=True):
    """The figures of a run."""

    run_id: str
    metrics: Figures | None
    undefined: dict[str, str] | None
    shown_until: ShownUntil


class EquityRow(msgspec.Struct, frozen=True, gc=False):
    """The account after one bar: event time, and value and cash in the quote currency."""

    seq: int
    ts: Ms
    value: float
    cash: float
    change_percent: float | None
    drawdown_percent: float | None
    sharpe: float | None


class EquityPage(msgspec.Struct, frozen=True):
    """The equity curve of a run, in order."""

    run_id: str
    equity: list[EquityRow]
    next: Next


class RunTradeRow(msgspec.Struct, frozen=True, gc=False):
    """A closed trade: prices and profit in the quote currency."""

    seq: int
    symbol: str
    side: Literal["long", "short"]
    size: float
    entry_ts: Ms
    entry_price: float
    exit_ts: Ms
    exit_price: float
    pnl: float
    pnl_net: float
    commission: float
    entry_reason: str
    exit_reason: str


class RunTradePage(msgspec.Struct, frozen=True):
    """Closed trades of a run, in order."""

    run_id: str
    trades: list[RunTradeRow]
    next: Next


class RunFillRow(msgspec.Struct, frozen=True, gc=False):
    """A fill of an order."""

    seq: int
    symbol: str
    ts: Ms
    side: Literal["buy", "sell"]
    size: float
    price: float


class RunFillPage(msgspec.Struct, frozen=True):
    """Fills of a run, in order."""

    run_id: str
    fills: list[RunFillRow]
    next: Next


class ComparedFigure(msgspec.Struct, frozen=True):
    """One figure or param of several runs, in their order; null where a run lacks it."""

    name: str
    values: list[Any]


class RunComparison(msgspec.Struct, frozen=True):
    """Runs side by side: what was different, and what came of it."""

    runs: list[RunSummary]
    params: list[ComparedFigure]
    metrics: list[ComparedFigure]


class TrialRow(msgspec.Struct, frozen=True):
    """A trial of a sweep; number -1 traded the best of its window in the time after it."""

    window: int
    trial: int
    params: dict[str, Any]
    start: Ms
    end: Ms
    metrics: Figures
    objective: float | None
    feasible: bool
    message: str


class TrialPage(msgspec.Struct, frozen=True):
    """Trials of a sweep, by window and number."""

    run_id: str
    trials: list[TrialRow]
    next: Next


class SweepMatrix(msgspec.Struct, frozen=True):
    """A metric by the values of two params: the mean of the trials that have them, and their number.

    ``values`` and ``counts`` have a row for each of ``ys`` and a column for each of ``xs``; null without such a trial.
    """

    run_id: str
    x: str
    y: str
    metric: str
    xs: list[Any]
    ys: list[Any]
    values: list[list[float | None]]
    counts: list[list[int]]


class WalkForwardWindow(msgspec.Struct, frozen=True):
    """A window of a walk-forward: its best trial in-sample, and what that traded out-of-sample."""

    window: int
    params: dict[str, Any]
    in_sample: TrialRow | None
    out_of_sample: TrialRow


class WindowList(msgspec.Struct, frozen=True):
    """The windows of a walk-forward that have been traded, in order."""

    run_id: str
    windows: list[WalkForwardWindow]


class StrategySummary(msgspec.Struct, frozen=True):
    """A strategy that is built in or has run: how often, when last, and its params.

    Of a built-in one these are all params with their defaults. Of another one they are those that runs were given, each
    as the newest such run had it, of those that did not fail where there are any; ``given_in`` has that run's name.
    ``about`` says what a built-in one does; it is null for others.
    """

    strategy: str
    runs: int
    last_started_at: Ms | None
    params: dict[str, Any]
    about: str | None = None
    given_in: dict[str, str] = {}


class StrategyList(msgspec.Struct, frozen=True):
    """Strategies by name."""

    strategies: list[StrategySummary]
