"""How long an exchange is asked again for what it did not answer, and how much at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from tapedeck_feed.exchanges.adapter import Unanswerable, Unreachable

T = TypeVar("T")
AT_ONCE = 4  # questions under way together
TRIES = (0.0, 0.3, 1.0, 2.0)  # seconds before each try to fill a hole: a page may come short or late
RETRY_AFTER = 10.0


def waited(error: Exception) -> bool | float:
    """For stamina: whether to try again, and after how many seconds where the exchange said so."""
    if isinstance(error, Unreachable):
        return error.wait if error.wait is not None else True
    return isinstance(error, Unanswerable)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What the exchange answers in the end. Raises what the adapter does."""
    async for attempt in stamina.retry_context(on=waited, attempts=6, timeout=120.0, wait_max=10.0):
        with attempt:
            return await ask()
    raise AssertionError("stamina gives an attempt or raises")
