"""What a live Feed missed, of each exchange as that lets it be asked: seeded disconnects, silence, and what is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from exchange import Exchange, Market, Tick, lately
from exchange.binance import Binance
from exchange.bitfinex import Bitfinex
from exchange.candles import MINUTE, CandleMarket, candle
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.server import Dialect
from pods.feed import Pod, read_topic
from pods.services import Services
from tapedeck.market import Side, Trade
from tapedeck.settings import Connections
from tapedeck_crds.live import Endpoints
from tapedeck_feed.live import ccxt_past
from tapedeck_feed.live.clock import ExchangeClock
from tapedeck_feed.live.exchanges import adapter_of
from tapedeck_feed.live.history import Tail
from tapedeck_feed.live.market import resumed
from tapedeck_feed.live.mend import Mender
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.outlet import Outlet
from tapedeck_feed.live.tally import LiveTally
from tapedeck_feed.publish import Publisher

VALUES = ("open", "high", "low", "close", "volume")
END = 1_735_689_600_000  # 2025
pytestmark = pytest.mark.slow


def pod_of(services: Services, folder: Path, exchange: Exchange, name: str, symbol: str, **more: Any) -> Pod:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    spec = {"exchange": name, "symbols": [symbol], "endpoints": endpoints, **more}
    keys = {"apiKey": exchange.key} if name == "cryptocompare" else None
    return Pod(services.broker.bootstrap, folder, folder, spec, keys)


def trades(services: Services, name: str, symbol: str) -> list[tuple[int, float, float]]:
    rows = read_topic(services.broker.bootstrap, "market.trades", name)
    return [(int(v["id"]), v["price"], v["amount"]) for _, v, _ in rows if v["symbol"] == symbol]


def bars(services: Services, name: str, symbol: str) -> dict[int, tuple[float, ...]]:
    """The last word on each closed bar; each is said with the revision that follows."""
    rows = read_topic(services.broker.bootstrap, "market.bars", name)
    newest: dict[int, dict[str, Any]] = {}
    for _, v, _ in rows:
        if v["symbol"] == symbol and v["closed"]:
            assert v["rev"] == (newest[v["ts"]]["rev"] + 1 if v["ts"] in newest else 0), v
            newest[v["ts"]] = v
    return {ts: tuple(v[name] for name in VALUES) for ts, v in newest.items()}


def happened(own: Market) -> list[tuple[int, float, float]]:
    return [(tick.id, float(tick.price), float(tick.amount)) for tick in own.ticks]


@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "missed"),
    [  # cryptocompare keeps no trades, but begins each connection with the last 20
        ("coinbase", Coinbase(), "", 150), ("bitfinex", Bitfinex(), "", 150),
        ("cryptocompare", CryptoCompare(), f":{VENUE}", 19),
    ],
    ids=["coinbase", "bitfinex", "cryptocompare"],
)  # fmt: skip
def test_every_trade_once_through_disconnects(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, missed: int
) -> None:
    own = lately()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, name, symbol)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play_with_drops(10, seed=7, missed=missed)
            pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
            exchange.clock_offset = 70_000
            exchange.drop()
            pod.wait_for(lambda: bars(services, name, symbol).keys() == own.minutes().keys())
        finally:
            pod.stop()
    assert exchange.drops >= 11
    report = pod.last()
    assert (report["missing"], report["errors"]) == (0, 0), pod.said()
    assert report["reconnects"] >= 8
    assert trades(services, name, symbol) == happened(own)
    assert bars(services, name, symbol) == {ts: pytest.approx(row) for ts, row in own.minutes().items()}


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


@pytest.mark.parametrize(
    ("name", "dialect", "suffix"),
    [("binance", Binance(), ""), ("coinbase", Coinbase(), ""), ("cryptocompare", CryptoCompare(), f":{VENUE}")],
    ids=["binance", "coinbase", "cryptocompare"],
)
def test_a_refused_connection_is_made_again_when_the_exchange_says(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str
) -> None:
    own = lately()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, name, symbol)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            pod.wait_for(lambda: pod.status()["trades"] == 200)
            dialled = len(exchange.dialled_at)
            exchange.websocket_faults.extend([(429, {"Retry-After": "2"}), (418, {"Retry-After": "3"})])
            exchange.drop()
            own.happened += 15  # nobody is told
            exchange.subscribed()
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
        finally:
            pod.stop()
    first, second, third = exchange.dialled_at[dialled : dialled + 3]
    assert (second - first >= 1.95, third - second >= 2.95) == (True, True), exchange.dialled_at
    assert trades(services, name, symbol) == happened(own)


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
            return lambda: exchange.send(*beats) or ready()

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


@pytest.mark.parametrize("fill", ["none", "previous"])
@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "first"),  # the first of 401 trades that it still tells
    [("binance", Binance(), "", 401 - 50), ("cryptocompare", CryptoCompare(), f":{VENUE}", 400 - 20)],
    ids=["binance", "cryptocompare"],
)
def test_bars_of_trades_that_are_not_to_be_had_are_the_exchanges(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, first: int, fill: str
) -> None:
    """Without a key Binance gives the last page alone, CryptoCompare what it repeats; minutes pass meanwhile."""
    own = lately()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own], page_max=50) as exchange:
        pod = pod_of(services, tmp_path, exchange, name, symbol, fill=fill)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            pod.wait_for(lambda: pod.status()["trades"] == 200)
            exchange.drop()
            own.happened = 400  # nobody is told
            exchange.subscribed()
            exchange.play(1)
            pod.wait_for(lambda: pod.status()["trades"] == 200 + 401 - first)
            exchange.play()
            exchange.page_max = 1000
            exchange.clock_offset = 70_000
            exchange.drop()
            wanted = {ts: pytest.approx(row) for ts, row in own.minutes().items()}
            pod.wait_for(lambda: bars(services, name, symbol) == wanted)
        finally:
            pod.stop()
    assert trades(services, name, symbol) == happened(own)[:200] + happened(own)[first:]
    told = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", name) if v["symbol"] == symbol]
    assert any("not to be had" in v.get("reason", "") for v in told), told


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("binance", Binance()), ("coinbase", Coinbase()), ("bitfinex", Bitfinex())],
    ids=["binance", "coinbase", "bitfinex"],
)
def test_bars_behind_a_hole_that_is_longer_than_a_page(name: str, dialect: Dialect) -> None:
    """Some exchanges answer with what comes next, others with what lies within a page's time: nothing."""
    start = END - 6000 * MINUTE
    hole = (start + 100 * MINUTE, start + 4000 * MINUTE)
    own = CandleMarket("BTC", "USD", [], first=start, holes=[hole])
    with Exchange(dialect, [own], clock_offset=END) as exchange:

        async def asked() -> dict[int, tuple[float, ...]]:
            adapter = adapter_of(name, {}, Endpoints(rest=exchange.rest, websocket=exchange.websocket))
            try:
                await adapter.open([own.symbol])
                found = await adapter.bars_from(own.symbol, "1m", start, END)
            finally:
                await adapter.close()
            return {bar.ts: (bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in found}

        told = asyncio.run(asked())
    opens = [ts for ts in range(start, END, MINUTE) if not hole[0] <= ts < hole[1]]
    assert told == {ts: tuple(map(float, candle(ts)[1:])) for ts in opens}


@pytest.mark.parametrize(
    ("name", "dialect", "keys"),
    [("binance", Binance(), {"apiKey": "the-key"}), ("bitfinex", Bitfinex(), {})],
    ids=["binance", "bitfinex"],
)
def test_a_hole_of_more_trades_than_are_asked_for_at_once(
    services: Services, monkeypatch: pytest.MonkeyPatch, name: str, dialect: Dialect, keys: dict[str, str]
) -> None:
    """Two pages of ten an answer, and a hundred trades between what is known and what waits."""
    monkeypatch.setattr(ccxt_past, "PAGES_MAX", 2)
    own = lately()
    own.happened = 160
    known, missed, waiting = own.ticks[:20], own.ticks[20:150], own.ticks[150:160]
    got: list[Trade] = []

    async def mended(exchange: Exchange) -> None:
        adapter = adapter_of(name, keys, Endpoints(rest=exchange.rest, websocket=exchange.websocket))
        try:
            markets = await adapter.open([own.symbol])
            tally = LiveTally()
            publisher = Publisher(Connections(kafka_bootstrap=services.broker.bootstrap), "holes", Event())
            mender = Mender(
                adapter, LiveOptions(("trades",), (), (), "none", 0), ExchangeClock(adapter, tally),
                Outlet("holes", name, publisher, tally), tally, lambda _, trade: got.append(trade),
                asyncio.Semaphore(),
            )  # fmt: skip
            tail = Tail([as_trade(name, own, tick) for tick in known])
            state = resumed(name, own.symbol, [], "none", tail, contiguous=markets.contiguous)
            for tick in waiting:
                assert state.line.take(as_trade(name, own, tick)) == []
            await mender.mend(state, 0.0)
            assert (state.line.missing, tally.errors, tally.mended) == (0, 0, len(got))
            publisher.drain()
        finally:
            await adapter.close()

    with Exchange(dialect, [own], page_max=10) as exchange:
        asyncio.run(mended(exchange))
    assert [int(trade.id) for trade in got] == [tick.id for tick in (*missed, *waiting)]


def as_trade(name: str, own: Market, tick: Tick) -> Trade:
    side: Side = "sell" if tick.buyer_maker else "buy"
    return Trade(name, own.symbol, tick.ts, str(tick.id), float(tick.price), float(tick.amount), side)


@pytest.mark.parametrize(("name", "dialect"), [("binance", Binance()), ("coinbase", Coinbase())])
@pytest.mark.parametrize("told", [0, 200])
def test_an_id_that_nothing_confirms_is_not_followed(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, told: int
) -> None:
    """A trade far beyond its turn, as the first of all or among others; both keep coming, or not for a while."""
    own = lately()
    begun = own.ticks[max(told - 1, 0)]
    wild = replace(begun, id=10**15, ts=begun.ts - 1)

    def doubted() -> list[str]:
        told = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", name)]
        said = [v["reason"] for v in told if v["type"] == "error" and v["symbol"] == own.symbol]
        return [reason.partition(",")[0] for reason in said if "confirms" in reason]

    with Exchange(dialect, [own]) as exchange:
        pod = pod_of(services, tmp_path, exchange, name, own.symbol)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(told)
            pod.wait_for(lambda: pod.status()["trades"] == told)
            exchange.repeat(own, [wild])
            exchange.play(300, chunk=5, rate=100)
            pod.wait_for(lambda: pod.status()["trades"] >= told + 300)
            exchange.repeat(own, [replace(wild, id=10**16)])
            pod.wait_for(lambda: doubted() == [f"id: got {10**15}", f"id: got {10**16}"])
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] >= len(own.ticks))
            closed = own.minutes().keys() - {max(own.minutes())}
            pod.wait_for(lambda: closed <= bars(services, name, own.symbol).keys())
        finally:
            pod.stop()
    assert pod.last()["missing"] == 0
    assert [trade for trade in trades(services, name, own.symbol) if trade[0] != wild.id] == happened(own)
