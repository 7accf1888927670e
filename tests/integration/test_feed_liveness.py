"""Silent subscriptions: dead ones are distinguished from quiet markets, by what each exchange offers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from endpoints import LOOPBACK
from exchange import Exchange, Market, recent_market
from exchange.binance import Binance
from exchange.bitfinex import Bitfinex
from exchange.candles import MINUTE
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.server import Dialect
from pods.feed import FeedPod
from pods.live import create_gap_recovery, create_pod, exchange_trades, published_bars, published_trades
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Bar
from tapedeck_crds.exchange import Endpoints
from tapedeck_feed.exchanges.registry import create_adapter
from tapedeck_feed.live.resume import PublishedRecords
from tapedeck_feed.live.symbol_state import resume_symbol

pytestmark = pytest.mark.slow


@contextmanager
def live_pod(
    services: Services,
    folder: Path,
    name: str,
    dialect: Dialect,
    suffix: str = "",
    *,
    silence: float = 1.0,
    **more: Any,
) -> Iterator[tuple[Market, Exchange, FeedPod]]:
    """A market, its exchange, and a pod that probes a subscription after so many seconds of silence."""
    own = recent_market()
    with Exchange(dialect, [own]) as exchange:
        pod = create_pod(services, folder, exchange, name, own.symbol + suffix, **more)
        pod.silence = silence
        pod.start()
        try:
            yield own, exchange, pod
        finally:
            pod.stop()


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("binance", Binance()), ("coinbase", Coinbase()), ("bitfinex", Bitfinex())],
    ids=["binance", "coinbase", "bitfinex"],
)
def test_a_dead_subscription_is_reconnected(services: Services, tmp_path: Path, name: str, dialect: Dialect) -> None:
    """The connection stays up and delivers nothing, while trades continue."""
    with live_pod(services, tmp_path, name, dialect) as (own, exchange, pod):
        exchange.subscribed()
        exchange.play(200)
        exchange.silent = True
        exchange.play(200)
        pod.wait_for(lambda: exchange.connections >= 2)
        exchange.silent = False
        exchange.subscribed()
        exchange.play()
        pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
    assert published_trades(services, name, own.symbol) == exchange_trades(own)
    assert name != "binance" or pod.last_report()["missing"] == 0  # the ids of others have gaps of their own


def gauge(pod: FeedPod, name: str, label: str) -> float:
    """A sample of a metric of the pod."""
    line = next(
        each for each in pod.get("/metrics").splitlines() if each.startswith(f"tapedeck_feed_{name}{{{label}}}")
    )
    return float(line.rpartition(" ")[2])


def test_a_market_where_nothing_happens_after_a_reconnect_is_connected(services: Services, tmp_path: Path) -> None:
    with live_pod(services, tmp_path, "binance", Binance(), silence=60.0) as (_, exchange, pod):
        exchange.subscribed()
        began = time.time()
        exchange.play(100)
        pod.wait_for(lambda: pod.status()["trades"] == 100)
        dropped = time.time()
        exchange.drop()
        pod.wait_for(lambda: exchange.connections >= 2)
        pod.wait_for(lambda: gauge(pod, "subscriptions", 'state="open"') == 1)
        assert [gauge(pod, "subscriptions", f'state="{state}"') for state in ("connecting", "down")] == [0, 0]
        pod.wait_for(lambda: pod.status()["reason"] == "Live")
        assert began <= gauge(pod, "last_message_timestamp_seconds", 'channel="trades"') <= dropped


def test_what_recovery_finds_is_no_message_of_a_dead_subscription(services: Services, tmp_path: Path) -> None:
    with live_pod(services, tmp_path, "binance", Binance(), silence=0.5) as (_, exchange, pod):
        exchange.subscribed()
        exchange.play(200)
        pod.wait_for(lambda: pod.status()["trades"] == 200)
        exchange.silent = True

        def after_a_trade(enough: Callable[[float], bool]) -> bool:
            exchange.play(1)
            return enough(gauge(pod, "missed_probes", 'channel="trades"'))

        pod.wait_for(lambda: after_a_trade(lambda missed: missed >= 1))
        missed_at = time.time()  # the connection with messages under way has been given up
        pod.wait_for(lambda: after_a_trade(lambda missed: missed >= 2))
        pod.wait_for(lambda: gauge(pod, "last_record_timestamp_seconds", 'channel="trades"') > missed_at)
        assert gauge(pod, "last_message_timestamp_seconds", 'channel="trades"') <= missed_at
        exchange.silent = False
        exchange.subscribed()
        pod.wait_for(lambda: after_a_trade(lambda missed: missed == 0))
        assert gauge(pod, "last_message_timestamp_seconds", 'channel="trades"') > missed_at


def keeps_its_connection(exchange: Exchange, pod: FeedPod) -> Callable[[], bool]:
    """Whether two probes have found nothing new, and one connection has outlasted both."""
    before: dict[int, float] = {}  # by how many connections there have been

    def probed_twice() -> bool:
        connections = exchange.connections
        quiet = gauge(pod, "liveness_probes_total", 'result="quiet"')
        return quiet - before.setdefault(connections, quiet) >= 2

    return probed_twice


def test_a_silent_stream_of_the_exchanges_bars_is_reconnected(services: Services, tmp_path: Path) -> None:
    with live_pod(services, tmp_path, "binance", Binance(), channels=["bars"]) as (own, exchange, pod):
        exchange.subscribed()
        exchange.play(200)
        exchange.refresh()
        pod.wait_for(keeps_its_connection(exchange, pod))
        connections = exchange.connections
        exchange.play(300)  # without candles
        pod.wait_for(lambda: exchange.connections > connections)
        exchange.play()
        exchange.clock_offset = 70_000
        exchange.drop()
        expected = {ts: row for ts, row in own.minutes().items() if ts >= own.ticks[199].ts // MINUTE * MINUTE}
        pod.wait_for(lambda: published_bars(services, "binance", own.symbol).keys() == expected.keys())
    assert published_bars(services, "binance", own.symbol) == {ts: pytest.approx(row) for ts, row in expected.items()}


@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "path", "beats"),
    [
        ("binance", Binance(), "", "/api/v3/ticker/24hr", ()),
        (
            "cryptocompare", CryptoCompare(), f":{VENUE}", "/data/pricemultifull",
            ({"TYPE": "999", "MESSAGE": "HEARTBEAT"},),
        ),
    ],
    ids=["binance", "cryptocompare"],
)  # fmt: skip
def test_a_silent_ticker_stream_is_reconnected(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, path: str, beats: tuple[Any, ...]
) -> None:
    """An unchanged price is no reason to reconnect; a changed one is, although heartbeats arrive."""
    with live_pod(services, tmp_path, name, dialect, suffix, channels=["ticker"]) as (own, exchange, pod):

        def sending_heartbeats(ready: Callable[[], bool]) -> Callable[[], bool]:
            def with_heartbeats() -> bool:
                exchange.send(*beats)
                return ready()

            return with_heartbeats

        exchange.subscribed()
        exchange.play(200)
        exchange.refresh()
        pod.wait_for(sending_heartbeats(keeps_its_connection(exchange, pod)))
        connections = exchange.connections
        prices = {tick.price for tick in own.ticks[:200]}
        exchange.play(next(n for n, tick in enumerate(own.ticks[200:], 1) if tick.price not in prices))
        pod.wait_for(sending_heartbeats(lambda: exchange.connections > connections))
        exchange.subscribed()
        exchange.refresh()
        pod.wait_for(lambda: pod.status()["tickers"] == 2)
    published = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.tickers", name)]
    assert [v["price"] for v in published if v["symbol"] == own.symbol + suffix] == [
        float(own.ticks[199].price), float(own.ticks[own.happened - 1].price),
    ]  # fmt: skip


def test_a_market_without_any_message_yet_is_reconnected_with_growing_delays(
    services: Services, tmp_path: Path
) -> None:
    with live_pod(services, tmp_path, "binance", Binance(), silence=0.7) as (own, exchange, pod):
        pod.wait_for(lambda: exchange.connections >= 3)
        exchange.subscribed()
        exchange.play()
        pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
        first, second, third = exchange.dialled_at[:3]
    assert (second - first > 0.7, third - second > 1.4) == (True, True)
    silences = re.findall(r"no message for ([0-9.]+) s", pod.log_tail())
    assert silences[:2] == ["0.7", "1.4"]


def test_a_disconnected_subscription_is_not_probed(services: Services, tmp_path: Path) -> None:
    path = "/api/v3/ticker/24hr"
    with live_pod(services, tmp_path, "binance", Binance(), channels=["ticker"]) as (_, exchange, pod):
        exchange.subscribed()
        exchange.play(200)
        exchange.refresh()
        pod.wait_for(lambda: pod.status()["tickers"] == 1)
        exchange.websocket_faults.append((429, {"Retry-After": "3"}))
        dialled = len(exchange.dialled_at)
        exchange.drop()
        pod.wait_for(lambda: len(exchange.dialled_at) >= dialled + 2)
        refused, accepted = exchange.dialled_at[dialled : dialled + 2]
        assert [at for at, asked in exchange.requested if asked == path and refused < at < accepted] == []


def test_flat_bars_of_minutes_without_a_trade_are_not_new(services: Services) -> None:
    """CryptoCompare's history has them, its websocket does not send them."""
    own = recent_market()
    own.happened = len(own.ticks)
    name, symbol = "cryptocompare", f"{own.symbol}:{VENUE}"

    async def recover(exchange: Exchange) -> None:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)
        adapter = create_adapter(name, {"apiKey": exchange.key}, endpoints, LOOPBACK)
        try:
            gap_recovery, stats = create_gap_recovery(
                services, adapter, ("bars",), lambda _: None, own_intervals=("1m",)
            )
            state = resume_symbol(name, symbol, ["1m"], "none", PublishedRecords(), contiguous_ids=False)
            last, row = max(own.minutes().items())
            state.series["1m"].update(Bar(name, symbol, "1m", last, *row))
            await gap_recovery.recover(state, 0.0)
            assert gap_recovery.new_records == 0
            newest = state.series["1m"].recovery_start
            assert newest is not None and newest > last
            exchange.happen(own, [replace(own.ticks[-1], id=10**6, ts=exchange.now)], send=False)
            await gap_recovery.recover(state, 0.0)
            assert (gap_recovery.new_records, stats.errors) == (1, 0)
        finally:
            await adapter.close()

    with Exchange(CryptoCompare(), [own], live=True) as exchange:
        asyncio.run(recover(exchange))
