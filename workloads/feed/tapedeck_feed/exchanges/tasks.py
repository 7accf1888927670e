"""Tasks that live and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from tapedeck_feed.exchanges.adapter import Broken


async def first_failure(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all until one ends, then end the others; raises what that one raised.

    Broken where it was cancelled from below: so ccxt ends who waits for a connection that is closed.
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
            raise Broken("the connection was closed")
        if (error := task.exception()) is not None:
            raise error
