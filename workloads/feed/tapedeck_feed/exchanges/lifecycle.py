"""What every pod with an exchange shares: its API keys and its shutdown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from tapedeck_common.logs import hide_secret
from tapedeck_crds.errors import Interrupted, Unavailable
from tapedeck_crds.secrets import EXCHANGE_KEYS
from tapedeck_feed.exchanges.adapter import ExchangeAdapter
from tapedeck_feed.exchanges.errors import InvalidFeedInput, SubscriptionLost

CLOSE_TIMEOUT = 3.0  # seconds


def read_api_keys(folder: Path | None) -> dict[str, str]:
    """``apiKey``, ``secret`` and ``password`` of a mounted Secret; empty where the spec names none."""
    if folder is None:
        return {}
    found = {name: (folder / name).read_text().strip() for name in EXCHANGE_KEYS if (folder / name).exists()}
    for value in found.values():
        hide_secret(value)
    if not found:
        raise Unavailable("apiKeySecret: the Secret is missing or has no apiKey; create it", reason="MissingSecret")
    if "apiKey" not in found:
        raise InvalidFeedInput(
            "WrongKey", "apiKeySecret: the Secret has no apiKey, expected one beside secret and password"
        )
    return found


async def run_until_stopped(work: Coroutine[Any, Any, None], adapter: ExchangeAdapter, stop: Event) -> None:
    """Run until the work ends or ``stop`` is set, then close the adapter. Raises Interrupted where stopped."""
    try:
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(asyncio.to_thread(stop.wait))
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            stop.set()  # ends the thread that waits for it
            working.result()
            return
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise Interrupted("stopped on request")
    finally:
        with contextlib.suppress(TimeoutError, Exception):  # a client's error while it closes changes nothing
            await asyncio.wait_for(adapter.close(), CLOSE_TIMEOUT)


async def run_until_first_ends(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all until one ends, then cancel the others. Raises what that one raised.

    Raises SubscriptionLost where it was cancelled from inside: ccxt cancels those who wait on a closed connection.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        if task.cancelled():
            raise SubscriptionLost("the connection was closed")
        if (error := task.exception()) is not None:
            raise error
