"""When a subscription counts as silent."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from tapedeck_feed.exchanges.adapter import Adapter, Sink, Stream
from tapedeck_feed.live.subscription import Listening


class Quiet:
    """An exchange that says nothing."""

    async def watch(self, _stream: Stream, _sink: Sink) -> None:
        await asyncio.sleep(60)


def test_silence_is_that_of_a_subscription_which_is_up_and_not_looked_at() -> None:
    told: list[str] = []

    async def settled(_stream: Stream) -> None:
        told.append("settled")

    async def listened() -> None:
        one = Listening(Stream("ticker", ("A/B",)), lambda _, why: told.append(why), settled, patience=5.0)
        assert not one.silent(time.monotonic()), "it is not there yet"
        keeping = asyncio.ensure_future(one.keep(cast(Adapter, Quiet()), cast(Sink, None)))
        await asyncio.sleep(0.01)
        began = time.monotonic()
        assert (one.silent(began + 4), one.silent(began + 6)) == (False, True)
        one.look = asyncio.ensure_future(asyncio.sleep(0.01))
        assert not one.silent(began + 6), "it is being looked at"
        await one.look
        one.patience = 40.0
        assert not one.silent(began + 6)
        one.hear()
        assert (one.patience, one.silent(time.monotonic() + 6)) == (5.0, True)
        one.cut("it is dead")
        await asyncio.sleep(0.005)
        assert (told, one.silent(began + 600)) == (["it is dead"], False)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(listened())
