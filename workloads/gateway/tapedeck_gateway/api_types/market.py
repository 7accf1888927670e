"""Symbols, bars, trades, tickers and points."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tapedeck_gateway.api_types.fields import Ms, Next


class ExchangeSummary(msgspec.Struct, frozen=True):
    """An exchange with stored data, and the number of its symbols."""

    exchange: str
    symbols: int


class ExchangeList(msgspec.Struct, frozen=True):
    """The exchanges of the store, by name."""

    exchanges: list[ExchangeSummary]
    next: Next


class SessionHours(msgspec.Struct, frozen=True):
    """When a symbol trades: time zone, local hours and days."""

    timezone: str
    open: str
    close: str
    days: list[str]


class StoredSeries(msgspec.Struct, frozen=True):
    """A series of bars: the opens of its first and last bar."""

    interval: str
    first: Ms
    last: Ms
    bars: Annotated[int | None, msgspec.Meta(description="The number of bars; null unless asked for by counts=1.")]


class TimeSpan(msgspec.Struct, frozen=True):
    """The times of the first and the last row."""

    first: Ms
    last: Ms


class StoredSymbol(msgspec.Struct, frozen=True):
    """A symbol with what the store has of it."""

    symbol: Annotated[str, msgspec.Meta(description="exchange:SYMBOL, as other routes take it.")]
    exchange: str
    name: str
    base: str
    quote: str
    price_step: float | None
    amount_step: float | None
    session: SessionHours
    series: list[StoredSeries]
    trades: TimeSpan | None
    tickers: TimeSpan | None


class SymbolPage(msgspec.Struct, frozen=True):
    """Symbols, by exchange and name."""

    symbols: list[StoredSymbol]
    next: Next


class DayCoverage(msgspec.Struct, frozen=True):
    """How many bars of a day (UTC) are stored, and how many there would be without a hole."""

    day: str
    bars: int
    expected: int


class Hole(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A range without bars, within the market's session."""

    start: Ms
    end: Ms


class SeriesCoverage(msgspec.Struct, frozen=True):
    """How whole a stored series is, day by day."""

    symbol: str
    interval: str
    days: list[DayCoverage]
    holes: list[Hole]
    next: Next


class BarRow(msgspec.Struct, frozen=True, gc=False):
    """A closed bar; ``ts`` is its open."""

    ts: Ms
    open: float
    high: float
    low: float
    close: float
    volume: float


class ReplayProgress(msgspec.Struct, frozen=True):
    """How far a replay is; the bars of the same answer are complete up to its position."""

    position: Annotated[int | None, msgspec.Meta(description="Virtual time, milliseconds UTC; null before the first.")]
    epoch: Annotated[str, msgspec.Meta(description="Rises with each seek and each loop.")]
    epoch_start: Annotated[
        int | None, msgspec.Meta(description="The virtual time at which the epoch began; null before the first seek.")
    ]
    ended: bool


class BarPage(msgspec.Struct, frozen=True):
    """Bars of one series in order; those of a replay with its progress."""

    symbol: str
    interval: str
    bars: list[BarRow]
    next: Next
    replay: ReplayProgress | msgspec.UnsetType = msgspec.UNSET


class TradeRow(msgspec.Struct, frozen=True, gc=False):
    """A trade; ``seq`` orders those of one millisecond."""

    ts: Ms
    seq: int
    id: str
    price: float
    amount: float
    side: str


class TradePage(msgspec.Struct, frozen=True):
    """Trades of one symbol in order."""

    symbol: str
    trades: list[TradeRow]
    next: Next


class TickerRow(msgspec.Struct, frozen=True, gc=False):
    """A ticker; what the exchange does not tell is null."""

    ts: Ms
    price: float
    volume24h: float | None
    high24h: float | None
    low24h: float | None
    bid: float | None
    ask: float | None


class TickerPage(msgspec.Struct, frozen=True):
    """Tickers of one symbol in order."""

    symbol: str
    tickers: list[TickerRow]
    next: Next


class PointRow(msgspec.Struct, frozen=True, gc=False):
    """A result of a transform: of a bar by its open, or of a trade by its id."""

    ts: Ms
    id: str
    value: float
    open: float | None
    high: float | None
    low: float | None
    volume: float | None


class PointPage(msgspec.Struct, frozen=True):
    """Results of one transform in order; ``interval`` is empty for results of trades and tickers."""

    symbol: str
    series: str
    interval: str
    points: list[PointRow]
    next: Next


class GapRow(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Bars or trades that are missing, or were until they were filled."""

    exchange: str
    symbol: str
    interval: Annotated[str, msgspec.Meta(description="Empty for trades.")]
    start: Ms
    end: Ms
    state: Annotated[str, msgspec.Meta(description="open, filled or unfillable.")]
    trades: Annotated[int, msgspec.Meta(description="The number of missing trades, where their ids tell it.")]
    ids: str


class GapPage(msgspec.Struct, frozen=True):
    """Gaps by exchange, symbol, interval and time."""

    gaps: list[GapRow]
    next: Next


class IngestProblem(msgspec.Struct, frozen=True):
    """What was refused or lost on the way into the store, and where it is on the log."""

    at: Ms
    feed: str
    exchange: str
    symbol: str
    rows: int
    place: str
    reason: str
    topic: str
    partition: int
    offset: int


class IngestErrorPage(msgspec.Struct, frozen=True):
    """Errors, the newest first."""

    errors: list[IngestProblem]
    next: Next
