"""ccxt's client of one exchange: its configuration, and REST requests within the exchange's limits."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.market import Trade
from tapedeck_crds.exchange import Endpoints
from tapedeck_feed.exchanges.ccxt.capabilities import capabilities_of
from tapedeck_feed.exchanges.ccxt.conversion import to_trade
from tapedeck_feed.exchanges.ccxt.errors import retry_after_header, translate_error, unknown_exchange, unusable_key
from tapedeck_feed.exchanges.ccxt.websocket import load_exchange_class
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, ExchangeUnreachable
from tapedeck_feed.exchanges.request_metrics import counted_request, wait_for_rate_limit


class CcxtClient:
    """``api`` is ccxt's own client, which is untyped; ``has_key`` says whether it has an API key.

    ``pods`` share the exchange's rate limit; ``concurrency`` requests run at the same time. Raises InvalidFeedInput
    for an exchange that ccxt.pro does not have.
    """

    def __init__(
        self,
        exchange: str,
        keys: dict[str, str],
        endpoints: Endpoints | None,
        policy: EndpointPolicy,
        pods: int = 1,
        concurrency: int = 1,
    ) -> None:
        try:
            exchange_class = load_exchange_class(f"ccxt.pro.{exchange}", exchange)
        except ModuleNotFoundError:
            raise unknown_exchange(exchange) from None
        self.exchange = exchange
        self.capabilities = capabilities_of(exchange)
        options = dict(self.capabilities.ccxt_options)
        self.api: Any = exchange_class({"enableRateLimit": True, "newUpdates": True, "options": options, **keys})
        self.api.policy = policy
        if pods > 1:
            bucket = self.api.tokenBucket
            self.api.tokenBucket = bucket | {
                "refillRate": bucket["refillRate"] / pods, "rateLimit": bucket["rateLimit"] * pods
            }  # fmt: skip
            self.api.init_throttler()
        self.has_key = "apiKey" in keys
        self._paused_until = 0.0
        # Requests queue here and not in ccxt, so that those that wait respect a rate limit reported meanwhile.
        self._slots = asyncio.Semaphore(concurrency)
        if endpoints is not None:
            self.api.urls["api"] = _override_hosts(self.api.urls["api"], endpoints)

    def to_trade(self, symbol: str, row: dict[str, Any]) -> Trade:
        """From ccxt's trade structure. Raises ValueError and KeyError."""
        ids = self.capabilities
        return to_trade(self.exchange, symbol, row, contiguous_ids=ids.contiguous_ids, has_trade_ids=ids.has_trade_ids)

    async def request(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The response to a REST call, made no earlier than the exchange allows."""
        async with self._slots:
            await wait_for_rate_limit(self._paused_until - time.monotonic())
            with counted_request():
                return await self._call(call)

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except ccxt.BaseError as error:
            translated = translate_error(error, retry_after_header(self.api.last_response_headers or {}))
            if isinstance(translated, ExchangeUnreachable) and translated.retry_after is not None:
                self._paused_until = max(self._paused_until, time.monotonic() + translated.retry_after)
            raise translated from None
        except (OSError, aiohttp.ClientError) as error:
            raise ExchangeUnreachable(f"{self.exchange}: {error}") from None
        except Exception as error:  # ccxt raises anything for an unusable key or an unexpected response
            if any(frame.name == "sign" for frame in traceback.extract_tb(error.__traceback__)):
                raise unusable_key(self.exchange, error) from None
            raise ExchangeRequestFailed(f"{self.exchange}: ccxt cannot parse the response: {error!r}") from None


def _override_hosts(urls: Any, endpoints: Endpoints) -> Any:
    """ccxt's addresses with the hosts of the spec's endpoints; their paths stay."""
    if isinstance(urls, dict):
        return {name: _override_hosts(url, endpoints) for name, url in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    scheme, _, rest = urls.partition("://")
    base = endpoints.websocket if scheme.startswith("ws") else endpoints.rest
    _, slash, path = rest.partition("/")
    return urls if base is None else f"{base.rstrip('/')}{slash}{path}"
