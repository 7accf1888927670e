"""When a subscription is open, when it counts as silent, and what it has missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn, cast

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from tapedeck_common.market import Ticker
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.feed import FeedSpec
from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeStream, MarketDataListener
from tapedeck_feed.exchanges.errors import SubscriptionLost
from tapedeck_feed.live import workload
from tapedeck_feed.live.gap_recovery import GapRecovery
from tapedeck_feed.live.liveness import LivenessMonitor
from tapedeck_feed.live.subscription import Connection, Subscription
from tapedeck_feed.live.workload import LiveFeedWorkload
from tapedeck_feed.output.stats import FeedStats


class SilentExchange:
    """Accepts subscriptions and sends nothing."""

    async def subscribe(self, _stream: ExchangeStream, _listener: MarketDataListener) -> None:
        await asyncio.sleep(600)


def test_only_a_connected_subscription_without_a_running_probe_is_silent() -> None:
    events: list[str] = []

    async def on_settled(_stream: ExchangeStream) -> None:
        events.append("settled")

    async def subscribe() -> None:
        stream = ExchangeStream("ticker", ("A/B",))
        one = Subscription(stream, lambda _, reason: events.append(reason), on_settled, silence_limit=500.0)
        assert not one.is_silent(time.monotonic()), "it is not connected yet"
        running = asyncio.ensure_future(
            one.run(cast(ExchangeAdapter, SilentExchange()), cast(MarketDataListener, None))
        )
        await until(lambda: one.is_silent(time.monotonic() + 600))
        began = time.monotonic()
        assert (one.is_silent(began + 400), one.is_silent(began + 600)) == (False, True)
        one.probe = asyncio.ensure_future(asyncio.sleep(0.01))
        assert not one.is_silent(began + 600), "a probe is running"
        await one.probe
        one.silence_limit = 4_000.0
        assert not one.is_silent(began + 600)
        one.record_activity()
        assert (one.silence_limit, one.is_silent(time.monotonic() + 600)) == (500.0, True)
        one.reconnect("it is dead")
        await until(lambda: not one.is_silent(began + 60_000))
        assert events == ["it is dead"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(subscribe())


async def until(ready: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if ready():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


class OpenExchange:
    """Opens connections on which nothing happens, until one is to break."""

    def __init__(self) -> None:
        self.breaks = asyncio.Event()

    async def subscribe(self, stream: ExchangeStream, listener: MarketDataListener) -> None:
        listener.on_open(stream)
        await self.breaks.wait()
        self.breaks.clear()
        raise SubscriptionLost("the connection was lost")


class OneSubscription:
    """Passes what an exchange tells on to its subscription."""

    def __init__(self) -> None:
        self.stream = ExchangeStream("trades", ("A/B",))
        self.subscription = Subscription(self.stream, lambda *_: None, self._settled, silence_limit=5.0)

    async def _settled(self, _stream: ExchangeStream) -> None:
        pass

    def on_open(self, _stream: ExchangeStream) -> None:
        self.subscription.record_open()


def test_a_connection_on_which_nothing_happens_is_open() -> None:
    async def subscribe() -> None:
        exchange, listener = OpenExchange(), OneSubscription()
        one = listener.subscription
        running = asyncio.ensure_future(one.run(cast(ExchangeAdapter, exchange), cast(MarketDataListener, listener)))
        await until(lambda: one.connection is Connection.OPEN)
        one.record_activity()
        await until(lambda: one.connection is Connection.ACTIVE)
        one.reconnect("no message for 5 s")
        await until(lambda: one.connection is Connection.OPEN)
        assert one.trouble == "", "it is connected again"
        one.missed_probes = 1
        one.reconnect("no message for 5 s, though the exchange has new records")
        await until(lambda: one.connection is not Connection.OPEN)
        await until(lambda: one.connection is Connection.OPEN)
        assert one.trouble, "it was open before, and delivered nothing"
        one.record_activity()
        assert (one.trouble, one.missed_probes) == ("", 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(subscribe())


class Prices:
    """Answers requests for tickers with these prices, one after another."""

    def __init__(self, *prices: float) -> None:
        self._prices = list(enumerate(prices, 2))

    async def fetch_ticker(self, symbol: str) -> Ticker | None:
        ts, price = self._prices.pop(0)
        return Ticker("x", symbol, ts, price)

    async def disconnect(self) -> None:
        pass


def test_probes_that_missed_something_are_counted_until_the_next_message() -> None:
    """What recovery publishes is no message of the subscription."""
    began = time.time()
    one = OneSubscription().subscription
    one.stream = ExchangeStream("ticker", ("A/B",))
    assert began <= one.last_message_at <= time.time(), "a subscription that never delivered is silent since its start"
    one.last_message_at = 1.0
    adapter = cast(ExchangeAdapter, Prices(7.0, 8.0, 8.0, 9.0))
    monitor = LivenessMonitor(adapter, {}, cast(GapRecovery, None), cast(Any, None), FeedStats())
    monitor.record_ticker(Ticker("x", "A/B", 1, 6.0))

    async def probe() -> list[int]:
        counts = []
        for _ in range(4):
            await monitor.probe(one)
            counts.append(one.missed_probes)
        return counts

    assert asyncio.run(probe()) == [1, 2, 2, 3]
    assert one.last_message_at == 1.0
    one.record_activity()
    assert one.missed_probes == 0
    assert one.last_message_at >= began


def test_the_subscription_that_is_silent_the_longest_stands_for_its_channel() -> None:
    stats = FeedStats(last_message_at={"trades": 5.0, "tickers": 9.0}, missed_probes={"trades": 2, "tickers": 0})
    registry = CollectorRegistry()
    registry.register(cast(Collector, stats))

    def shown(name: str, channel: str) -> float | None:
        return registry.get_sample_value(f"tapedeck_feed_{name}", {"channel": channel})

    assert [shown("last_message_timestamp_seconds", channel) for channel in ("trades", "tickers")] == [5.0, 9.0]
    assert [shown("missed_probes", channel) for channel in ("trades", "tickers")] == [2.0, 0.0]


@pytest.mark.parametrize(("shards", "pods"), [(None, 1), (4, 4)])
def test_the_shards_of_a_live_feed_share_the_rate_limit(
    monkeypatch: pytest.MonkeyPatch, shards: int | None, pods: int
) -> None:
    class Asked(Exception):
        pass

    def created(*given: object) -> NoReturn:
        raise Asked(given[4])

    monkeypatch.setattr(workload, "create_adapter", created)
    spec = FeedSpec.model_validate({"exchange": "coinbase", "symbols": ["BTC/USD"], "shards": shards})
    with pytest.raises(Asked, match=f"^{pods}$"):
        asyncio.run(LiveFeedWorkload(PodSettings(), spec)._run(Connections(), None, {}))  # type: ignore[arg-type]
