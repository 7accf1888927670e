"""CryptoCompare's pairs and the symbols that a spec uses for them. Pure.

``BTC/USD`` is the index over all exchanges, CCCAGG; ``BTC/USD:Coinbase`` is one exchange's market.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tapedeck_feed.exchanges.adapter import ExchangeStream
from tapedeck_feed.exchanges.cryptocompare.messages import Message
from tapedeck_feed.exchanges.symbols import select_symbols

INDEX = "CCCAGG"
# Interval → (path of its history, how many of that path's units make the interval).
HISTORY: dict[str, tuple[str, int]] = {
    "1m": ("histominute", 1), "3m": ("histominute", 3), "5m": ("histominute", 5), "15m": ("histominute", 15),
    "30m": ("histominute", 30), "1h": ("histohour", 1), "2h": ("histohour", 2), "4h": ("histohour", 4),
    "6h": ("histohour", 6), "8h": ("histohour", 8), "12h": ("histohour", 12), "1d": ("histoday", 1),
}  # fmt: skip
# Interval → unit of the websocket's candles.
UNITS = {"1m": "m", "1h": "H", "1d": "D"}


class Pair(NamedTuple):
    """A market (the index or an exchange), its base and its quote."""

    market: str
    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """The symbol that a spec uses."""
        name = f"{self.base}/{self.quote}"
        return name if self.market == INDEX else f"{name}:{self.market}"


def pair_of(symbol: str) -> Pair:
    """``BTC/USD`` or ``BTC/USD:Coinbase`` → its parts. Only for symbols that ``select_pairs`` returned."""
    name, _, market = symbol.partition(":")
    base, _, quote = name.partition("/")
    return Pair(market or INDEX, base, quote)


def select_pairs(
    exchange: str, requested: Sequence[str], index: Mapping[Pair, bool], markets: Mapping[Pair, bool]
) -> tuple[str, ...]:
    """The symbols that names and patterns select; those without ``:`` are the index's.

    ``index`` and ``markets`` say of each pair whether it is traded. Raises InvalidFeedInput.
    """
    selected: dict[str, None] = {}
    for pairs, names in (
        (index, [name for name in requested if ":" not in name]),
        (markets, [name for name in requested if ":" in name]),
    ):
        if names:
            active = {pair.symbol for pair, traded in pairs.items() if traded}
            selected |= dict.fromkeys(select_symbols(exchange, names, active, {pair.symbol for pair in pairs}))
    return tuple(selected)


def parse_pairs(market: str, pairs: Any) -> dict[Pair, bool]:
    """The pairs of ``{base: {"tsyms": {quote: {"isActive": …}}}}``, and whether each is traded.

    Raises ValueError for anything else.
    """
    if not isinstance(pairs, dict):
        raise ValueError(f"pairs of {market}: got {str(pairs)[:100]!r}, expected an object by base currency")
    return {
        Pair(market, base, quote): not isinstance(info, dict) or info.get("isActive") is not False
        for base, quotes in pairs.items() if isinstance(quotes, dict)
        for quote, info in (quotes.get("tsyms") or {}).items()
    }  # fmt: skip


def subscription_id(stream: ExchangeStream, symbol: str) -> str:
    """The websocket's name for the part of a stream that is of one symbol, such as ``5~CCCAGG~BTC~USD``."""
    pair = pair_of(symbol)
    ticker_channel = "5" if pair.market == INDEX else "2"
    channel = {"trades": "0", "bars": "24", "ticker": ticker_channel}[stream.kind]
    unit = (UNITS[stream.interval],) if stream.kind == "bars" else ()
    return "~".join((channel, *pair, *unit))


def symbol_of(message: Message) -> str:
    """The symbol of a message of the websocket."""
    market = message.get("M", message.get("MARKET"))
    base, quote = (
        message.get(f"{side}SYM", message.get(f"{name}SYMBOL")) for side, name in (("F", "FROM"), ("T", "TO"))
    )
    return Pair(str(market), str(base), str(quote)).symbol
