"""Subscriptions that fall silent: dead ones are told from quiet markets, of each exchange as that lets it be asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange import Exchange, Market, lately
from exchange.binance import Binance
from exchange.bitfinex import Bitfinex
from exchange.candles import MINUTE
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.server import Dialect
from pods.feed import Pod
from pods.live import bars, happened, mender_of, pod_of, trades
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Bar
from tapedeck_crds.live import Endpoints
from tapedeck_feed.exchanges.registry import adapter_of
from tapedeck_feed.live.resume import Tail
from tapedeck_feed.live.symbol_state import resumed

pytestmark = pytest.mark.slow


@contextmanager
def listening(
    services: Services,
    folder: Path,
    name: str,
    dialect: Dialect,
    suffix: str = "",
    *,
    silence: float = 1.0,
    **more: Any,
) -> Iterator[tuple[Market, Exchange, Pod]]:
    """A market, its exchange, and a pod that asks for what is missing after so many seconds of silence."""
    own = lately()
    with Exchange(dialect, [own]) as exchange:
        pod = pod_of(services, folder, exchange, name, own.symbol + suffix, **more)
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
def test_silence_is_broken(services: Services, tmp_path: Path, name: str, dialect: Dialect) -> None:
    """The connection stays up and says nothing, while trades go on."""
    with listening(services, tmp_path, name, dialect) as (own, exchange, pod):
        exchange.subscribed()
        exchange.play(200)
        exchange.silent = True
        exchange.play(200)
        pod.wait_for(lambda: exchange.connections >= 2)
        exchange.silent = False
        exchange.subscribed()
        exchange.play()
        pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
    assert trades(services, name, own.symbol) == happened(own)
    assert name != "binance" or pod.last()["missing"] == 0  # its ids have no holes of their own


def test_bars_that_the_exchange_sends_fall_silent(services: Services, tmp_path: Path) -> None:
    with listening(services, tmp_path, "binance", Binance(), channels=["bars"]) as (own, exchange, pod):
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
    with listening(services, tmp_path, name, dialect, suffix, channels=["ticker"]) as (own, exchange, pod):

        def after_beats(ready: Callable[[], bool]) -> Callable[[], bool]:
            def beaten() -> bool:
                exchange.send(*beats)
                return ready()

            return beaten

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
    told = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.tickers", name)]
    assert [v["price"] for v in told if v["symbol"] == own.symbol + suffix] == [
        float(own.ticks[199].price), float(own.ticks[own.happened - 1].price),
    ]  # fmt: skip


def test_a_market_of_which_nothing_came_yet_is_listened_to_anew_ever_less_often(
    services: Services, tmp_path: Path
) -> None:
    with listening(services, tmp_path, "binance", Binance(), silence=0.7) as (own, exchange, pod):
        pod.wait_for(lambda: exchange.connections >= 3)
        exchange.subscribed()
        exchange.play()
        pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
        first, second, third = exchange.dialled_at[:3]
    assert (second - first > 0.7, third - second > 1.4) == (True, True)
    waited = re.findall(r"nothing came for ([0-9.]+) s", pod.said())
    assert waited[:2] == ["0.7", "1.4"]


def test_a_subscription_that_is_away_is_not_looked_at(services: Services, tmp_path: Path) -> None:
    path = "/api/v3/ticker/24hr"
    with listening(services, tmp_path, "binance", Binance(), channels=["ticker"]) as (_, exchange, pod):
        exchange.subscribed()
        exchange.play(200)
        exchange.refresh()
        pod.wait_for(lambda: pod.status()["tickers"] == 1)
        exchange.websocket_faults.append((429, {"Retry-After": "3"}))
        exchange.drop()
        before = exchange.requests[path]
        pod.wait_for(lambda: exchange.connections >= 2)
        assert exchange.requests[path] == before


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
