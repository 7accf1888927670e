"""Creates the adapter of an exchange by its id."""

from __future__ import annotations

import tapedeck_feed.exchanges.request_metrics  # noqa: F401 (registered before the first request, not by it)
from tapedeck_common.addresses import EndpointPolicy
from tapedeck_crds.exchange import Endpoints
from tapedeck_feed.exchanges.adapter import ExchangeAdapter


def create_adapter(
    exchange: str,
    keys: dict[str, str],
    endpoints: Endpoints | None,
    policy: EndpointPolicy,
    pods: int = 1,
    concurrency: int = 1,
) -> ExchangeAdapter:
    """An adapter that is not connected yet.

    It connects only to what ``policy`` permits. ``pods`` share the exchange's rate limit; ``concurrency`` requests run
    at the same time. Raises InvalidFeedInput for an unknown exchange.
    """
    if exchange == "cryptocompare":
        from tapedeck_feed.exchanges.cryptocompare.exchange import CryptoCompareAdapter

        return CryptoCompareAdapter(keys, endpoints, policy, pods, concurrency)
    from tapedeck_feed.exchanges.ccxt.exchange import CcxtAdapter  # loads ccxt, which takes half a second

    return CcxtAdapter(exchange, keys, endpoints, policy, pods, concurrency)
