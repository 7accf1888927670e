"""The records of the topics market.ingest, written by Feeds, and backtest.results, written by runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from tapedeck_common.json_text import json_decoder


class IngestError(msgspec.Struct, frozen=True, tag="error"):
    """Input that was refused or lost: ``rows`` rows of a file or stream for one reason. Place (file:line, or a stream)
    and payload are those of the first.
    """

    feed: str
    exchange: str
    symbol: str
    place: str
    reason: str
    payload: str
    at: int
    rows: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] = 1


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """A range of open times [start, end) without bars, and whether it was filled.

    With an empty ``interval`` it is a gap of trades between two times: ``trades`` are missing, whose ``ids`` count up.
    """

    exchange: str
    symbol: str
    interval: str
    start: int
    end: int
    state: Literal["open", "filled", "unfillable"]
    trades: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    ids: str = ""


class Listing(msgspec.Struct, frozen=True, tag="listing"):
    """A symbol as its exchange lists it. Steps are the smallest changes of price (in the quote currency) and of amount
    (in the base currency), null where the exchange gives none. ``at`` is the time of the request, milliseconds UTC.
    """

    exchange: str
    symbol: str
    base: str
    quote: str
    at: int
    price_step: float | None = None
    amount_step: float | None = None


class SymbolSession(msgspec.Struct, frozen=True, tag="session"):
    """When a symbol trades, as its Feed says: time zone, local open and close, and the days on which sessions close.

    ``at`` is the time at which the Feed said so, milliseconds UTC.
    """

    exchange: str
    symbol: str
    timezone: str
    open: str
    close: str
    days: list[str]
    at: int


IngestRecord: TypeAlias = IngestError | Gap | Listing | SymbolSession
decode_ingest: Callable[[bytes | str], IngestRecord] = json_decoder(IngestRecord)


class RunStarted(msgspec.Struct, frozen=True, tag="run"):
    """The start of a run: its strategy and its data. ``spec`` is the Backtest's spec as JSON.

    ``trials`` is the number of trials of a sweep, 0 for a single run.
    """

    run_id: str
    name: str
    namespace: str
    strategy: str
    params: msgspec.Raw
    spec: msgspec.Raw
    exchange: str
    symbols: list[str]
    interval: str
    replay_uid: str
    cash: float
    started_at: int
    trials: int = 0


class RunOrigin(msgspec.Struct, frozen=True, tag="origin"):
    """The inputs of a run, for repeating it. ``replay`` is the Replay's spec as JSON, null for a run without one.

    ``data`` is the fingerprint of the bars and ``seed`` the seed of a synthetic market. ``images`` are the images by
    workload: digests on a deck, the chart's names on a cluster. ``version`` is that of the package. ``path`` is the
    implementation: the engine, bar by bar, or vectorised, over whole arrays; trials of a sweep have it in their
    metrics. ``begin`` is the virtual time, milliseconds UTC, from which a seek or loop of the Replay continued the
    stream; null for a run from the start of the range.
    """

    run_id: str
    replay: msgspec.Raw
    replay_name: str
    data: str
    seed: int | None
    images: dict[str, str]
    version: str
    path: Literal["engine", "vectorised"] = "engine"
    begin: int | None = None


class RunTrade(msgspec.Struct, frozen=True, tag="trade"):
    """Closed trade number ``seq`` of a run. Prices and profits are in the quote currency.

    Reasons are those that the strategy gave to its first and its last order, or else the type of a priced order.
    """

    run_id: str
    seq: int
    symbol: str
    side: Literal["long", "short"]
    size: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    pnl: float
    pnl_net: float
    commission: float
    entry_reason: str = ""
    exit_reason: str = ""


class RunFill(msgspec.Struct, frozen=True, tag="fill"):
    """Fill number ``seq`` of a run, as the chart marks it. ``ts`` is the event time of the bar that filled it."""

    run_id: str
    seq: int
    symbol: str
    ts: int
    side: Literal["buy", "sell"]
    size: float
    price: float


class RunEquity(msgspec.Struct, frozen=True, tag="equity"):
    """The account after bars ``seq``, ``seq``+1, …: event times, value and cash in the quote currency.

    Where only some points are kept, ``at`` gives their numbers: ``seq``+``at[0]``, …. The other columns are the change
    since the previous bar, the drawdown (percent), and the Sharpe ratio of the last 126 complete trading days.
    """

    run_id: str
    seq: int
    ts: list[int]
    value: list[float]
    cash: list[float]
    at: list[int] = []
    change_percent: list[float | None] = []
    drawdown_percent: list[float | None] = []
    sharpe: list[float | None] = []


class RunTrial(msgspec.Struct, frozen=True, tag="trial"):
    """A trial of a sweep: the strategy with ``params`` over the bars of one window.

    ``trial`` counts from 0 within its window; the out-of-sample trial of the window's best has OUT_OF_SAMPLE_TRIAL.
    ``objective`` is None where the trial failed, with the error in ``message``, or is too short for the metric.
    """

    run_id: str
    window: int
    trial: int
    params: msgspec.Raw
    start: int
    end: int
    metrics: dict[str, float | None]
    objective: float | None
    feasible: bool
    trades_hash: str = ""
    message: str = ""


OUT_OF_SAMPLE_TRIAL = -1  # the number of the trial of a window's best over the out-of-sample range


class RunDrawdown(msgspec.Struct, frozen=True):
    """A drawdown. Times are milliseconds UTC; ``end`` is the recovery, null where the peak was not reached again."""

    percent: float
    amount: float
    peak: int
    trough: int
    end: int | None
    days: float


class RunPeriod(msgspec.Struct, frozen=True):
    """A month (2018-04) or a year (2018) of the trading days of a run. Values and profit are in the quote currency."""

    period: str
    start_value: float
    end_value: float
    return_percent: float | None
    max_drawdown_percent: float
    trades: int
    wins: int
    profit: float


class RunPosition(msgspec.Struct, frozen=True):
    """An open position: size, negative if short, at its average price; ``unrealised`` profit at ``close``.

    Prices and profit are in the quote currency; the commission of closing it is not in it.
    """

    symbol: str
    size: float
    price: float
    close: float | None
    unrealised: float | None


class RunOrder(msgspec.Struct, frozen=True):
    """An order that is not filled, or only in part: its type as Backtrader names it, and the remaining size.

    ``price`` is the limit or stop, null for a market order; ``ts`` is the event time of the bar on which it was made.
    """

    symbol: str
    ts: int
    side: Literal["buy", "sell"]
    kind: str
    size: float | None
    price: float | None
    reason: str = ""


class RunAnalyses(msgspec.Struct, frozen=True):
    """Results of a run's analyzers by class; of its observers the lines, as [time (ms UTC), value], by class."""

    analyzers: dict[str, Any] = {}
    observers: dict[str, Any] = {}


class RunEnded(msgspec.Struct, frozen=True, tag="end"):
    """The end of a run. ``metrics`` by name, null where ``undefined`` has the reason; the deepest ``drawdowns``.

    ``analyses`` are those of the analyzers and observers that the spec lists. ``positions`` are open at the end, and
    ``orders`` were never filled: the first 100 of each, of which ``metrics`` has the numbers.
    """

    run_id: str
    state: Literal["complete", "failed"]
    message: str
    bars: int
    metrics: dict[str, float | None]
    trades_hash: str
    ended_at: int
    drawdowns: list[RunDrawdown] = []
    periods: list[RunPeriod] = []
    undefined: dict[str, str] = {}
    analyses: RunAnalyses = RunAnalyses()
    positions: list[RunPosition] = []
    orders: list[RunOrder] = []


ResultRecord: TypeAlias = RunStarted | RunOrigin | RunTrade | RunFill | RunEquity | RunTrial | RunEnded
decode_result: Callable[[bytes | str], ResultRecord] = json_decoder(ResultRecord)
