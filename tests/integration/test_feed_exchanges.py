"""A live Feed as a process for each exchange with a protocol of its own, through its real client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endpoints import LOOPBACK
from exchange import Exchange, Market, Tick, recent_market, recorded
from exchange.bitfinex import Bitfinex
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.server import Dialect
from pods.feed import FeedPod
from pods.live import published_bars
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_crds.base import format_ms
from tapedeck_crds.exchange import Endpoints
from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_feed.exchanges.adapter import ExchangeStream
from tapedeck_feed.exchanges.cryptocompare import exchange as adapters
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, InvalidFeedInput, SubscriptionLost
from tapedeck_feed.exchanges.registry import create_adapter

MINUTE = 60_000
END = 1_735_689_600_000  # 2025
VALUES = ("open", "high", "low", "close", "volume")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "missed"),
    [  # cryptocompare serves no past trades, but begins each connection with the last 20
        ("coinbase", Coinbase(), "", 150), ("bitfinex", Bitfinex(), "", 150),
        ("cryptocompare", CryptoCompare(), f":{VENUE}", 15),
    ],
    ids=["coinbase", "bitfinex", "cryptocompare"],
)  # fmt: skip
def test_trades_bars_and_ticker_through_any_fault(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, missed: int
) -> None:
    """Repeats, disorder, an invalid price, junk, error responses, an empty page, a disconnect, a clock ahead."""
    own = recent_market()
    symbol, total = own.symbol + suffix, len(own.ticks)
    with Exchange(dialect, [own]) as exchange:
        spec = {
            "exchange": name, "symbols": [symbol], "channels": ["trades", "bars", "ticker"],
            "endpoints": {"rest": exchange.rest, "websocket": exchange.websocket},
        }  # fmt: skip
        keys = {"apiKey": exchange.key} if name == "cryptocompare" else None
        pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, spec, keys)
        pod.start()
        try:
            pod.wait_for(lambda: sum(len(client.channels) for client in list(exchange.clients)) == 2)
            exchange.play(200)
            pod.wait_for(lambda: pod.status()["trades"] == 200)
            exchange.repeat(own, own.ticks[199:194:-1])
            exchange.send("{no json", '["x"]', {"e": "unheardOf"}, [], 17)
            exchange.faulty_path = "/api/v3/brokerage/market/products/" if name == "coinbase" else "/v2/trades"
            exchange.rest_faults.extend([(429, {"Retry-After": "1"}, "{}"), (500, {}, "oops"), (200, {}, "[]")])
            own.happened += 1
            exchange.spoil(own, own.ticks[200])
            pod.wait_for(lambda: pod.status()["errors"] >= 2)  # a reset connection discards what was not read
            own.happened += 1
            exchange.repeat(own, [own.ticks[201]])
            own.happened += missed  # without messages
            exchange.drop()
            exchange.subscribed(channels=2)
            exchange.play()
            exchange.refresh()
            pod.wait_for(lambda: pod.status()["trades"] == total and pod.status()["tickers"] >= 1)
            exchange.clock_offset, before = 70_000, time.time() * 1000
            exchange.drop()
            # A count of bars has corrected ones, too, and may be reached before the clock is measured again.
            pod.wait_for(lambda: published_bars(services, name, symbol).keys() == own.minutes().keys())
            pod.wait_for(lambda: name == "bitfinex" or skew_bound(exchange) <= pod.status()["clock_skew_ms"])
        finally:
            code = pod.stop()
        report, after = pod.last_report(), time.time() * 1000
        if name == "bitfinex":
            assert report["clock_skew_ms"] is None, "it does not publish its clock"
        else:
            assert exchange.now - after - 1000 <= report["clock_skew_ms"] <= exchange.now - before + 1000
        assert (code, report["missing"]) == (0, 0), pod.log_tail()
        assert report["duplicates"] >= 5
        assert not exchange.rest_faults or name == "cryptocompare"
        bootstrap = services.broker.bootstrap
        trades = [v for _, v, _ in read_topic(bootstrap, "market.trades", name) if v["symbol"] == symbol]
        found = [(int(v["id"]), v["ts"], v["price"], v["amount"], v["side"]) for v in trades]
        if name == "cryptocompare":  # the spoilt trade comes with the next connection, after what was read before it
            found.sort()
        assert found == [
            (t.id, t.ts, float(t.price), float(t.amount), "sell" if t.buyer_maker else "buy") for t in own.ticks
        ]
        bars = [v for _, v, _ in read_topic(bootstrap, "market.bars", name) if v["symbol"] == symbol and v["closed"]]
        newest = {v["ts"]: v for v in sorted(bars, key=lambda v: v["rev"])}
        expected = own.minutes()
        assert newest.keys() == expected.keys()
        for ts, row in expected.items():
            assert tuple(newest[ts][n] for n in VALUES) == pytest.approx(row, rel=1e-9)
        ticker = [v for _, v, _ in read_topic(bootstrap, "market.tickers", name) if v["symbol"] == symbol][-1]
        prices = [float(t.price) for t in own.ticks]
        assert ticker["price"] == prices[-1]
        assert (ticker["bid"], ticker["high24h"], ticker["volume24h"]) == (min(prices), max(prices), 1234.5)


def skew_bound(exchange: Exchange) -> float:
    """The least that a clock of the exchange is ahead, ms, if it is measured as it is now, a moment ago or later."""
    return exchange.now - time.time() * 1000 - 1000


def test_the_index_live_and_backfilled(services: Services, store: str, tmp_path: Path) -> None:
    """CryptoCompare's own bars and its incremental ticker; then its history, by short pages."""
    own = recent_market()
    expected = own.minutes()
    first, end = min(expected), max(expected) + MINUTE
    with Exchange(CryptoCompare(), [own]) as exchange:
        spec: dict[str, Any] = {
            "exchange": "cryptocompare", "symbols": [own.symbol], "channels": ["bars", "ticker"],
            "endpoints": {"rest": exchange.rest, "websocket": exchange.websocket},
        }  # fmt: skip
        pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, spec, {"apiKey": exchange.key})
        pod.start()
        try:
            pod.wait_for(lambda: sum(len(client.channels) for client in list(exchange.clients)) == 2)
            exchange.play(100)
            exchange.refresh()
            pod.wait_for(lambda: pod.status()["tickers"] == 1)
            own.happened, exchange.clock_offset = len(own.ticks), 70_000
            exchange.drop()
            pod.wait_for(lambda: pod.status()["bars"] >= len(expected) - 1)  # they are requested
            exchange.subscribed(channels=2)
            exchange.refresh()
            pod.wait_for(lambda: pod.status()["tickers"] == 2)
        finally:
            pod.stop()
        tickers = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.tickers", "cryptocompare")]
        (first_ticker, last_ticker) = [v for v in tickers if v["symbol"] == own.symbol]
        for ticker, ticks in ((first_ticker, own.ticks[:100]), (last_ticker, own.ticks)):
            prices = [float(tick.price) for tick in ticks]
            assert ticker == {
                "exchange": "cryptocompare", "symbol": own.symbol, "ts": ticks[-1].ts // 1000 * 1000,
                "price": prices[-1], "volume24h": 1234.5, "high24h": max(prices), "low24h": min(prices),
                "bid": min(prices), "ask": max(prices),
            }  # fmt: skip

        def bars(header: str) -> dict[int, tuple[float, ...]]:
            rows = read_topic(services.broker.bootstrap, "market.bars", "cryptocompare")
            mine = [v for _, v, h in rows if v["symbol"] == own.symbol and v["closed"] and h == header]
            return {v["ts"]: tuple(v[n] for n in VALUES) for v in sorted(mine, key=lambda v: v["rev"])}

        live = bars("td=1;live")
        assert live == {ts: pytest.approx(row) for ts, row in expected.items() if ts >= min(live)}
        assert len(live) >= len(expected) - 1
        exchange.page_max = 3
        exchange.faulty_path = "/data/v2/histo"
        limited = '{"Response": "Error", "Message": "You are over your rate limit", "Type": 99, "Data": {}}'
        exchange.rest_faults.extend(
            [
                (200, {"Retry-After": "1"}, limited), (418, {"Retry-After": "1"}, "{}"), (503, {}, "oops"),
                (200, {}, '{"Response": "Success", "Data": {"Data": []}}'),
                (200, {}, '{"Response": "Success", "Data": {"Data": [{"time": "noon"}, 7]}}'),
            ]
        )  # fmt: skip
        past = {"from": format_ms(first - 60 * MINUTE), "to": format_ms(end), "only": True}
        spec |= {"backfill": past}
        worker = FeedPod(
            services.broker.bootstrap, tmp_path / "past", tmp_path, spec, {"apiKey": exchange.key},
            store=store, until=int(time.time() * 1000),
        )  # fmt: skip
        code, report = worker.run()
        assert (code, report["backfill"]["rows"], report["backfill"]["missing"]) == (0, len(expected), 60), (
            worker.log_tail()
        )
        assert report["backfill"]["retries"] >= 4
        assert not exchange.rest_faults
        assert bars("td=1;backfill") == {ts: pytest.approx(row) for ts, row in expected.items()}


@pytest.mark.parametrize(
    ("wrong", "key", "reason", "words"),
    [
        ({}, "another", "WrongKey", ["apiKeySecret", "API key required"]),
        ({}, None, "WrongKey", ["apiKeySecret"]),
        ({"symbols": ["BTC/USX"]}, "the-key", "UnknownSymbol", ["'BTC/USX'", "near matches: BTC/USD"]),
        ({"channels": ["trades"]}, "the-key", "UnsupportedChannel", ["got trades", "BTC/USD:Coinbase", "bars, ticker"]),
        ({"exchange": "cryptocompar"}, "the-key", "UnknownExchange", ["'cryptocompar'", "near matches: cryptocompare"]),
    ],
)
def test_invalid_input_fails_the_pod_at_once(
    services: Services, tmp_path: Path, wrong: dict[str, Any], key: str | None, reason: str, words: list[str]
) -> None:
    with Exchange(CryptoCompare(), [Market("BTC", "USD", recorded()[0].ticks[:1])]) as exchange:
        spec = {
            "exchange": "cryptocompare", "symbols": ["BTC/USD"], "channels": ["bars"],
            "endpoints": {"rest": exchange.rest, "websocket": exchange.websocket}, **wrong,
        }  # fmt: skip
        pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, spec, {"apiKey": key} if key else None)
        code, report = pod.run()
    assert (code, report["reason"]) == (64, reason)
    assert all(word in report["message"] for word in words), report["message"]
    assert "another" not in report["message"] + pod.log_tail(), "keys are in no log"


def test_cryptocompares_history_by_minutes_hours_and_days() -> None:
    """Three rows a page."""
    prices = recorded()[0].ticks
    start = END - 5 * 86_400_000
    ticks = [Tick(n, start + n * 1_200_000, tick.price, tick.amount, True) for n, tick in enumerate(prices[: 5 * 72])]
    own = Market("BTC", "USD", ticks, happened=len(ticks))

    async def fetch(exchange: Exchange, interval: str, since: int) -> list[Bar]:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)
        adapter = adapters.CryptoCompareAdapter({"apiKey": exchange.key}, endpoints, LOOPBACK)
        try:
            return await adapter.fetch_bars("BTC/USD", interval, since, END)
        finally:
            await adapter.close()

    with Exchange(CryptoCompare(), [own], clock_offset=1_200_000, page_max=3) as exchange:
        for interval, seconds, since in (("1h", 3600, start), ("4h", 14_400, start), ("1d", 86_400, start)):
            bars = asyncio.run(fetch(exchange, interval, since))
            expected = [(ts, *map(float, row)) for ts, *row in own.candles(seconds, since, END - 1, 10**6)]
            assert len(expected) == 5 * 86_400 // seconds
            got = [(bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]
            assert got == [pytest.approx(row) for row in expected]
        paths = {path.rpartition("/")[2]: count for path, count in exchange.requests.items()}
        assert paths == {"histohour": 40 + 10, "histoday": 2}
        minutes = asyncio.run(fetch(exchange, "1m", END - 3_600_000))
        assert [bar.ts for bar in minutes] == list(range(END - 3_600_000, END, MINUTE))


@pytest.mark.parametrize("secret", ["-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----", "nonsense"])
def test_a_key_that_cannot_sign_is_a_wrong_key(secret: str) -> None:
    with Exchange(Coinbase(), [Market("BTC", "USD", recorded()[0].ticks[:1])]) as exchange:

        async def load_markets() -> None:
            endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)
            adapter = create_adapter("coinbase", {"apiKey": "organizations/x", "secret": secret}, endpoints, LOOPBACK)
            try:
                await adapter.load_markets(["BTC/USD"])
            finally:
                await adapter.close()

        with pytest.raises(
            InvalidFeedInput, match="apiKeySecret: no request to coinbase can be signed with it"
        ) as raised:
            asyncio.run(load_markets())
    assert raised.value.reason == "WrongKey"
    assert secret not in str(raised.value)


def test_an_empty_list_of_markets_is_retried_and_no_symbol_is_rejected() -> None:
    with Exchange(Coinbase(), [Market("BTC", "USD", recorded()[0].ticks[:1])]) as exchange:
        exchange.rest_faults.append((200, {}, '{"products": [], "num_products": 0}'))
        exchange.faulty_path = "/api/v3/brokerage/market/products"

        async def load_markets() -> None:
            adapter = create_adapter(
                "coinbase", {}, Endpoints(rest=exchange.rest, websocket=exchange.websocket), LOOPBACK
            )
            try:
                with pytest.raises(ExchangeRequestFailed, match="coinbase: got an empty list of markets"):
                    await adapter.load_markets(["BTC/USD"])
                assert (await adapter.load_markets(["BTC/USD"])).symbols == ("BTC/USD",)
            finally:
                await adapter.close()

        asyncio.run(load_markets())


class RecordingListener:
    """Keeps what an adapter's subscriptions deliver."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.tickers: list[Ticker] = []
        self.active_kinds: set[str] = set()
        self.open_kinds: set[str] = set()
        self.malformed: list[tuple[str, str | None, str]] = []

    def on_trade(self, trade: Trade) -> None:
        self.trades.append(trade)

    def on_bar(self, bar: Bar) -> None:
        pass

    def on_ticker(self, ticker: Ticker) -> None:
        self.tickers.append(ticker)

    def on_malformed(self, symbol: str, kind: str | None, reason: str, payload: str) -> None:
        self.malformed.append((symbol, kind, reason))

    def on_open(self, stream: ExchangeStream) -> None:
        self.open_kinds.add(stream.kind)

    def on_activity(self, stream: ExchangeStream) -> None:
        self.active_kinds.add(stream.kind)


async def until(ready: Callable[[], bool]) -> None:
    deadline = Deadline(60)
    while not ready():
        assert not deadline.passed(), "waited 60 s for what a subscription delivers"
        await asyncio.sleep(0.01)


def test_a_tickers_fields_stay_when_another_stream_begins() -> None:
    """Messages carry only what changed, and streams connect one after another."""
    own = recent_market()
    own.happened = 30
    listener = RecordingListener()
    with Exchange(CryptoCompare(), [own]) as exchange:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)

        async def subscribe() -> None:
            adapter = adapters.CryptoCompareAdapter({"apiKey": exchange.key}, endpoints, LOOPBACK)
            try:
                await adapter.load_markets([own.symbol])
                streams = [ExchangeStream("ticker", (own.symbol,)), ExchangeStream("bars", (own.symbol,), "1m")]
                tasks = []
                for number, stream in enumerate(streams, 1):
                    tasks.append(asyncio.ensure_future(adapter.subscribe(stream, listener)))
                    await until(lambda kind=stream.kind: kind in listener.active_kinds)  # type: ignore[misc]
                    own.happened += 1
                    await asyncio.to_thread(exchange.refresh)
                    await until(lambda least=number: len(listener.tickers) >= least)  # type: ignore[misc]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                await adapter.close()

        asyncio.run(subscribe())
    first, second = listener.tickers
    assert (second.price, second.bid, second.volume24h) == (float(own.ticks[31].price), first.bid, 1234.5)


def test_a_websocket_without_heartbeats_is_dead() -> None:
    own = recent_market()
    symbol = f"{own.symbol}:{VENUE}"
    own.happened = 30
    listener = RecordingListener()
    with Exchange(CryptoCompare(), [own]) as exchange:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)

        async def subscribe() -> None:
            adapter = adapters.CryptoCompareAdapter({"apiKey": exchange.key}, endpoints, LOOPBACK, receive_timeout=3.0)
            try:
                markets = await adapter.load_markets([symbol])
                assert markets.symbols == (symbol,)
                with pytest.raises(SubscriptionLost, match=r"no message for .* not even a heartbeat"):
                    await adapter.subscribe(ExchangeStream("trades", (symbol,)), listener)
                with pytest.raises(InvalidFeedInput, match="0~CCCAGG"):
                    await adapter.subscribe(ExchangeStream("trades", (own.symbol,)), listener)
                skew = await adapter.fetch_time()
                assert skew is not None and abs(skew - exchange.now) < 10_000
            finally:
                await adapter.close()

        asyncio.run(subscribe())
    assert [int(trade.id) for trade in listener.trades] == [tick.id for tick in own.ticks[10:30]]
    assert listener.malformed == []


def test_a_delisted_pair_does_not_block_another() -> None:
    markets = [recent_market(), recent_market()]
    for market in markets:
        market.happened = 30
    kept, gone = markets
    listener = RecordingListener()
    with Exchange(CryptoCompare(), markets) as exchange:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)

        async def subscribe() -> None:
            adapter = adapters.CryptoCompareAdapter({"apiKey": exchange.key}, endpoints, LOOPBACK)
            stream = ExchangeStream("ticker", (gone.symbol, kept.symbol))
            try:
                subscribing = asyncio.ensure_future(adapter.subscribe(stream, listener))
                await until(lambda: "ticker" in listener.active_kinds)
                exchange.markets.remove(gone)
                await asyncio.to_thread(exchange.drop)
                with pytest.raises(SubscriptionLost):
                    await subscribing
                listener.active_kinds.clear()
                subscribing = asyncio.ensure_future(adapter.subscribe(stream, listener))
                await until(lambda: "ticker" in listener.active_kinds)
                await asyncio.to_thread(exchange.refresh)
                await until(lambda: bool(listener.tickers))
                assert not subscribing.done()
                subscribing.cancel()
                await asyncio.gather(subscribing, return_exceptions=True)
            finally:
                await adapter.close()

        asyncio.run(subscribe())
    assert [ticker.symbol for ticker in listener.tickers] == [kept.symbol]
