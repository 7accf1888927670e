"""What a live Feed needs of an exchange: the one interface, behind which ccxt and others stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_common.records import Listing
from tapedeck_crds.errors import InvalidInput, TapedeckError, Unavailable

StreamKind = Literal["trades", "bars", "ticker"]
Refuse = Callable[[str, str], None]
"""(reason, payload): hears of a row that can't be taken."""


class BadInput(InvalidInput):
    """The exchange can't do what the spec asks for; trying again can't help. ``reason`` is a CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)


class Unreachable(Unavailable):
    """The exchange did not answer, or not now. ``wait`` is how many seconds it asked to be left alone."""

    reason = "Unreachable"

    def __init__(self, message: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(message)


class Unanswerable(TapedeckError):
    """The exchange answered, but not what was asked: refused, or nonsense."""

    reason = "Refused"


class Broken(Exception):
    """A subscription ended after it had worked; what came since is to be asked for."""


@dataclass(frozen=True)
class Stream:
    """One subscription. ``interval`` is that of bars, empty for trades and tickers."""

    kind: StreamKind
    symbols: tuple[str, ...]
    interval: str = ""


@dataclass(frozen=True)
class Markets:
    """What the exchange offers of what was asked for.

    ``symbols`` are those chosen, ``streams`` what it can send as it happens, ``bar_intervals`` the bars that it
    keeps, ``page`` how many of them it gives at once, ``sent_intervals`` those that it sends, where these are fewer.
    ``listings`` is what it says of the symbols, where it does. ``idle`` are those of them that it does not trade, or
    not at present. With ``contiguous`` each trade's id is that of the one before plus 1, so that a hole shows by
    itself. ``note`` says why a stream is not there.
    """

    symbols: tuple[str, ...]
    streams: frozenset[StreamKind]
    bar_intervals: frozenset[str]
    contiguous: bool
    page: int = 100
    sent_intervals: frozenset[str] | None = None
    note: str = ""
    listings: tuple[Listing, ...] = ()
    idle: frozenset[str] = frozenset()


def trade_order(trade: Trade) -> tuple[int, int, str]:
    """Time, then id; ids of digits go by their value."""
    return (trade.ts, len(trade.id), trade.id)


@dataclass(frozen=True)
class Past:
    """Trades that were asked for. ``whole`` says that none can be missing: they reach back to one that is known.

    ``more`` says that others follow, which were too many to ask for at once.
    """

    trades: list[Trade]
    whole: bool
    more: bool = False


class Sink(Protocol):
    """Where an adapter puts what it hears. None of it blocks."""

    def trade(self, trade: Trade) -> None:
        """A trade as it came, whatever its order."""

    def bar(self, bar: Bar) -> None:
        """The present state of an interval, closed or not."""

    def ticker(self, ticker: Ticker) -> None:
        """The state of a market."""

    def refuse(self, symbol: str, kind: StreamKind | None, reason: str, payload: str) -> None:
        """Something came that can't be taken; symbol and kind where they could be read."""

    def heard(self, stream: Stream) -> None:
        """A subscription is alive."""


class Adapter(Protocol):
    """One exchange. Methods raise Unreachable, Unanswerable or BadInput, and nothing else."""

    exchange: str

    async def open(self, symbols: Sequence[str]) -> Markets:
        """Connect, and find the symbols: names or patterns such as ``*/USDT``; those not traded by name alone."""

    async def listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """What it says at present of those of these symbols that it trades; streams go on meanwhile."""

    async def watch(self, stream: Stream, sink: Sink) -> None:
        """Listen until the subscription breaks: raises Broken, or Unreachable where it never worked."""

    async def drop(self) -> None:
        """Close what listens, so that the next ``watch`` connects anew."""

    async def trades_after(self, symbol: str, last: Trade) -> Past:
        """The trades behind ``last`` that the exchange still has, some pages of them at most, in any order."""

    async def bars_from(
        self, symbol: str, interval: str, since: int, until: int, refuse: Refuse | None = None
    ) -> list[Bar]:
        """The bars opened in [since, until) that the exchange has; the newest may not be closed yet.

        Where they are more than a page some may be left out behind a long hole.
        """

    async def ticker(self, symbol: str) -> Ticker | None:
        """The state of a market at present; None where it can't be asked for."""

    async def clock(self) -> int | None:
        """The exchange's clock, milliseconds UTC; None where it has none to show."""

    async def close(self) -> None:
        """End all connections."""
