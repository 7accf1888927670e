"""CryptoCompare's REST interface, within its rate limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.json_text import json_decoder
from tapedeck_feed.exchanges.connector import checked_connector
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, ExchangeUnreachable, InvalidFeedInput
from tapedeck_feed.exchanges.request_metrics import counted_request, wait_for_rate_limit

HOST = "https://min-api.cryptocompare.com"
REQUESTS_PER_SECOND = 20  # what the smallest plans allow
TIMEOUT = 30.0
INVALID_KEY, RATE_LIMITED = 1, 99  # values of Type in an error response
# Seconds to wait where all calls that a period allows have been made.
WAIT_BY_PERIOD = {"second": 1.0, "minute": 20.0, "hour": 60.0, "day": 120.0, "month": 120.0}
DEFAULT_WAIT = 5.0
_decode = json_decoder(Any)


class CryptoCompareRest:
    """Requests to one host, ``concurrency`` at the same time. ``pods`` share the rate limit."""

    def __init__(self, host: str | None, key: str, policy: EndpointPolicy, pods: int, concurrency: int) -> None:
        self._host = (host or HOST).rstrip("/")
        # In a header, because error messages show the address.
        self._headers = {"Authorization": f"Apikey {key}"} if key else {}
        self._policy = policy
        self._spacing = pods / REQUESTS_PER_SECOND
        self._next_at = 0.0
        self._slots = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, *, field: str = "Data", **parameters: str | int) -> Any:
        """The response's value of ``field``.

        Raises InvalidFeedInput for the key, ExchangeUnreachable, and ExchangeRequestFailed for other rejections.
        """
        async with self._slots:
            now = time.monotonic()
            at, self._next_at = max(self._next_at, now), max(self._next_at, now) + self._spacing
            await wait_for_rate_limit(at - now)
            try:
                with counted_request():
                    return await self._request(path, field, parameters)
            except ExchangeUnreachable as error:
                self._next_at += error.retry_after or 0.0
                raise

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _request(self, path: str, field: str, parameters: Mapping[str, str | int]) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=checked_connector(self._policy),
                timeout=aiohttp.ClientTimeout(TIMEOUT),
                headers=self._headers,
            )
        try:
            async with self._session.get(f"{self._host}{path}", params=parameters) as response:
                status, body = response.status, await response.read()
                retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ExchangeUnreachable(f"cryptocompare: {path}: {error or type(error).__name__}") from None
        return parse_response(path, field, status, float(retry_after) if retry_after.isdigit() else None, body)


def parse_response(path: str, field: str, status: int, retry_after: float | None, body: bytes) -> Any:
    """The value of ``field`` in a response. Raises as ``CryptoCompareRest.get`` does.

    An error response has either the field ``Response``, mostly with status 200, or the field ``Err``.
    """
    try:
        decoded = _decode(body)
    except msgspec.DecodeError:
        decoded = None
    response: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
    err: Any = response.get("Err") if isinstance(response.get("Err"), dict) else {}
    text = str(response.get("Message") or err.get("message") or body[:200].decode("utf-8", "replace"))[:300]
    error_type = response.get("Type") if response.get("Response") == "Error" else None
    if status in (401, 403) or error_type == INVALID_KEY:
        raise InvalidFeedInput("WrongKey", f"apiKeySecret: the exchange rejects the key: {text}")
    if status in (418, 429) or error_type == RATE_LIMITED:
        wait = retry_after if retry_after is not None else _wait_for_limits(response.get("RateLimit"))
        raise ExchangeUnreachable(f"cryptocompare: too many requests: {text}", wait)
    if status >= 500:
        raise ExchangeUnreachable(f"cryptocompare: {path}: {status}: {text}")
    if status != 200 or error_type is not None or err or field not in response:
        raise ExchangeRequestFailed(f"cryptocompare: {path}: {status}: {text}")
    return response[field]


def _wait_for_limits(limits: Any) -> float:
    """Seconds to wait, by the longest period whose calls have all been made."""
    made, allowed = (limits.get("calls_made"), limits.get("max_calls")) if isinstance(limits, dict) else (None, None)
    if not isinstance(made, dict) or not isinstance(allowed, dict):
        return DEFAULT_WAIT
    exhausted = [
        wait for period, wait in WAIT_BY_PERIOD.items() if period in allowed and made.get(period, 0) >= allowed[period]
    ]
    return max(exhausted, default=DEFAULT_WAIT)
