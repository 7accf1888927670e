"""Recovery of gaps by what each exchange offers: seeded disconnects, and trades that are lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from endpoints import LOOPBACK
from exchange import Exchange, Market, Tick, recent_market
from exchange.binance import Binance
from exchange.bitfinex import Bitfinex
from exchange.candles import MINUTE, CandleMarket, candle
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.market import numbers
from exchange.server import Dialect
from pods.live import create_gap_recovery, create_output, create_pod, exchange_trades, published_bars, published_trades
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Bar, Side, Trade
from tapedeck_crds.exchange import Endpoints
from tapedeck_feed.exchanges.ccxt import history
from tapedeck_feed.exchanges.registry import create_adapter
from tapedeck_feed.live import bar_recovery
from tapedeck_feed.live.gap_recovery import UNAVAILABLE
from tapedeck_feed.live.resume import PublishedRecords
from tapedeck_feed.live.symbol_state import Continuity, resume_symbol

END = 1_735_689_600_000  # 2025
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "missed"),
    [  # cryptocompare serves no past trades, but begins each connection with the last 20
        ("coinbase", Coinbase(), "", 150), ("bitfinex", Bitfinex(), "", 150),
        ("cryptocompare", CryptoCompare(), f":{VENUE}", 19),
    ],
    ids=["coinbase", "bitfinex", "cryptocompare"],
)  # fmt: skip
def test_every_trade_once_through_disconnects(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, missed: int
) -> None:
    own = recent_market()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own]) as exchange:
        pod = create_pod(services, tmp_path, exchange, name, symbol)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play_with_drops(10, seed=7, missed=missed)
            pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
            exchange.subscribed()  # the last trades may have been recovered before
            exchange.clock_offset = 70_000
            exchange.drop()
            pod.wait_for(lambda: published_bars(services, name, symbol).keys() == own.minutes().keys())
        finally:
            pod.stop()
    assert exchange.drops >= 11
    report = pod.last_report()
    assert (report["missing"], report["errors"]) == (0, 0), pod.log_tail()
    assert report["reconnects"] >= 8
    assert published_trades(services, name, symbol) == exchange_trades(own)
    assert published_bars(services, name, symbol) == {ts: pytest.approx(row) for ts, row in own.minutes().items()}


@pytest.mark.parametrize(
    ("name", "dialect", "suffix"),
    [("binance", Binance(), ""), ("coinbase", Coinbase(), ""), ("cryptocompare", CryptoCompare(), f":{VENUE}")],
    ids=["binance", "coinbase", "cryptocompare"],
)
def test_a_rejected_connection_is_retried_when_the_exchange_allows(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str
) -> None:
    own = recent_market()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own]) as exchange:
        pod = create_pod(services, tmp_path, exchange, name, symbol)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            pod.wait_for(lambda: pod.status()["trades"] == 200)
            dialled = len(exchange.dialled_at)
            exchange.websocket_faults.extend([(429, {"Retry-After": "2"}), (418, {"Retry-After": "3"})])
            own.happened += 15  # without messages
            exchange.drop()
            exchange.subscribed()
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] == len(own.ticks))
        finally:
            pod.stop()
    first, second, third = exchange.dialled_at[dialled : dialled + 3]
    assert (second - first >= 1.95, third - second >= 2.95) == (True, True), exchange.dialled_at
    assert published_trades(services, name, symbol) == exchange_trades(own)


@pytest.mark.parametrize("fill", ["none", "previous"])
@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "first"),  # the first of 401 trades that it still serves
    [("binance", Binance(), "", 401 - 50), ("cryptocompare", CryptoCompare(), f":{VENUE}", 400 - 20)],
    ids=["binance", "cryptocompare"],
)
def test_bars_of_trades_that_are_no_longer_available_are_the_exchanges(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, first: int, fill: str
) -> None:
    """Without a key Binance serves the last page only, CryptoCompare the trades it repeats; minutes pass meanwhile."""
    own = recent_market()
    symbol = own.symbol + suffix
    with Exchange(dialect, [own], page_max=50) as exchange:
        pod = create_pod(services, tmp_path, exchange, name, symbol, fill=fill)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(200)
            pod.wait_for(lambda: pod.status()["trades"] == 200)
            own.happened = 400  # without messages
            exchange.drop()
            exchange.subscribed()
            exchange.play(1)
            pod.wait_for(lambda: pod.status()["trades"] == 200 + 401 - first)
            exchange.play()
            exchange.page_max = 1000
            exchange.clock_offset = 70_000
            exchange.drop()
            expected = {ts: pytest.approx(row) for ts, row in own.minutes().items()}
            pod.wait_for(lambda: published_bars(services, name, symbol) == expected)
        finally:
            pod.stop()
    assert published_trades(services, name, symbol) == exchange_trades(own)[:200] + exchange_trades(own)[first:]
    records = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", name) if v["symbol"] == symbol]
    reasons = [v["reason"] for v in records if "are no longer available" in v.get("reason", "")]
    assert reasons, records
    if name == "binance":
        missing = exchange_trades(own)[200:first]
        ids = f"{missing[0][0]}\N{EN DASH}{missing[-1][0]}"
        assert reasons == [f"{len(missing)} trades with the ids {ids} {UNAVAILABLE}"]
        assert [(v["ids"], v["trades"]) for v in records if v.get("interval") == ""] == [(ids, len(missing))]


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("binance", Binance()), ("coinbase", Coinbase()), ("bitfinex", Bitfinex())],
    ids=["binance", "coinbase", "bitfinex"],
)
def test_bars_after_a_gap_that_is_longer_than_a_page(name: str, dialect: Dialect) -> None:
    """Some exchanges return the next bars, others those within a page's time range: none."""
    start = END - 6000 * MINUTE
    gap = (start + 100 * MINUTE, start + 4000 * MINUTE)
    own = CandleMarket("BTC", "USD", [], first=start, gaps=[gap])
    with Exchange(dialect, [own], clock_offset=END) as exchange:

        async def fetch() -> dict[int, tuple[float, ...]]:
            adapter = create_adapter(name, {}, Endpoints(rest=exchange.rest, websocket=exchange.websocket), LOOPBACK)
            try:
                await adapter.load_markets([own.symbol])
                found = await adapter.fetch_bars(own.symbol, "1m", start, END)
            finally:
                await adapter.close()
            return {bar.ts: (bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in found}

        fetched = asyncio.run(fetch())
    opens = [ts for ts in range(start, END, MINUTE) if not gap[0] <= ts < gap[1]]
    assert fetched == {ts: numbers(candle(ts)) for ts in opens}


@pytest.mark.parametrize(
    ("name", "dialect", "keys"),
    [("binance", Binance(), {"apiKey": "the-key"}), ("bitfinex", Bitfinex(), {})],
    ids=["binance", "bitfinex"],
)
def test_a_gap_of_more_trades_than_one_recovery_requests(
    services: Services, monkeypatch: pytest.MonkeyPatch, name: str, dialect: Dialect, keys: dict[str, str]
) -> None:
    """Two pages of ten per request, and 130 trades between the last published and the first pending one."""
    monkeypatch.setattr(history, "PAGES_MAX", 2)
    own = recent_market()
    own.happened = 160
    published, missed, pending = own.ticks[:20], own.ticks[20:150], own.ticks[150:160]
    recovered: list[Trade] = []

    async def recover(exchange: Exchange) -> None:
        adapter = create_adapter(name, keys, Endpoints(rest=exchange.rest, websocket=exchange.websocket), LOOPBACK)
        try:
            markets = await adapter.load_markets([own.symbol])
            gap_recovery, stats = create_gap_recovery(services, adapter, ("trades",), recovered.append)
            published_before = PublishedRecords([as_trade(name, own, tick) for tick in published])
            state = resume_symbol(name, own.symbol, [], "none", published_before, contiguous_ids=markets.contiguous_ids)
            for tick in pending:
                assert state.sequencer.add(as_trade(name, own, tick)) == []
            await gap_recovery.recover(state, 0.0)
            assert (state.sequencer.missing, stats.errors, stats.recovered) == (0, 0, len(recovered))
        finally:
            await adapter.close()

    with Exchange(dialect, [own], page_max=10) as exchange:
        asyncio.run(recover(exchange))
    assert [int(trade.id) for trade in recovered] == [tick.id for tick in (*missed, *pending)]


def test_many_bars_are_recovered_in_order(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one recovery requests, and a stretch without trades that spans several of them."""
    monkeypatch.setattr(bar_recovery, "BARS_MAX", 3)
    first, end = END - 20 * MINUTE, END - 10 * MINUTE
    own = CandleMarket(f"F{uuid.uuid4().hex[:6]}".upper(), "USDT", [], gaps=[(END - 17 * MINUTE, END - 12 * MINUTE)])
    output, publisher, stats = create_output(services, "binance")

    async def recover(exchange: Exchange) -> None:
        adapter = create_adapter("binance", {}, Endpoints(rest=exchange.rest), LOOPBACK)
        try:
            markets = await adapter.load_markets([own.symbol])
            before = Bar("binance", own.symbol, "1m", first, *numbers(candle(first)))
            published_before = PublishedRecords([], {"1m": {first: before}})
            state = resume_symbol("binance", own.symbol, ["1m"], "previous", published_before, contiguous_ids=True)
            series = state.series["1m"]
            series.mark_lost(first + MINUTE, end - 1)
            assert series.close_until(end) == []
            recovery = bar_recovery.BarRecovery(adapter, markets, output, asyncio.Semaphore())
            while series.to_recover:
                await recovery.recover(state, series)
        finally:
            await adapter.close()

    with Exchange(Binance(), [own], clock_offset=END) as exchange:
        asyncio.run(recover(exchange))
    publisher.flush()
    expected = {ts: tuple(map(float, candle(ts)[1:])) for ts in range(first + MINUTE, end, MINUTE)}
    for ts in range(END - 17 * MINUTE, END - 12 * MINUTE, MINUTE):
        expected[ts] = (expected[ts - MINUTE][3],) * 4 + (0.0,)
    assert published_bars(services, "binance", own.symbol) == expected
    assert (stats.bars, stats.errors) == (len(expected), 0), "each is published once"


def test_a_key_that_is_rejected_later_is_retried_after_a_while(services: Services) -> None:
    """Missed trades are published once the key is valid again; meanwhile requests are seconds apart."""
    own = recent_market()
    own.happened = 160
    recovered: list[Trade] = []

    async def recover(exchange: Exchange) -> None:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)
        adapter = create_adapter("binance", {"apiKey": exchange.key}, endpoints, LOOPBACK)
        try:
            markets = await adapter.load_markets([own.symbol])
            gap_recovery, _ = create_gap_recovery(services, adapter, ("trades",), recovered.append)
            published_before = PublishedRecords([as_trade("binance", own, tick) for tick in own.ticks[:20]])
            state = resume_symbol(
                "binance", own.symbol, [], "none", published_before, contiguous_ids=markets.contiguous_ids
            )
            key, exchange.key = exchange.key, "another"
            began = time.monotonic()
            await gap_recovery.recover(state, 0.0)
            assert (recovered, state.needs_recovery, state.retry_at > began + 5) == ([], True, True)
            exchange.key = key
            await gap_recovery.recover(state, 0.0)
            assert state.continuity is Continuity.CONTINUOUS
        finally:
            await adapter.close()

    with Exchange(Binance(), [own], page_max=10) as exchange:
        asyncio.run(recover(exchange))
    assert [int(trade.id) for trade in recovered] == [tick.id for tick in own.ticks[20:160]]


def as_trade(name: str, own: Market, tick: Tick) -> Trade:
    side: Side = "sell" if tick.buyer_maker else "buy"
    return Trade(name, own.symbol, tick.ts, str(tick.id), float(tick.price), float(tick.amount), side)


@pytest.mark.parametrize(("name", "dialect"), [("binance", Binance()), ("coinbase", Coinbase())])
@pytest.mark.parametrize("sent", [0, 200])
def test_an_id_that_nothing_confirms_is_rejected(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, sent: int
) -> None:
    """A trade with an id far above the others, as the first of all or later; trades continue after it."""
    own = recent_market()
    before = own.ticks[max(sent - 1, 0)]
    wrong = replace(before, id=10**15, ts=before.ts - 1)

    def rejected() -> list[str]:
        records = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", name)]
        reasons = [v["reason"] for v in records if v["type"] == "error" and v["symbol"] == own.symbol]
        return [reason.partition(",")[0] for reason in reasons if "confirms" in reason]

    with Exchange(dialect, [own]) as exchange:
        pod = create_pod(services, tmp_path, exchange, name, own.symbol)
        pod.start()
        try:
            exchange.subscribed()
            exchange.play(sent)
            pod.wait_for(lambda: pod.status()["trades"] == sent)
            exchange.repeat(own, [wrong])
            exchange.play(300, chunk=5, rate=100)
            pod.wait_for(lambda: pod.status()["trades"] >= sent + 300)
            exchange.repeat(own, [replace(wrong, id=10**16)])
            pod.wait_for(lambda: rejected() == [f"id: got {10**15}", f"id: got {10**16}"])
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] >= len(own.ticks))
            closed = own.minutes().keys() - {max(own.minutes())}
            pod.wait_for(lambda: closed <= published_bars(services, name, own.symbol).keys())
        finally:
            pod.stop()
    assert pod.last_report()["missing"] == 0
    assert [trade for trade in published_trades(services, name, own.symbol) if trade[0] != wrong.id] == exchange_trades(
        own
    )
