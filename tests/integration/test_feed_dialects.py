"""A live Feed of each exchange that speaks a protocol of its own, as a process, through its real client."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from exchange import Exchange, Market, Tick, recorded
from exchange.bitfinex import Bitfinex
from exchange.coinbase import Coinbase
from exchange.cryptocompare import VENUE, CryptoCompare
from exchange.server import Dialect
from pods.feed import Pod, read_topic
from pods.services import Services
from tapedeck.market import Bar, Ticker, Trade
from tapedeck_crds.base import format_ms
from tapedeck_crds.live import Endpoints
from tapedeck_feed.cryptocompare import exchange as adapters
from tapedeck_feed.live.adapter import BadInput, Broken, Stream
from tapedeck_operator.local import processes

MINUTE = 60_000
VALUES = ("open", "high", "low", "close", "volume")
pytestmark = pytest.mark.slow


def market() -> Market:
    """650 trades of the last ten minutes, all of them over, at recorded prices."""
    end = int(time.time() * 1000) // MINUTE * MINUTE - 2 * MINUTE
    some = recorded()[0].ticks[::15]
    start = end - (some[-1].ts - some[0].ts) // MINUTE * MINUTE - MINUTE
    shift = start - some[0].ts
    ticks = [Tick(5000 + n, t.ts + shift, t.price, t.amount, t.buyer_maker) for n, t in enumerate(some)]
    return Market(f"T{uuid.uuid4().hex[:6]}".upper(), "USD", ticks)


def candles(own: Market) -> dict[int, tuple[float, ...]]:
    """The minutes of all its trades: open, high, low, close, volume."""
    whole = Market(own.base, own.quote, own.ticks, happened=len(own.ticks))
    return {ts: tuple(map(float, row)) for ts, *row in whole.candles(60, 0, 10**15, 10**6)}


def wait(pod: Pod, ready: Any) -> None:
    def look() -> bool:
        assert pod.process is not None and pod.process.poll() is None, pod.said()
        with contextlib.suppress(OSError):
            return bool(ready())
        return False

    assert processes.wait_until(look, timeout=60, poll=0.1), f"{pod.status()}\n{pod.said()}"


@pytest.mark.parametrize(
    ("name", "dialect", "suffix", "missed"),
    [  # cryptocompare keeps no trades, but begins each connection with the last 20
        ("coinbase", Coinbase(), "", 150), ("bitfinex", Bitfinex(), "", 150),
        ("cryptocompare", CryptoCompare(), f":{VENUE}", 15),
    ],
    ids=["coinbase", "bitfinex", "cryptocompare"],
)  # fmt: skip
def test_trades_bars_and_ticker_through_whatever_it_does(
    services: Services, tmp_path: Path, name: str, dialect: Dialect, suffix: str, missed: int
) -> None:
    """Repeats, disorder, a price that is none, junk, refusals, an empty page, a disconnect, a clock that is ahead."""
    own = market()
    symbol, total = own.symbol + suffix, len(own.ticks)
    with Exchange(dialect, [own]) as exchange:
        spec = {
            "exchange": name, "symbols": [symbol], "channels": ["trades", "bars", "ticker"],
            "endpoints": {"rest": exchange.rest, "websocket": exchange.websocket},
        }  # fmt: skip
        keys = {"apiKey": exchange.key} if name == "cryptocompare" else None
        pod = Pod(services.broker.bootstrap, tmp_path, tmp_path, spec, keys)
        pod.start()
        try:
            wait(pod, lambda: sum(len(client.channels) for client in exchange.clients) == 2)
            exchange.play(200)
            wait(pod, lambda: pod.status()["trades"] == 200)
            exchange.repeat(own, own.ticks[199:194:-1])
            exchange.send("{no json", '["x"]', {"e": "unheardOf"}, [], 17)
            exchange.faulty_path = "/api/v3/brokerage/market/products/" if name == "coinbase" else "/v2/trades"
            exchange.rest_faults.extend([(429, {"Retry-After": "1"}, "{}"), (500, {}, "oops"), (200, {}, "[]")])
            own.happened += 1
            exchange.spoil(own, own.ticks[200])
            own.happened += 1
            exchange.repeat(own, [own.ticks[201]])
            exchange.drop()
            own.happened += missed  # nobody is told
            exchange.subscribed(channels=2)
            exchange.play()
            exchange.refresh()
            wait(pod, lambda: pod.status()["trades"] == total and pod.status()["tickers"] >= 1)
            exchange.clock_offset = 70_000
            exchange.drop()
            wait(pod, lambda: pod.status()["bars"] >= len(candles(own)))
        finally:
            code = pod.stop()
        report = pod.last()
        assert (code, report["missing"]) == (0, 0), pod.said()
        assert report["errors"] >= 2
        assert report["duplicates"] >= 5
        assert not exchange.rest_faults or name == "cryptocompare"
        bootstrap = services.broker.bootstrap
        trades = [v for _, v, _ in read_topic(bootstrap, "market.trades", name) if v["symbol"] == symbol]
        assert [(int(v["id"]), v["ts"], v["price"], v["amount"], v["side"]) for v in trades] == [
            (t.id, t.ts, float(t.price), float(t.amount), "sell" if t.buyer_maker else "buy") for t in own.ticks
        ]
        bars = [v for _, v, _ in read_topic(bootstrap, "market.bars", name) if v["symbol"] == symbol and v["closed"]]
        newest = {v["ts"]: v for v in sorted(bars, key=lambda v: v["rev"])}
        wanted = candles(own)
        assert newest.keys() == wanted.keys()
        for ts, row in wanted.items():
            assert tuple(newest[ts][n] for n in VALUES) == pytest.approx(row, rel=1e-9)
        told = [v for _, v, _ in read_topic(bootstrap, "market.tickers", name) if v["symbol"] == symbol][-1]
        prices = [float(t.price) for t in own.ticks]
        assert told["price"] == prices[-1]
        assert (told["bid"], told["high24h"], told["volume24h"]) == (min(prices), max(prices), 1234.5)


def test_the_index_live_and_its_past(services: Services, store: str, tmp_path: Path) -> None:
    """CryptoCompare's own bars and the changes of its ticker; then its history, by pages that are cut short."""
    own = market()
    wanted = candles(own)
    first, end = min(wanted), max(wanted) + MINUTE
    with Exchange(CryptoCompare(), [own]) as exchange:
        spec: dict[str, Any] = {
            "exchange": "cryptocompare", "symbols": [own.symbol], "channels": ["bars", "ticker"],
            "endpoints": {"rest": exchange.rest, "websocket": exchange.websocket},
        }  # fmt: skip
        pod = Pod(services.broker.bootstrap, tmp_path, tmp_path, spec, {"apiKey": exchange.key})
        pod.start()
        try:
            wait(pod, lambda: sum(len(client.channels) for client in exchange.clients) == 2)
            exchange.play(100)
            exchange.refresh()
            wait(pod, lambda: pod.status()["tickers"] == 1)
            own.happened, exchange.clock_offset = len(own.ticks), 70_000
            exchange.drop()
            wait(pod, lambda: pod.status()["bars"] >= len(wanted) - 1)  # they are asked for
            exchange.refresh()
            wait(pod, lambda: pod.status()["tickers"] == 2)
        finally:
            pod.stop()

        def bars(header: str) -> dict[int, tuple[float, ...]]:
            rows = read_topic(services.broker.bootstrap, "market.bars", "cryptocompare")
            mine = [v for _, v, h in rows if v["symbol"] == own.symbol and v["closed"] and h == header]
            return {v["ts"]: tuple(v[n] for n in VALUES) for v in sorted(mine, key=lambda v: v["rev"])}

        live = bars("td=1;live")
        assert live == {ts: pytest.approx(row) for ts, row in wanted.items() if ts >= min(live)}
        assert len(live) >= len(wanted) - 1
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
        worker = Pod(
            services.broker.bootstrap, tmp_path / "past", tmp_path, spec, {"apiKey": exchange.key},
            store=store, until=int(time.time() * 1000),
        )  # fmt: skip
        code, report = worker.run()
        assert (code, report["backfill"]["rows"], report["backfill"]["missing"]) == (0, len(wanted), 60), worker.said()
        assert report["backfill"]["retries"] >= 4
        assert not exchange.rest_faults
        assert bars("td=1;backfill") == {ts: pytest.approx(row) for ts, row in wanted.items()}


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
def test_bad_input_is_said_at_once(
    services: Services, tmp_path: Path, wrong: dict[str, Any], key: str | None, reason: str, words: list[str]
) -> None:
    with Exchange(CryptoCompare(), [Market("BTC", "USD", recorded()[0].ticks[:1])]) as exchange:
        spec = {
            "exchange": "cryptocompare", "symbols": ["BTC/USD"], "channels": ["bars"],
            "endpoints": {"rest": exchange.rest, "websocket": exchange.websocket}, **wrong,
        }  # fmt: skip
        pod = Pod(services.broker.bootstrap, tmp_path, tmp_path, spec, {"apiKey": key} if key else None)
        code, report = pod.run()
    assert (code, report["reason"]) == (64, reason)
    assert all(word in report["message"] for word in words), report["message"]
    assert "another" not in report["message"] + pod.said(), "keys are in no log"


class Heard:
    """Keeps what an adapter hands on."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.refused: list[tuple[str, str | None, str]] = []

    def trade(self, trade: Trade) -> None:
        self.trades.append(trade)

    def bar(self, bar: Bar) -> None:
        raise AssertionError("nobody asked for bars")

    def ticker(self, ticker: Ticker) -> None:
        raise AssertionError("nobody asked for tickers")

    def refuse(self, symbol: str, kind: str | None, reason: str, payload: str) -> None:
        self.refused.append((symbol, kind, reason))

    def heard(self, stream: Stream) -> None:
        pass


def test_a_websocket_without_even_a_heartbeat_is_dead() -> None:
    own = market()
    symbol = f"{own.symbol}:{VENUE}"
    own.happened = 30
    heard = Heard()
    with Exchange(CryptoCompare(), [own]) as exchange:
        endpoints = Endpoints(rest=exchange.rest, websocket=exchange.websocket)

        async def listen() -> None:
            adapter = adapters.CryptoCompare({"apiKey": exchange.key}, endpoints, patience=0.5)
            try:
                markets = await adapter.open([symbol])
                assert markets.symbols == (symbol,)
                with pytest.raises(Broken, match=r"nothing came for .* not even a heartbeat"):
                    await adapter.watch(Stream("trades", (symbol,)), heard)
                with pytest.raises(BadInput, match="0~CCCAGG"):
                    await adapter.watch(Stream("trades", (own.symbol,)), heard)
                skew = await adapter.clock()
                assert skew is not None and abs(skew - exchange.now) < 10_000
            finally:
                await adapter.close()

        asyncio.run(listen())
    assert [int(trade.id) for trade in heard.trades] == [tick.id for tick in own.ticks[10:30]]
    assert heard.refused == []
