"""Subscriptions that fall silent: dead ones are told from quiet markets, of each exchange as that lets it be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange import Exchange, lately
from exchange.binance import Binance
from exchange.bitfinex import Bitfinex
from exchange.candles import MINUTE
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.server import Dialect
from pods.feed import read_topic
from pods.live import bars, happened, mender_of, pod_of, trades
from pods.services import Services
from tapedeck.market import Bar
from tapedeck_crds.live import Endpoints
from tapedeck_feed.live.exchanges import adapter_of
from tapedeck_feed.live.history import Tail
from tapedeck_feed.live.market import resumed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "dialect"), [("coinbase", Coinbase()), ("bitfinex", Bitfinex())], ids=["coinbase", "bitfinex"]
)
def test_silence_is_broken(services: Services, tmp_path: Path, name: str, dialect: Dialect) -> None:
    """The connection stays up and says nothing, while trades go on."""
    own = lately()
    with Exchange(dialect, [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, name, own.symbol)
        pod.silence = 1.0
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            exchange.silent = True
            exchange.play(200)
            pod.wait_for(lambda: exchange.connections >= 2)
            exchange.silent = False
            exchange.subscribed()
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
        finally:
            pod.stop()
    assert trades(services, name, own.symbol) == happened(own)


def test_bars_that_the_exchange_sends_fall_silent(services: Services, tmp_path: Path) -> None:
    own = lately()
    with Exchange(Binance(), [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, "binance", own.symbol, channels=["bars"])
        pod.silence = 1.0
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            exchange.refresh()
            pod.wait_for(lambda: exchange.requests["/api/v3/klines"] >= 2)  # asked, and nothing new
            assert exchange.connections == 1
            exchange.play(300)  # of which its candles tell nothing
            pod.wait_for(lambda: exchange.connections >= 2)
            exchange.play()
            exchange.clock_offset = 70_000
            exchange.drop()
            wanted = {ts: row for ts, row in own.minutes().items() if ts >= own.ticks[199].ts // MINUTE * MINUTE}
            pod.wait_for(lambda: bars(services, "binance", own.symbol).keys() == wanted.keys())
        finally:
            pod.stop()
    assert bars(services, "binance", own.symbol) == {ts: pytest.approx(row) for ts, row in wanted.items()}


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
def test_tickers_fall_silent(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, path: str, beats: tuple[Any, ...]
) -> None:
    """A price that stands still is no reason to connect anew; one that moved is, though the connection beats."""
    own = lately()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, name, symbol, channels=["ticker"])
        pod.silence = 1.0

        def after_beats(ready: Callable[[], bool]) -> Callable[[], bool]:
            def beaten() -> bool:
                exchange.send(*beats)
                return ready()

            return beaten

        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            exchange.refresh()
            pod.wait_for(after_beats(lambda: exchange.requests[path] >= 2))
            assert exchange.connections == 1
            prices = {tick.price for tick in own.ticks[:200]}
            exchange.play(next(n for n, tick in enumerate(own.ticks[200:], 1) if tick.price not in prices))
            pod.wait_for(after_beats(lambda: exchange.connections >= 2))
            exchange.subscribed()
            exchange.refresh()
            pod.wait_for(lambda: pod.status()["tickers"] == 2)
        finally:
            pod.stop()
    told = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.tickers", name)]
    assert [v["price"] for v in told if v["symbol"] == symbol] == [
        float(own.ticks[199].price), float(own.ticks[own.happened - 1].price),
    ]  # fmt: skip


def test_a_market_of_which_nothing_came_yet_is_listened_to_anew_ever_less_often(
    services: Services, tmp_path: Path
) -> None:
    own = lately()
    with Exchange(Binance(), [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, "binance", own.symbol)
        pod.silence = 0.7
        pod.start()
        try:
            pod.wait_for(lambda: exchange.connections >= 3)
            first, second, third = exchange.dialled_at[:3]
            assert third - second > 1.4 > second - first
            exchange.subscribed()
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
        finally:
            pod.stop()


def test_a_subscription_that_is_away_is_not_looked_at(services: Services, tmp_path: Path) -> None:
    own = lately()
    path = "/api/v3/ticker/24hr"
    with Exchange(Binance(), [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, "binance", own.symbol, channels=["ticker"])
        pod.silence = 1.0
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            exchange.refresh()
            pod.wait_for(lambda: pod.status()["tickers"] == 1)
            exchange.websocket_faults.append((429, {"Retry-After": "3"}))
            exchange.drop()
            before = exchange.requests[path]
            pod.wait_for(lambda: exchange.connections >= 2)
            assert exchange.requests[path] == before
        finally:
            pod.stop()


def test_bars_of_minutes_without_a_trade_are_no_news(services: Services) -> None:
    """CryptoCompare's history has flat ones for them, of which its websocket tells nothing."""
    own = lately()
    own.happened = len(own.ticks)
    name, symbol = "cryptocompare", f"{own.symbol}:{VENUE}"

    async def mended(exchange: Exchange) -> None:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)
        adapter = adapter_of(name, {"apiKey": exchange.key}, endpoints)
        try:
            mender, tally = mender_of(services, adapter, ("bars",), lambda _: None, own_intervals=("1m",))
            state = resumed(name, symbol, ["1m"], "none", Tail(), contiguous=False)
            last, row = max(own.minutes().items())
            state.series["1m"].state(Bar(name, symbol, "1m", last, *row))
            await mender.mend(state, 0.0)
            assert mender.news == 0
            newest = state.series["1m"].wanted_from
            assert newest is not None and newest > last
            exchange.happen(own, [replace(own.ticks[-1], id=10**6, ts=exchange.now)], tell=False)
            await mender.mend(state, 0.0)
            assert (mender.news, tally.errors) == (1, 0)
        finally:
            await adapter.close()

    with Exchange(CryptoCompare(), [own], live=True) as exchange:
        asyncio.run(mended(exchange))
