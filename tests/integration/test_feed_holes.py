"""What a live Feed missed, of each exchange as that lets it be asked: seeded disconnects, and what is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from exchange import Exchange, Market, Tick, lately
from exchange.binance import Binance
from exchange.bitfinex import Bitfinex
from exchange.candles import MINUTE, CandleMarket, candle
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.market import numbers
from exchange.server import Dialect
from pods.live import bars, happened, mender_of, outlet_of, pod_of, trades
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Bar, Side, Trade
from tapedeck_crds.live import Endpoints
from tapedeck_feed.exchanges.ccxt import history
from tapedeck_feed.exchanges.registry import adapter_of
from tapedeck_feed.live import bar_recovery
from tapedeck_feed.live.resume import Tail
from tapedeck_feed.live.symbol_state import resumed

END = 1_735_689_600_000  # 2025
pytestmark = pytest.mark.slow


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
    assert told == {ts: numbers(candle(ts)) for ts in opens}


@pytest.mark.parametrize(
    ("name", "dialect", "keys"),
    [("binance", Binance(), {"apiKey": "the-key"}), ("bitfinex", Bitfinex(), {})],
    ids=["binance", "bitfinex"],
)
def test_a_hole_of_more_trades_than_are_asked_for_at_once(
    services: Services, monkeypatch: pytest.MonkeyPatch, name: str, dialect: Dialect, keys: dict[str, str]
) -> None:
    """Two pages of ten an answer, and a hundred trades between what is known and what waits."""
    monkeypatch.setattr(history, "PAGES_MAX", 2)
    own = lately()
    own.happened = 160
    known, missed, waiting = own.ticks[:20], own.ticks[20:150], own.ticks[150:160]
    got: list[Trade] = []

    async def mended(exchange: Exchange) -> None:
        adapter = adapter_of(name, keys, Endpoints(rest=exchange.rest, websocket=exchange.websocket))
        try:
            markets = await adapter.open([own.symbol])
            mender, tally = mender_of(services, adapter, ("trades",), got.append)
            tail = Tail([as_trade(name, own, tick) for tick in known])
            state = resumed(name, own.symbol, [], "none", tail, contiguous=markets.contiguous)
            for tick in waiting:
                assert state.line.take(as_trade(name, own, tick)) == []
            await mender.mend(state, 0.0)
            assert (state.line.missing, tally.errors, tally.mended) == (0, 0, len(got))
        finally:
            await adapter.close()

    with Exchange(dialect, [own], page_max=10) as exchange:
        asyncio.run(mended(exchange))
    assert [int(trade.id) for trade in got] == [tick.id for tick in (*missed, *waiting)]


def test_many_bars_are_filled_in_order(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are asked for at once, and a stretch without a trade that reaches over them."""
    monkeypatch.setattr(bar_recovery, "ASKED_BARS_MAX", 3)
    known, end = END - 20 * MINUTE, END - 10 * MINUTE
    own = CandleMarket(f"F{uuid.uuid4().hex[:6]}".upper(), "USDT", [], holes=[(END - 17 * MINUTE, END - 12 * MINUTE)])
    outlet, publisher, tally = outlet_of(services, "binance")

    async def asked(exchange: Exchange) -> None:
        adapter = adapter_of("binance", {}, Endpoints(rest=exchange.rest))
        try:
            markets = await adapter.open([own.symbol])
            before = Bar("binance", own.symbol, "1m", known, *numbers(candle(known)))
            tail = Tail([], {"1m": {known: before}})
            state = resumed("binance", own.symbol, ["1m"], "previous", tail, contiguous=True)
            series = state.series["1m"]
            series.doubt(known + MINUTE, end - 1)
            assert series.advance(end) == []
            asker = bar_recovery.Asker(adapter, markets, outlet, asyncio.Semaphore())
            while series.unseen:
                await asker.ask(state, series)
        finally:
            await adapter.close()

    with Exchange(Binance(), [own], clock_offset=END) as exchange:
        asyncio.run(asked(exchange))
    publisher.drain()
    wanted = {ts: tuple(map(float, candle(ts)[1:])) for ts in range(known + MINUTE, end, MINUTE)}
    for ts in range(END - 17 * MINUTE, END - 12 * MINUTE, MINUTE):
        wanted[ts] = (wanted[ts - MINUTE][3],) * 4 + (0.0,)
    assert bars(services, "binance", own.symbol) == wanted
    assert (tally.bars, tally.errors) == (len(wanted), 0), "each is told once"


def test_a_key_that_is_refused_later_is_tried_again_in_a_while(services: Services) -> None:
    """What was missed is told when the key is good again; the exchange is not asked at each turn meanwhile."""
    own = lately()
    own.happened = 160
    got: list[Trade] = []

    async def mended(exchange: Exchange) -> None:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)
        adapter = adapter_of("binance", {"apiKey": exchange.key}, endpoints)
        try:
            markets = await adapter.open([own.symbol])
            mender, _ = mender_of(services, adapter, ("trades",), got.append)
            tail = Tail([as_trade("binance", own, tick) for tick in own.ticks[:20]])
            state = resumed("binance", own.symbol, [], "none", tail, contiguous=markets.contiguous)
            key, exchange.key = exchange.key, "another"
            await mender.mend(state, 0.0)
            assert (got, state.suspect, state.retry_at > time.monotonic() + 5) == ([], True, True)
            exchange.key = key
            await mender.mend(state, 0.0)
            assert not state.suspect
        finally:
            await adapter.close()

    with Exchange(Binance(), [own], page_max=10) as exchange:
        asyncio.run(mended(exchange))
    assert [int(trade.id) for trade in got] == [tick.id for tick in own.ticks[20:160]]


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
