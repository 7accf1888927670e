"""CryptoCompare's markets by the symbols of a spec. Pure.

``BTC/USD`` is the index over all exchanges, CCCAGG; ``BTC/USD:Coinbase`` is one exchange's market.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tapedeck_feed.exchanges.adapter import Stream
from tapedeck_feed.exchanges.cryptocompare.messages import Message
from tapedeck_feed.exchanges.symbols import chosen

INDEX = "CCCAGG"
# Interval → (path of its history, how many of that path's units, unit of the websocket's candles).
HISTORY: dict[str, tuple[str, int]] = {
    "1m": ("histominute", 1), "3m": ("histominute", 3), "5m": ("histominute", 5), "15m": ("histominute", 15),
    "30m": ("histominute", 30), "1h": ("histohour", 1), "2h": ("histohour", 2), "4h": ("histohour", 4),
    "6h": ("histohour", 6), "12h": ("histohour", 12), "1d": ("histoday", 1),
}  # fmt: skip
UNITS = {"1m": "m", "1h": "H", "1d": "D"}


class Pair(NamedTuple):
    """A market, and what it trades."""

    market: str
    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """As a spec names it."""
        name = f"{self.base}/{self.quote}"
        return name if self.market == INDEX else f"{name}:{self.market}"


def pair_of(symbol: str) -> Pair:
    """``BTC/USD`` or ``BTC/USD:Coinbase`` → its parts. For symbols that ``found`` gave."""
    name, _, market = symbol.partition(":")
    base, _, quote = name.partition("/")
    return Pair(market or INDEX, base, quote)


def found(
    exchange: str, wanted: Sequence[str], index: Mapping[Pair, bool], markets: Mapping[Pair, bool]
) -> tuple[str, ...]:
    """The symbols that names and patterns mean, of pairs that are traded or not: those without ``:`` of the index.

    Raises BadInput.
    """
    named: dict[str, None] = {}
    for pairs, names in (
        (index, [name for name in wanted if ":" not in name]),
        (markets, [name for name in wanted if ":" in name]),
    ):
        if names:
            traded = {pair.symbol for pair, traded in pairs.items() if traded}
            named |= dict.fromkeys(chosen(exchange, names, traded, {pair.symbol for pair in pairs}))
    return tuple(named)


def listed(market: str, pairs: Any) -> dict[Pair, bool]:
    """Pairs of a listing ``{base: {"tsyms": {quote: {"isActive": …}}}}``, and whether they are traded.

    Raises ValueError for anything else.
    """
    if not isinstance(pairs, dict):
        raise ValueError(f"pairs of {market}: got {str(pairs)[:100]!r}, expected them by symbol")
    return {
        Pair(market, base, quote): not isinstance(told, dict) or told.get("isActive") is not False
        for base, known in pairs.items() if isinstance(known, dict)
        for quote, told in (known.get("tsyms") or {}).items()
    }  # fmt: skip


def sub_of(stream: Stream, symbol: str) -> str:
    """What the websocket calls a symbol's part of a stream."""
    pair = pair_of(symbol)
    of_ticker = "5" if pair.market == INDEX else "2"
    kind = {"trades": "0", "bars": "24", "ticker": of_ticker}[stream.kind]
    unit = (UNITS[stream.interval],) if stream.kind == "bars" else ()
    return "~".join((kind, *pair, *unit))


def symbol_of(message: Message) -> str:
    """Of a message of the websocket."""
    market = message.get("M", message.get("MARKET"))
    base, quote = (
        message.get(f"{side}SYM", message.get(f"{name}SYMBOL")) for side, name in (("F", "FROM"), ("T", "TO"))
    )
    return Pair(str(market), str(base), str(quote)).symbol
