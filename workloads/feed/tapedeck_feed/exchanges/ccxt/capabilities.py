"""What ccxt does not say of an exchange and filling holes needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Traits:
    """``contiguous``: each trade's id of a market is that of the one before plus 1.

    ``recent`` are the parameters with which the newest trades come with those ids, ``behind`` those with which
    trades behind an id come, named ``id_parameter``; ``behind_needs_key`` where that takes an API key. ``by_time``
    says that trades can be asked for by time, ``backwards`` that a page of them holds the newest of a span, whose end
    must be given. ``options`` are ccxt's.
    """

    contiguous: bool = False
    by_time: bool = True
    backwards: bool = False
    recent: Mapping[str, Any] = field(default_factory=dict)
    behind: Mapping[str, Any] | None = None
    id_parameter: str = ""
    behind_needs_key: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


# Binance: "Recent trades list" and "Old trade lookup". By default ccxt asks it for aggregated trades, which have
# ids of their own. Coinbase counts the trades of each product.
_BINANCE = Traits(
    contiguous=True,
    by_time=False,
    recent={"fetchTradesMethod": "publicGetTrades"},
    behind={"fetchTradesMethod": "publicGetHistoricalTrades"},
    id_parameter="fromId",
    behind_needs_key=True,
    options={"watchTickers": {"name": "ticker"}},  # the short one has no bid and ask
)
_COINBASE = Traits(contiguous=True, backwards=True)
_BY_EXCHANGE = {
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "coinbase": _COINBASE,
    "coinbaseadvanced": _COINBASE,
}


def traits_of(exchange: str) -> Traits:
    """Of an exchange id; the most cautious for one that is not listed."""
    return _BY_EXCHANGE.get(exchange, Traits())
