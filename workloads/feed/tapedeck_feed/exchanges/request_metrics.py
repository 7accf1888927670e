"""Prometheus metrics of the requests to an exchange's REST interface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from tapedeck_common.metrics import counter_by
from tapedeck_feed.exchanges.errors import ADAPTER_ERRORS, ExchangeUnreachable

REQUESTS = counter_by(
    "tapedeck_feed_requests_total",
    "Requests to the exchange's REST interface.",
    "result",
    ("ok", "rate_limited", "unreachable", "refused"),
)
RATE_LIMIT_WAIT = Counter(
    "tapedeck_feed_rate_limit_wait_seconds_total",
    "Seconds that requests waited because the exchange limits their rate.",
)


@contextmanager
def counted_request() -> Iterator[None]:
    """Count the request in the block, by the adapter's error that it raises."""
    try:
        yield
    except ADAPTER_ERRORS as error:
        REQUESTS.labels(_result(error)).inc()
        raise
    REQUESTS.labels("ok").inc()


@contextmanager
def counted_rate_limit_wait() -> Iterator[None]:
    """Count the time of the block, in which a request waits for its turn."""
    started = time.monotonic()
    try:
        yield
    finally:
        RATE_LIMIT_WAIT.inc(time.monotonic() - started)


async def wait_for_rate_limit(seconds: float) -> None:
    """Wait before a request, if there is anything to wait for."""
    if seconds > 0:
        with counted_rate_limit_wait():
            await asyncio.sleep(seconds)


def _result(error: Exception) -> str:
    if not isinstance(error, ExchangeUnreachable):
        return "refused"
    return "unreachable" if error.retry_after is None else "rate_limited"
