"""ccxt's client of one exchange, and asking it by REST."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt

from tapedeck_crds.live import Endpoints
from tapedeck_feed.exchanges.adapter import Unanswerable, Unreachable
from tapedeck_feed.exchanges.ccxt.capabilities import traits_of
from tapedeck_feed.exchanges.ccxt.errors import meant, no_key, unknown_exchange, wait_in
from tapedeck_feed.exchanges.ccxt.websocket import guarded


class CcxtClient:
    """``api`` is ccxt's own client, ``keyed`` says whether it has a key.

    ``sharers`` pods share what the exchange allows; ``at_once`` questions go out together.
    """

    def __init__(
        self, exchange: str, keys: dict[str, str], endpoints: Endpoints | None, sharers: int = 1, at_once: int = 1
    ) -> None:
        try:
            kind = guarded(f"ccxt.pro.{exchange}", exchange)
        except ModuleNotFoundError:
            raise unknown_exchange(exchange) from None
        self.exchange = exchange
        self.traits = traits_of(exchange)
        options = dict(self.traits.options)
        self.api: Any = kind({"enableRateLimit": True, "newUpdates": True, "options": options, **keys})
        if sharers > 1:
            bucket = self.api.tokenBucket
            self.api.tokenBucket = bucket | {
                "refillRate": bucket["refillRate"] / sharers, "rateLimit": bucket["rateLimit"] * sharers
            }  # fmt: skip
            self.api.init_throttler()
        self.keyed = "apiKey" in keys
        self._quiet_until = 0.0
        self._turn = asyncio.Semaphore(at_once)  # what waits for its turn must hear of a refusal
        if endpoints is not None:
            self.api.urls["api"] = _moved(self.api.urls["api"], endpoints, self.api.hostname)

    async def ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """A REST call in its turn, and no earlier than the exchange allows."""
        async with self._turn:
            await asyncio.sleep(max(self._quiet_until - time.monotonic(), 0.0))
            return await self._call(call)

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except ccxt.BaseError as error:
            said = meant(error, self._retry_after())
            if isinstance(said, Unreachable) and said.wait is not None:
                self._quiet_until = max(self._quiet_until, time.monotonic() + said.wait)
            raise said from None
        except (OSError, aiohttp.ClientError) as error:
            raise Unreachable(f"{self.exchange}: {error}") from None
        except Exception as error:  # ccxt on a key or a page of nonsense
            if any(frame.name == "sign" for frame in traceback.extract_tb(error.__traceback__)):
                raise no_key(self.exchange, error) from None
            raise Unanswerable(f"{self.exchange}: an answer that ccxt can't read: {error!r}") from None

    def _retry_after(self) -> float | None:
        return wait_in(self.api.last_response_headers or {})


def _moved(urls: Any, endpoints: Endpoints, hostname: str | None) -> Any:
    """The same addresses, their paths kept, on other hosts."""
    if isinstance(urls, dict):
        return {name: _moved(url, endpoints, hostname) for name, url in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    scheme, _, rest = urls.partition("://")
    base = endpoints.websocket if scheme.startswith("ws") else endpoints.rest
    _, slash, path = rest.partition("/")
    return urls if base is None else f"{base.rstrip('/')}{slash}{path}"
