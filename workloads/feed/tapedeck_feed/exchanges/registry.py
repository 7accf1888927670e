"""Which adapter speaks to which exchange."""

from __future__ import annotations

from tapedeck_crds.live import Endpoints
from tapedeck_feed.exchanges.adapter import Adapter


def adapter_of(
    exchange: str, keys: dict[str, str], endpoints: Endpoints | None, sharers: int = 1, at_once: int = 1
) -> Adapter:
    """An adapter that is not connected yet, at its share of the allowed rate, with so many questions under way.

    Raises BadInput for an exchange that nobody speaks to.
    """
    if exchange == "cryptocompare":
        from tapedeck_feed.exchanges.cryptocompare.exchange import CryptoCompare

        return CryptoCompare(keys, endpoints, sharers, at_once)
    from tapedeck_feed.exchanges.ccxt.exchange import CcxtExchange  # heavy

    return CcxtExchange(exchange, keys, endpoints, sharers, at_once)
