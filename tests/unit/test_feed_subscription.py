"""When a subscription counts as silent."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeStream, MarketDataListener
from tapedeck_feed.live.subscription import Subscription


class SilentExchange:
    """Accepts subscriptions and sends nothing."""

    async def subscribe(self, _stream: ExchangeStream, _listener: MarketDataListener) -> None:
        await asyncio.sleep(60)


def test_only_a_connected_subscription_without_a_running_probe_is_silent() -> None:
    events: list[str] = []

    async def on_settled(_stream: ExchangeStream) -> None:
        events.append("settled")

    async def subscribe() -> None:
        stream = ExchangeStream("ticker", ("A/B",))
        one = Subscription(stream, lambda _, reason: events.append(reason), on_settled, silence_limit=5.0)
        assert not one.is_silent(time.monotonic()), "it is not connected yet"
        running = asyncio.ensure_future(
            one.run(cast(ExchangeAdapter, SilentExchange()), cast(MarketDataListener, None))
        )
        await asyncio.sleep(0.01)
        began = time.monotonic()
        assert (one.is_silent(began + 4), one.is_silent(began + 6)) == (False, True)
        one.probe = asyncio.ensure_future(asyncio.sleep(0.01))
        assert not one.is_silent(began + 6), "a probe is running"
        await one.probe
        one.silence_limit = 40.0
        assert not one.is_silent(began + 6)
        one.record_activity()
        assert (one.silence_limit, one.is_silent(time.monotonic() + 6)) == (5.0, True)
        one.reconnect("it is dead")
        await asyncio.sleep(0.005)
        assert (events, one.is_silent(began + 600)) == (["it is dead"], False)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(subscribe())
