"""Backtest: a Backtrader strategy over stored or replayed bars."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import (
    Model,
    ObjectName,
    Rule,
    StoreRange,
    SymbolSet,
    Time,
    exactly_one_of,
    immutable,
    parse_time,
)
from tapedeck_crds.broker import BrokerOptions, Sizer
from tapedeck_crds.intervals import Interval
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    REASON_COLUMN,
    ActiveDeadline,
    Column,
    Resource,
    Status,
    Suspend,
    TimeToLive,
)
from tapedeck_crds.session import Session
from tapedeck_crds.sweep import Sweep

Builtin = Literal["sma-cross", "ema-cross", "rsi", "bollinger", "donchian", "macd", "buy-and-hold"]
ParamValue = bool | int | float | str
ClassName = Annotated[
    str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_.]*:)?[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=253)
]


class Strategy(Model):
    """A strategy and its parameters."""

    builtin: Builtin | None = Field(default=None, description="A built-in strategy.")
    module: (
        Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=253)] | None
    ) = Field(
        default=None,
        description="Your backtrader.Strategy as package.module:Class. The module is in the image, in a ConfigMap or "
        "(embedded deck) beside the applied file.",
    )
    config_map: ObjectName | None = Field(
        default=None,
        description="A ConfigMap of the namespace with the module; each key is a file such as mine.py. Read at start.",
    )
    params: dict[str, ParamValue] = Field(
        default_factory=dict,
        description="Values of the strategy's params by name.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, "default": {}},
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("builtin", "module"),
        Rule(
            cel="!has(self.configMap) || has(self.module)",
            message="expected module beside configMap: the class of the ConfigMap to run",
            holds=lambda new, _old: new.config_map is None or new.module is not None,
        ),
    )


class ReplayRef(Model):
    """A Replay of the same namespace whose stream the strategy trades."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="Name of the Replay.")
    symbols: SymbolSet | None = Field(default=None, description="Which of its symbols to trade; all if omitted.")
    on_seek: Literal["stop", "restart"] = Field(
        default="stop",
        description="The effect of a seek or of a new round of the loop, also before the run began: a run reads the "
        "Replay from its start. stop: the run fails. restart: the run ends as failed, and the strategy starts again "
        "from the new position as a run with id <runId>@<epoch>.",
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set."""
        return isinstance(other, ReplayRef) and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        return (self.name, set(self.symbols or ()), self.on_seek)


class FeedRef(Model):
    """A live Feed of the same namespace whose market is traded on paper from the creation of the Backtest."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="Name of the Feed.")
    symbols: SymbolSet = Field(description="Which of its symbols to trade.")
    interval: Interval = Field(default="1m", description="Which of its intervals to trade.")
    until: Time | None = Field(
        default=None, description="Close time of the last bar; if omitted, the run continues until it is deleted."
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set, and a point in time is the same in every offset."""
        return isinstance(other, FeedRef) and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        return (self.name, set(self.symbols), self.interval, None if self.until is None else parse_time(self.until))


class BacktestData(Model):
    """The data of the strategy: exactly one source."""

    store: StoreRange | None = Field(default=None, description="A range of bars of the store, run in one batch.")
    replay: ReplayRef | None = Field(default=None, description="The stream of a Replay, while it plays.")
    feed: FeedRef | None = Field(
        default=None,
        description="The closed bars of a Feed on arrival. A bar is traded if it is logged within 5 s of its close; "
        "corrections are ignored.",
    )
    intervals: Annotated[list[Interval], Field(max_length=8)] = Field(
        default_factory=list,
        description="Longer intervals to build from the bars. Each is a data feed of its own, named like BTC/USD@1h, "
        "after the feeds of the bars.",
        json_schema_extra={"default": []},
    )
    session: Session | None = Field(
        default=None,
        description="When the market of the bars trades, and its time zone; if omitted, each symbol has that of the "
        "catalogue, or trades without a break, with days in UTC. Longer intervals are built from the bars of a "
        "session. The strategy sees local times: Backtrader's tz, sessionstart and sessionend are set.",
    )
    warmup_bars: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=0,
        description="Number of bars of each symbol, from the store, that precede the first bar to warm up indicators. "
        "The strategy trades and is measured from the first bar. They have the interval of the stream or range.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("store", "replay", "feed"),)


class StrategyLimits(Model):
    """Limits of a strategy. A run that exceeds one fails with the line of the strategy; in a sweep, only the trial.

    Memory is limited by resources.limits.memory, and always by the free memory of the machine when the run starts.
    """

    bar_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        default=300.0,
        description="Time limit for one bar, and for computing the indicators before the first, seconds.",
    )
    output_bytes: Annotated[int, Field(ge=0, le=1_073_741_824)] = Field(
        default=1_048_576,
        description="Bytes of the strategy's output that are kept in the pod's log; the rest is dropped.",
    )


class BacktestSpec(PodOptions):
    """The strategy, its data and how it is executed."""

    strategy: Strategy = Field(description="The strategy and its parameters.")
    data: BacktestData = Field(description="The data that the strategy trades.")
    broker: BrokerOptions = Field(
        default_factory=BrokerOptions, description="The simulated broker.", json_schema_extra={"default": {}}
    )
    sizer: Sizer | None = Field(default=None, description="The size of an order without one; 1 if omitted.")
    observers: Annotated[list[ClassName], Field(max_length=16)] = Field(
        default_factory=list,
        description="Observers, which the strategy reads as self.stats.drawdown and the store keeps: classes of "
        "backtrader.observers such as DrawDown, of the strategy's module, or package.module:Class. A strategy whose "
        "module reads self.stats has Broker, BuySell and Trades also if they are not listed.",
        json_schema_extra={"default": []},
    )
    analyzers: Annotated[list[ClassName], Field(max_length=16)] = Field(
        default_factory=list,
        description="Analyzers of the run, whose results the store keeps: classes of backtrader.analyzers such as "
        "TradeAnalyzer, of the strategy's module (for other params, a subclass), or package.module:Class.",
        json_schema_extra={"default": []},
    )
    sweep: Sweep | None = Field(
        default=None, description="Many trials of the strategy over a range of the store; a single run if omitted."
    )
    checks: Annotated[list[Literal["lookAhead", "startUp"]], Field(max_length=2)] = Field(
        default_factory=list,
        description="Checks before the run, over the first 20,000 bars of each symbol; a failed check fails the run. "
        "lookAhead: no order may change when the bars after it are removed. startUp: no indicator may depend on the "
        "number of earlier bars beyond its own period and data.warmupBars.",
        json_schema_extra={"default": []},
    )
    limits: StrategyLimits = Field(
        default_factory=StrategyLimits,
        description="Limits of the strategy. A run whose strategy takes longer for a bar fails, as does one that uses "
        "more memory than resources.limits.memory. In a sweep only the trial fails, unless the strategy cannot be "
        "interrupted.",
        json_schema_extra={"default": {}},
    )
    suspend: Suspend = False
    active_deadline_seconds: ActiveDeadline = None
    ttl_seconds_after_finished: TimeToLive = None
    rules: ClassVar[tuple[Rule, ...]] = (
        *PodOptions.rules,
        Rule(
            cel="!has(self.sweep) || has(self.data.store)",
            message="expected data.store with sweep: a sweep runs over the same bars many times",
            holds=lambda new, _old: new.sweep is None or new.data.store is not None,
        ),
        Rule(
            cel="size(self.checks) == 0 || (has(self.data.store) && !has(self.sweep))",
            message="expected data.store and no sweep with checks: they run over the same bars many times",
            holds=lambda new, _old: not new.checks or (new.data.store is not None and new.sweep is None),
        ),
        Rule(
            cel="size(self.data.intervals) == 0 || has(self.strategy.module)",
            message="expected strategy.module with data.intervals: built-in strategies trade every data feed alike",
            holds=lambda new, _old: not new.data.intervals or new.strategy.module is not None,
        ),
        Rule(
            cel="has(self.sweep) == has(oldSelf.sweep)",
            message="sweep cannot be added or removed: delete the resource and create a new one",
            holds=lambda new, old: (new.sweep is None) == (old.sweep is None),
            transition=True,
        ),
        immutable("strategy"),
        immutable("data"),
        immutable("broker"),
        immutable("sizer"),
        immutable("observers"),
        immutable("analyzers"),
        immutable("checks"),
        immutable("limits"),
    )


class BestTrial(Model):
    """One of the best trials of a sweep."""

    window: int = Field(default=0, description="Number of the window, from 0.")
    trial: int = Field(
        description="Number of the trial in its window; -1 is the out-of-sample trial of the window's best."
    )
    sample: Literal["inSample", "outOfSample"] = Field(
        description="Whether its params were chosen by these bars, or by those before them."
    )
    from_: str = Field(alias="from", description="First open time of its bars.")
    to: str = Field(description="End of its bars: later than their open times.")
    objective: float = Field(description="Value of the objective.")
    params: dict[str, ParamValue] = Field(
        description="Its params.", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )


class BacktestStatus(Status):
    """The state and the results of a Backtest."""

    run_id: str | None = Field(default=None, description="Id of the run in the store's tables.")
    replay_uid: str | None = Field(default=None, description="Uid of the Replay whose stream the run trades.")
    bars: int | None = Field(default=None, description="Bars that the strategy has received.")
    trades: int | None = Field(default=None, description="Closed trades.")
    value: float | None = Field(default=None, description="Value of the account, in the quote currency.")
    return_percent: float | None = Field(default=None, description="Total return, percent.")
    buy_and_hold_percent: float | None = Field(
        default=None, description="Return of holding equal parts of all symbols, without costs, percent."
    )
    cagr_percent: float | None = Field(
        default=None,
        description="Compound annual growth rate, percent; a year has 365 days.",
    )
    max_drawdown_percent: float | None = Field(default=None, description="Largest drawdown from a peak, percent.")
    daily_returns: int | None = Field(
        default=None,
        description="Number of returns of trading days, or of longer bars, that cagrPercent, sharpe and sortino are "
        "measured by; these are missing for fewer than 30.",
    )
    sharpe: float | None = Field(
        default=None,
        description="Sharpe ratio of daily returns, annualised by 365 days for a market that never closes, and by 252 "
        "for one that trades on five days a week.",
    )
    sharpe_error: float | None = Field(
        default=None,
        description="Standard error of the Sharpe ratio, for returns that need not be normal (Mertens 2002).",
    )
    probabilistic_sharpe: float | None = Field(
        default=None,
        description="Probability that the true Sharpe ratio is above 0 (Bailey and Lopez de Prado 2012), 0 to 1.",
    )
    sortino: float | None = Field(default=None, description="Sortino ratio of daily returns, annualised like sharpe.")
    profit_factor: float | None = Field(
        default=None, description="Gross profit divided by gross loss, of closed trades alone."
    )
    win_rate_percent: float | None = Field(
        default=None, description="Share of closed trades with a profit, percent; open positions do not count."
    )
    lowest_value: float | None = Field(
        default=None,
        description="Lowest value of the account after a bar, in the quote currency. At 0 or below, the reason of the "
        "conditions is Bust.",
    )
    open_positions: int | None = Field(default=None, description="Open positions, at the end or so far.")
    unrealised_profit: float | None = Field(
        default=None, description="Profit of the open positions at the last close, in the quote currency."
    )
    open_orders: int | None = Field(default=None, description="Orders that are not filled, at the end or so far.")
    undefined: list[str] | None = Field(
        default=None, description="Why figures are missing, such as: sharpe, sortino: got 3 daily returns, expected 30."
    )
    best: list[BestTrial] | None = Field(
        default=None,
        description="The best trials of a sweep, best first; of a walk-forward the out-of-sample trials of the first "
        "windows, in order of time. All are in the table run_trials.",
    )
    deflated_sharpe: float | None = Field(
        default=None,
        description="Probability that the true Sharpe ratio of a sweep's best trial is above what the best of as many "
        "trials reaches by chance (Bailey and Lopez de Prado 2014), 0 to 1.",
    )
    windows: int | None = Field(
        default=None,
        description="Windows of a walk-forward. Its value, return and ratios are those of one account that traded the "
        "out-of-sample parts one after another.",
    )
    cold_windows: int | None = Field(
        default=None, description="Windows with fewer bars before the out-of-sample part than the indicators need."
    )
    empty_windows: int | None = Field(default=None, description="Windows whose out-of-sample part had no fill.")
    open_windows: int | None = Field(
        default=None,
        description="Windows that ended with an open position. It is valued at the last close: its profit counts in "
        "value and return, not in trades, winRatePercent and profitFactor. openPositions, unrealisedProfit and "
        "openOrders are those of the last window.",
    )
    bust_trials: int | None = Field(
        default=None, description="Trials of a sweep whose account fell to 0 or below; they are not among the best."
    )
    failed_trials: int | None = Field(default=None, description="Trials of a sweep whose strategy failed.")


class Backtest(Resource[BacktestSpec, BacktestStatus]):
    """Runs a Backtrader strategy and keeps its results."""

    kind: Literal["Backtest"]

    status_type: ClassVar[type[Status]] = BacktestStatus
    plural: ClassVar[str] = "backtests"
    short_names: ClassVar[tuple[str, ...]] = ("bt",)
    about: ClassVar[str] = "A Backtest runs a Backtrader strategy over stored or replayed bars and keeps its results."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        REASON_COLUMN,
        Column(name="Trades", type="integer", json_path=".status.trades"),
        Column(name="Value", type="number", json_path=".status.value"),
        Column(name="Return %", type="number", json_path=".status.returnPercent"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
