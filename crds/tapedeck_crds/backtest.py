"""Backtest: a Backtrader strategy over stored or replayed bars."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import (
    Interval,
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
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    Column,
    Resource,
    Status,
    Suspend,
    TimeToLive,
)
from tapedeck_crds.sweep import Sweep

Builtin = Literal["sma-cross", "ema-cross", "rsi", "bollinger", "donchian", "macd", "buy-and-hold"]
ParamValue = bool | int | float | str


class Strategy(Model):
    """Which strategy, with which parameters."""

    builtin: Builtin | None = Field(default=None, description="A strategy that Tapedeck brings along.")
    module: (
        Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=253)] | None
    ) = Field(
        default=None,
        description="A backtrader.Strategy of yours as package.module:Class, in the image, in a ConfigMap or (embedded "
        "deck) beside the applied file.",
    )
    config_map: ObjectName | None = Field(
        default=None,
        description="A ConfigMap of the namespace with the module: a file a key, such as mine.py. Read at the start.",
    )
    params: dict[str, ParamValue] = Field(
        default_factory=dict,
        description="Values for the class's params by name.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, "default": {}},
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("builtin", "module"),
        Rule(
            cel="!has(self.configMap) || has(self.module)",
            message="expected module with configMap: which of its classes it is",
            holds=lambda new, _old: new.config_map is None or new.module is not None,
        ),
    )


class ReplayRef(Model):
    """A Replay of the same namespace whose stream is traded."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="Name of the Replay.")
    symbols: SymbolSet | None = Field(default=None, description="Which of its symbols to trade; all if left out.")
    on_seek: Literal["stop", "restart"] = Field(
        default="stop",
        description="What a seek, or a new round of its loop, does. stop: the run fails. restart: the strategy begins "
        "anew with what comes from there, as a run of its own with id <runId>@<epoch>; the one before ends as failed.",
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set."""
        return isinstance(other, ReplayRef) and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        return (self.name, set(self.symbols or ()), self.on_seek)


class FeedRef(Model):
    """A live Feed of the same namespace whose market is traded on paper, from the creation of the Backtest on."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="Name of the Feed.")
    symbols: SymbolSet = Field(description="Which of its symbols to trade.")
    interval: Interval = Field(default="1m", description="Which of its intervals to trade.")
    until: Time | None = Field(
        default=None, description="Time of the last bar's end; the run goes on until it is deleted if left out."
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set, and a point in time is the same in every offset."""
        return isinstance(other, FeedRef) and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        return (self.name, set(self.symbols), self.interval, None if self.until is None else parse_time(self.until))


class BacktestData(Model):
    """What the strategy sees."""

    store: StoreRange | None = Field(default=None, description="A range of bars kept in the store, all at once.")
    replay: ReplayRef | None = Field(default=None, description="A Replay's stream, as it plays.")
    feed: FeedRef | None = Field(
        default=None,
        description="A Feed's closed bars as they come. A bar counts if it is on the log within 5 s of its end; "
        "corrections do not.",
    )
    intervals: Annotated[list[Interval], Field(max_length=8)] = Field(
        default_factory=list,
        description="Coarser intervals to build from the bars: feeds of their own, named like BTC/USD@1h, after those "
        "of the bars.",
        json_schema_extra={"default": []},
    )
    warmup_bars: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=0,
        description="How many bars of each symbol, from the store, the indicators see before the first; the strategy "
        "acts and is measured from the first on. Bars of the stream's or range's own interval.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("store", "replay", "feed"),)


class StrategyLimits(Model):
    """What a strategy may take. A run that takes more fails, with the place in the strategy where it did; in a sweep
    the trial does, and the others are made.

    Memory is limited by resources.limits.memory, and always by what the machine has free when the run starts.
    """

    bar_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        default=300.0,
        description="The longest that the strategy may work on a bar, or on its indicators before the first, seconds.",
    )
    output_bytes: Annotated[int, Field(ge=0, le=1_073_741_824)] = Field(
        default=1_048_576,
        description="How much of what the strategy prints is kept in the pod's log, bytes, and how much of what "
        "others print for it: libraries in C, and processes that it starts.",
    )


class BacktestSpec(PodOptions):
    """What to run over what."""

    strategy: Strategy = Field(description="Which strategy, with which parameters.")
    data: BacktestData = Field(description="What the strategy sees.")
    broker: BrokerOptions = Field(
        default_factory=BrokerOptions, description="The simulated broker.", json_schema_extra={"default": {}}
    )
    sizer: Sizer | None = Field(default=None, description="How much an order without a size buys; 1 if left out.")
    sweep: Sweep | None = Field(
        default=None, description="Many trials of the strategy over a store range; one run if left out."
    )
    checks: Annotated[list[Literal["lookAhead", "startUp"]], Field(max_length=2)] = Field(
        default_factory=list,
        description="What must hold before the run, over the first 20,000 bars of each symbol; the run fails with what "
        "was found. lookAhead: no order changes when the bars after it are cut off. startUp: no indicator depends on "
        "how many bars came before, beyond those that it asks for and data.warmupBars.",
        json_schema_extra={"default": []},
    )
    limits: StrategyLimits = Field(
        default_factory=StrategyLimits,
        description="What the strategy may take. A run whose strategy works longer on a bar fails, as does one that "
        "takes more memory than resources.limits.memory; in a sweep it is the trial that fails, and the others are "
        "made, unless the strategy can't be interrupted.",
        json_schema_extra={"default": {}},
    )
    suspend: Suspend = False
    ttl_seconds_after_finished: TimeToLive = None
    rules: ClassVar[tuple[Rule, ...]] = (
        *PodOptions.rules,
        Rule(
            cel="!has(self.sweep) || has(self.data.store)",
            message="expected data.store: a sweep plays the same bars again and again",
            holds=lambda new, _old: new.sweep is None or new.data.store is not None,
        ),
        Rule(
            cel="size(self.checks) == 0 || (has(self.data.store) && !has(self.sweep))",
            message="expected data.store and no sweep with checks: they play the same bars again and again",
            holds=lambda new, _old: not new.checks or (new.data.store is not None and new.sweep is None),
        ),
        Rule(
            cel="size(self.data.intervals) == 0 || has(self.strategy.module)",
            message="expected strategy.module with data.intervals: those that Tapedeck brings trade every feed alike",
            holds=lambda new, _old: not new.data.intervals or new.strategy.module is not None,
        ),
        Rule(
            cel="has(self.sweep) == has(oldSelf.sweep)",
            message="sweep can't come or go in a run: delete the resource and make a new one",
            holds=lambda new, old: (new.sweep is None) == (old.sweep is None),
            transition=True,
        ),
        immutable("strategy"),
        immutable("data"),
        immutable("broker"),
        immutable("sizer"),
        immutable("checks"),
        immutable("limits"),
    )


class BestTrial(Model):
    """One of the best trials of a sweep."""

    window: int = Field(default=0, description="Number of the window, from 0.")
    trial: int = Field(description="Number of the trial in its window; -1 traded the window's best afterwards.")
    objective: float = Field(description="Value of the objective.")
    params: dict[str, ParamValue] = Field(
        description="Its params.", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )


class BacktestStatus(Status):
    """How a Backtest goes."""

    run_id: str | None = Field(default=None, description="Id of the run in the store's tables.")
    replay_uid: str | None = Field(default=None, description="The Replay this run is bound to.")
    bars: int | None = Field(default=None, description="Bars the strategy has seen.")
    trades: int | None = Field(default=None, description="Closed trades.")
    value: float | None = Field(default=None, description="Value of the account, in the quote currency.")
    return_percent: float | None = Field(default=None, description="Total return, percent.")
    buy_and_hold_percent: float | None = Field(
        default=None, description="What holding equal parts of all symbols would have returned without costs, percent."
    )
    cagr_percent: float | None = Field(
        default=None, description="Compound annual growth rate, percent; a year has 365 days. From a day of bars on."
    )
    max_drawdown_percent: float | None = Field(default=None, description="Largest fall from a peak, percent.")
    sharpe: float | None = Field(default=None, description="Sharpe ratio of hourly returns, annualised by 365 days.")
    sortino: float | None = Field(default=None, description="Sortino ratio of hourly returns, annualised by 365 days.")
    profit_factor: float | None = Field(default=None, description="Profits of the winners by losses of the losers.")
    win_rate_percent: float | None = Field(default=None, description="Share of closed trades that won, percent.")
    best: list[BestTrial] | None = Field(
        default=None, description="The best trials of a sweep, best first; of a walk-forward, what each window's made."
    )


class Backtest(Resource[BacktestSpec, BacktestStatus]):
    """Runs a Backtrader strategy and keeps its results."""

    kind: Literal["Backtest"]

    status_type: ClassVar[type[Status]] = BacktestStatus
    plural: ClassVar[str] = "backtests"
    short_names: ClassVar[tuple[str, ...]] = ("bt",)
    about: ClassVar[str] = "A Backtest runs a Backtrader strategy over stored or replayed bars and keeps its results."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        Column(name="Trades", type="integer", json_path=".status.trades"),
        Column(name="Value", type="number", json_path=".status.value"),
        Column(name="Return %", type="number", json_path=".status.returnPercent"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
