"""The one interface between a Feed and an exchange. ccxt and CryptoCompare implement it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_common.records import Listing

StreamKind = Literal["trades", "bars", "ticker"]
OnInvalidRow = Callable[[str, str], None]
"""Called with (reason, payload) for a row of a response that cannot be converted."""


@dataclass(frozen=True)
class ExchangeStream:
    """What one subscription delivers. ``interval`` is the length of its bars, empty for trades and tickers."""

    kind: StreamKind
    symbols: tuple[str, ...]
    interval: str = ""

    @property
    def channel(self) -> str:
        """Its channel as metrics name it."""
        return "tickers" if self.kind == "ticker" else self.kind


@dataclass(frozen=True)
class ExchangeMarkets:
    """What the exchange offers of the requested symbols.

    - ``symbols``: the selected ones; ``inactive``: those of them that are not traded at present.
    - ``streams``: the kinds of stream that it sends; ``note`` says why one is missing.
    - ``bar_intervals``: the intervals whose bars it serves by REST; ``streamed_intervals``: those it also sends by
      websocket, None where they are the same.
    - ``page``: how many bars are downloaded at once; ``bars_per_request``: how many of an interval one request returns,
      where they are fewer; ``request_seconds``: the time between two requests, by the exchange's rate limit.
    - ``contiguous_ids``: each trade's id is the previous trade's id plus 1, so that a gap is visible in the ids.
    - ``listings``: base, quote and price steps of the symbols, empty where the exchange does not publish them.
    """

    symbols: tuple[str, ...]
    streams: frozenset[StreamKind]
    bar_intervals: frozenset[str]
    contiguous_ids: bool
    page: int = 100
    bars_per_request: Mapping[str, int] = field(default_factory=dict)
    request_seconds: float = 0.0
    streamed_intervals: frozenset[str] | None = None
    note: str = ""
    listings: tuple[Listing, ...] = ()
    inactive: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RecoveredTrades:
    """The response to a recovery request.

    ``complete``: no trade is missing between the requested one and these, because they overlap it. ``has_more``: later
    trades exist, too many for one request.
    """

    trades: list[Trade]
    complete: bool
    has_more: bool = False


class MarketDataListener(Protocol):
    """Receives what an adapter's subscriptions deliver. No method blocks."""

    def on_trade(self, trade: Trade) -> None:
        """A trade, in order of arrival."""

    def on_bar(self, bar: Bar) -> None:
        """The current values of an interval, closed or not."""

    def on_ticker(self, ticker: Ticker) -> None:
        """The current ticker of a symbol."""

    def on_malformed(self, symbol: str, kind: StreamKind | None, reason: str, payload: str) -> None:
        """A message that cannot be converted; ``symbol`` is empty and ``kind`` None where they cannot be read."""

    def on_open(self, stream: ExchangeStream) -> None:
        """The connection of this stream's subscription is open, whether or not it delivers anything yet."""

    def on_activity(self, stream: ExchangeStream) -> None:
        """The subscription of this stream is alive."""


class ExchangeAdapter(Protocol):
    """One exchange. Every request raises one of ``errors.ADAPTER_ERRORS`` and nothing else."""

    exchange: str

    async def load_markets(self, symbols: Sequence[str]) -> ExchangeMarkets:
        """Connect and select symbols by name or by pattern such as ``*/USDT``. Patterns select active ones only."""

    async def fetch_listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """The current listings of those of these symbols that are traded. Subscriptions are not disturbed."""

    async def subscribe(self, stream: ExchangeStream, listener: MarketDataListener) -> None:
        """Subscribe, and call the listener until the subscription ends.

        Raises SubscriptionLost, or ExchangeUnreachable where it never delivered anything.
        """

    async def disconnect(self) -> None:
        """Close the websockets, so that the next ``subscribe`` reconnects."""

    async def fetch_trades_after(self, symbol: str, last: Trade) -> RecoveredTrades:
        """The trades after ``last`` that the exchange still has, a limited number of pages, in any order."""

    async def fetch_bars(
        self, symbol: str, interval: str, since: int, until: int, on_invalid: OnInvalidRow | None = None
    ) -> list[Bar]:
        """The bars opened in [since, until), milliseconds UTC; the newest may not be closed yet.

        Where they are more than one page, bars after a long gap may be left out.
        """

    async def fetch_ticker(self, symbol: str) -> Ticker | None:
        """The current ticker; None where the exchange has no such request."""

    async def fetch_time(self) -> int | None:
        """The exchange's clock, milliseconds UTC; None where it publishes none."""

    async def close(self) -> None:
        """Close every connection."""
