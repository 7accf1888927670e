"""What recovery has to know of an exchange and ccxt does not describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExchangeCapabilities:
    """How an exchange numbers its trades, and how it serves past ones.

    - ``contiguous_ids``: each trade's id within a market is the previous one plus 1.
    - ``has_trade_ids``: trades of the websocket have ids.
    - ``trades_by_time``: trades can be requested by time. ``newest_first``: a page holds the newest trades of a time
      range, whose end must be given.
    - ``recent_params``: parameters of a request for the newest trades, with contiguous ids.
    - ``by_id_params``: parameters of a request for the trades after an id, which ``id_param`` carries; None where there
      is no such request. ``by_id_needs_key``: it requires an API key.
    - ``ccxt_options``: options of ccxt's client.
    """

    contiguous_ids: bool = False
    has_trade_ids: bool = True
    trades_by_time: bool = True
    newest_first: bool = False
    recent_params: Mapping[str, str] = field(default_factory=dict)
    by_id_params: Mapping[str, str] | None = None
    id_param: str = ""
    by_id_needs_key: bool = False
    ccxt_options: Mapping[str, object] = field(default_factory=dict)


# Binance's "Recent trades list" and "Old trade lookup". By default ccxt requests aggregated trades, which have ids of
# their own. Coinbase numbers the trades of each product.
_BINANCE = ExchangeCapabilities(
    contiguous_ids=True,
    trades_by_time=False,
    recent_params={"fetchTradesMethod": "publicGetTrades"},
    by_id_params={"fetchTradesMethod": "publicGetHistoricalTrades"},
    id_param="fromId",
    by_id_needs_key=True,
    ccxt_options={"watchTickers": {"name": "ticker"}},  # ccxt's default, the short ticker, has no bid and ask
)
_COINBASE = ExchangeCapabilities(contiguous_ids=True, newest_first=True)
_WITHOUT_IDS = ExchangeCapabilities(has_trade_ids=False)
_BY_EXCHANGE = {
    "bitrue": _WITHOUT_IDS,
    "lbank": _WITHOUT_IDS,
    "luno": _WITHOUT_IDS,
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "coinbase": _COINBASE,
}


def capabilities_of(exchange: str) -> ExchangeCapabilities:
    """By exchange id; the most cautious assumptions for an exchange that is not listed."""
    return _BY_EXCHANGE.get(exchange, ExchangeCapabilities())
