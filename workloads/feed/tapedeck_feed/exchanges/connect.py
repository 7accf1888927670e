"""What every pod that speaks to an exchange does: it opens it patiently, leaves it in time, and says why it failed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias, TypeVar

import stamina

from tapedeck_crds.errors import Interrupted
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Markets

T = TypeVar("T")
Again: TypeAlias = Callable[[Exception], bool | float]
"""Hears of failures and says whether to go on, and after how many seconds where that is known."""
OPEN_ATTEMPTS = 12
OPEN_TIMEOUT = 180.0
LEAVE_WITHIN = 3.0  # seconds for the exchange's connections to close


async def until_stopped(work: Coroutine[Any, Any, None], adapter: Adapter, stop: Event) -> None:
    """Work until it is done or the pod is asked to end, which raises Interrupted; closes the adapter."""
    try:
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(asyncio.to_thread(stop.wait))
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            stop.set()  # the thread that waits for it must end too
            working.result()
            return
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise Interrupted("asked to end")
    finally:
        with contextlib.suppress(TimeoutError, Exception):  # whatever a client says when it is closed
            await asyncio.wait_for(adapter.close(), LEAVE_WITHIN)


async def opened(adapter: Adapter, symbols: Sequence[str], again: Again) -> Markets:
    """The markets, once the exchange answers."""
    return await answered(partial(adapter.open, symbols), again)


async def answered(ask: Callable[[], Awaitable[T]], again: Again) -> T:
    """What the exchange says, once it answers."""
    async for attempt in stamina.retry_context(on=again, attempts=OPEN_ATTEMPTS, timeout=OPEN_TIMEOUT, wait_max=20.0):
        with attempt:
            answer = await ask()
    return answer


def read_keys(folder: Path | None) -> dict[str, str]:
    """What a mounted Secret says: apiKey, secret, password. Empty where none was named."""
    if folder is None:
        return {}
    names = ("apiKey", "secret", "password")
    found = {name: (folder / name).read_text().strip() for name in names if (folder / name).exists()}
    if "apiKey" not in found:
        raise BadInput("WrongKey", "apiKeySecret: the Secret has no apiKey, expected one beside secret and password")
    return found
