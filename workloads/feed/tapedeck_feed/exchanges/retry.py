"""How often and how long a request to an exchange is retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import stamina

from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, ExchangeUnreachable

T = TypeVar("T")
RetryDecision: TypeAlias = Callable[[Exception], bool | float]
"""Called with each failure; returns whether to retry, or the delay in seconds that the exchange requires."""
RECOVERY_CONCURRENCY = 4  # recovery requests of a pod at the same time
RECOVERY_DELAYS = (0.0, 0.3, 1.0, 2.0)  # seconds before each request for the same data: it may come short or late
RECOVERY_RETRY_AFTER = 10.0  # seconds after a recovery that failed
CONNECT_ATTEMPTS = 12
CONNECT_TIMEOUT = 180.0
REQUEST_ATTEMPTS = 6
REQUEST_TIMEOUT = 120.0


def retry_delay(error: Exception) -> bool | float:
    """The default RetryDecision: retry what may succeed later, after the delay that the exchange requires."""
    if isinstance(error, ExchangeUnreachable):
        return error.retry_after if error.retry_after is not None else True
    return isinstance(error, ExchangeRequestFailed)


async def with_retries(request: Callable[[], Awaitable[T]]) -> T:
    """The response to a request, retried for up to two minutes. Raises what the last attempt raised."""
    async for attempt in stamina.retry_context(
        on=retry_delay, attempts=REQUEST_ATTEMPTS, timeout=REQUEST_TIMEOUT, wait_max=10.0
    ):
        with attempt:
            return await request()
    raise AssertionError("stamina gives an attempt or raises")


async def until_connected(request: Callable[[], Awaitable[T]], decide: RetryDecision) -> T:
    """The response to a pod's first requests, retried for up to three minutes. Raises what the last attempt raised."""
    async for attempt in stamina.retry_context(
        on=decide, attempts=CONNECT_ATTEMPTS, timeout=CONNECT_TIMEOUT, wait_max=20.0
    ):
        with attempt:
            response = await request()
    return response
