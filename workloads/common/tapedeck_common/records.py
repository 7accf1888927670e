"""The other records on the log: what a Feed reports, and what a backtest's run results in."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class IngestError(msgspec.Struct, frozen=True, tag="error"):
    """Something from outside that could not be taken: where it was, what it was, why not."""

    feed: str
    exchange: str
    symbol: str
    place: str
    reason: str
    payload: str
    at: int


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """A range of opens [start, end) in which bars are missing, and what became of it."""

    exchange: str
    symbol: str
    interval: str
    start: int
    end: int
    state: Literal["open", "filled", "unfillable"]


class Listing(msgspec.Struct, frozen=True, tag="listing"):
    """What an exchange says of a symbol. Steps are the smallest changes of price (in the quote currency) and of
    amount (in the base currency), null where it does not say. ``at`` is when it was asked, milliseconds UTC.
    """

    exchange: str
    symbol: str
    base: str
    quote: str
    at: int
    price_step: float | None = None
    amount_step: float | None = None


IngestRecord: TypeAlias = IngestError | Gap | Listing
decode_ingest = msgspec.json.Decoder(IngestRecord).decode


class RunStarted(msgspec.Struct, frozen=True, tag="run"):
    """A backtest's run began: what runs over what. ``spec`` is the Backtest's spec as JSON.

    ``trials`` is how many a sweep has, 0 for a run that is none.
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
    """What a run was made of, for doing it again. ``replay`` is the Replay's spec as JSON, null for a run without.

    ``data`` is the fingerprint of the bars, ``seed`` that of a synthetic market; ``images`` by workload, by digest on a
    deck and as the chart names them on a cluster; ``version`` is that of the package. ``path`` is how it was made: by
    the engine, bar by bar, or vectorised, over whole arrays; each trial of a sweep says it in its metrics. ``begin`` is
    the virtual time, milliseconds UTC, that a seek or a loop of the Replay had the stream go on from; null where it
    began with the range.
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
    """The ``seq``-th closed trade of a run. Prices and profits in the quote currency.

    Reasons are what the strategy gave its first and its last order, else the kind of a priced order.
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
    """The ``seq``-th fill of a run: what the chart marks. ``ts`` is the event time of the bar that filled it."""

    run_id: str
    seq: int
    symbol: str
    ts: int
    side: Literal["buy", "sell"]
    size: float
    price: float


class RunEquity(msgspec.Struct, frozen=True, tag="equity"):
    """Account after bars ``seq``, ``seq``+1, …: event times, value and cash in the quote currency.

    Where not all are kept, ``at`` says which: ``seq``+``at[0]``, …. Beside them the change since the bar before,
    the fall from the peak so far (percent), and the Sharpe ratio of the last 720 whole hours or longer bars.
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
    """A trial of a sweep: the strategy with ``params`` over a window's bars.

    ``trial`` counts from 0 within its window; the one that trades the window's best afterwards has TESTED.
    ``objective`` is None where the trial failed, with ``message``, or is too short for the figure.
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


TESTED = -1  # the number of the trial that a window's best makes after the search


class RunDrawdown(msgspec.Struct, frozen=True):
    """A fall from a peak. Times are milliseconds UTC; ``end`` is null where the peak was not reached again."""

    percent: float
    amount: float
    peak: int
    trough: int
    end: int | None
    days: float


class RunPeriod(msgspec.Struct, frozen=True):
    """A month (2018-04) or a year (2018) of a run, UTC. Values and profit in the quote currency."""

    period: str
    start_value: float
    end_value: float
    return_percent: float | None
    max_drawdown_percent: float
    trades: int
    wins: int
    profit: float


class RunEnded(msgspec.Struct, frozen=True, tag="end"):
    """A run is over. ``metrics`` by name, null where the run is too short for one; the deepest ``drawdowns``."""

    run_id: str
    state: Literal["complete", "failed"]
    message: str
    bars: int
    metrics: dict[str, float | None]
    trades_hash: str
    ended_at: int
    drawdowns: list[RunDrawdown] = []
    periods: list[RunPeriod] = []


ResultRecord: TypeAlias = RunStarted | RunOrigin | RunTrade | RunFill | RunEquity | RunTrial | RunEnded
decode_result = msgspec.json.Decoder(ResultRecord).decode
