"""A live Feed as a real process, against the local exchange and a real broker, through ccxt's own clients."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import by_hand.samples as by_hand
from exchange import Exchange, Market, recorded
from exchange.binance import Binance, trade_message
from metrics_page.exposed import documented, exposed
from metrics_page.sections import LIVE_FEED
from pods.feed import FeedPod
from pods.recorder import publish
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.wire import market_headers

VALUES = ("open", "high", "low", "close", "volume")
pytestmark = pytest.mark.slow
SECONDS = {"1s": 1, "1m": 60, "5m": 300, "1h": 3600, "1d": 86400}
FILES = {"BTC/USDT": "btcusdt_20240808.jsonl.gz", "ETH/USDT": "ethusdt_20240808.jsonl.gz"}


@pytest.fixture
def binance() -> Iterator[Exchange]:
    with Exchange(Binance(), recorded()) as exchange:
        yield exchange


def spec(exchange: Exchange, **more: Any) -> dict[str, Any]:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    return {"exchange": "binance", "symbols": list(FILES), "endpoints": endpoints, **more}


def test_every_trade_once_through_fifty_disconnects(
    services: Services, samples: Path, tmp_path: Path, binance: Exchange
) -> None:
    expected = {
        (symbol, interval, ts): pytest.approx(row, rel=1e-12)
        for symbol, name in FILES.items()
        for interval, seconds in SECONDS.items()
        for ts, row in by_hand.binance_bars(samples / "binance-trades" / name, seconds=seconds).items()
    }

    def newest() -> dict[tuple[str, str, int], tuple[float, ...]]:
        found: dict[tuple[str, str, int], dict[str, Any]] = {}
        for _, v, _ in read_topic(services.broker.bootstrap, "market.bars", "binance"):
            if v["symbol"] in FILES and v["closed"]:
                place = (v["symbol"], v["interval"], v["ts"])
                assert v["rev"] == (found[place]["rev"] + 1 if place in found else 0)
                found[place] = v
        return {place: tuple(v[name] for name in VALUES) for place, v in found.items()}

    feed_spec = spec(binance, intervals=list(SECONDS))
    pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, feed_spec, {"apiKey": binance.key})
    pod.start()
    try:
        binance.subscribed(channels=2)
        binance.play_with_drops(50, seed=20240808)
        pod.wait_for(lambda: pod.status()["trades"] == 15_863)
        binance.subscribed(channels=2)  # the last trades may have been recovered before
        binance.clock_offset = 86_400_000
        binance.drop()  # its clock is measured again after a disconnect: the day is over
        pod.wait_for(lambda: pod.status()["bars"] >= len(expected) and newest() == expected)
    finally:
        code = pod.stop()
    assert code == 0
    assert binance.drops >= 51
    report = pod.last_report()
    assert (report["missing"], report["errors"]) == (0, 0)
    assert report["reconnects"] >= 45
    trades = read_topic(services.broker.bootstrap, "market.trades", "binance")
    assert {header for _, _, header in trades} == {"td=1;live"}
    bars = read_topic(services.broker.bootstrap, "market.bars", "binance")
    for symbol, name in FILES.items():
        path = samples / "binance-trades" / name
        assert [
            (v["ts"], v["id"], v["price"], v["amount"], v["side"]) for _, v, _ in trades if v["symbol"] == symbol
        ] == [
            (m["T"], str(m["t"]), float(m["p"]), float(m["q"]), ["buy", "sell"][m["m"]])
            for m in by_hand.binance_messages(path)
        ]
        assert any(v["symbol"] == symbol and not v["closed"] for _, v, _ in bars)


def test_each_trade_is_published_once_through_any_fault(services: Services, tmp_path: Path, binance: Exchange) -> None:
    """Repeats, disorder, junk and error responses; then a restart of the pod, with trades missed meanwhile."""
    own = f"t{uuid.uuid4().hex[:6]}".upper()
    btc = binance.markets[0]
    market = Market(own, "USDT", btc.ticks[:600])
    binance.markets = [market]
    expected = {**spec(binance), "symbols": [market.symbol], "intervals": ["1s", "1m"], "fill": "previous"}
    pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, expected, {"apiKey": binance.key})
    pod.start()
    try:
        binance.subscribed()
        binance.play(100)
        first, second, third = (trade_message(market, tick) for tick in market.ticks[97:100])
        binance.send(third, first, second, "{no json", '["x"]', {"e": "unheardOf", "s": "?"}, [], 17)
        binance.rest_faults.extend(
            [
                (429, {"Retry-After": "1"}, '{"code": -1003, "msg": "Too many requests."}'),
                (500, {}, "oops"),
                (200, {}, "[]"),
                (200, {}, '[{"id": "no number", "price": [], "qty": null, "time": "yesterday"}]'),
                (418, {"Retry-After": "1"}, '{"code": -1003, "msg": "banned"}'),
            ]
        )
        binance.page_max = 7
        market.happened += 20  # without messages: the next id shows the gap
        binance.play(30)
        broken = trade_message(market, market.ticks[150])
        market.happened += 1
        binance.send({**broken, "p": "dear"}, {**broken, "p": None}, {**broken, "T": "noon"})
        binance.play(50)
        pod.wait_for(lambda: pod.status()["trades"] == 201)
        assert pod.status()["errors"] >= 3
        assert pod.status()["duplicates"] >= 3
        rejected = binance.rejected_at
        after = [at for at in binance.requested_at if at > rejected[0]]
        assert min(after) - rejected[0] >= 0.95, "requested again before the exchange allowed it"
        metrics = pod.get("/metrics")
        assert exposed(metrics) == documented(LIVE_FEED)
        counts = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
        assert float(counts['tapedeck_feed_requests_total{result="rate_limited"}']) >= 1
        assert float(counts["tapedeck_feed_rate_limit_wait_seconds_total"]) >= 0.9
        assert float(counts['tapedeck_feed_records_total{channel="trades"}']) == 201
        pod.stop()
        market.happened += 150
        key, live = f"binance:{market.symbol}", market_headers("live")
        poison = b'{"symbol": "poison"}'
        publish(services.broker.bootstrap, [(topic, poison, key, live) for topic in ("market.trades", "market.bars")])
        pod.start()
        binance.subscribed()
        binance.play()
        pod.wait_for(lambda: pod.status()["trades"] == 399)
        binance.clock_offset = 62_000
        binance.drop()
        end = (market.ticks[-1].ts // 60_000 + 1) * 60_000

        def closed(interval: str) -> dict[int, dict[str, Any]]:
            rows = read_topic(services.broker.bootstrap, "market.bars", f"binance:{own}/USDT".split(":")[0])
            mine = [v for _, v, _ in rows if v["symbol"] == market.symbol and v["interval"] == interval and v["closed"]]
            return {v["ts"]: v for v in sorted(mine, key=lambda v: v["rev"])}

        candles = {ts: tuple(map(float, row)) for ts, *row in market.candles(1, 0, end, 10**6)}

        def wrong() -> dict[int, Any]:
            seconds = {ts: tuple(v[n] for n in VALUES) for ts, v in closed("1s").items()}
            return {
                ts: (row, seconds.get(ts))
                for ts, row in candles.items()
                if seconds.get(ts) != pytest.approx(row, rel=1e-9)
            }

        pod.wait_for(lambda: end - 60_000 in closed("1m") and not wrong())
    finally:
        pod.stop()
    assert not wrong(), "a correction made a bar wrong"
    rows = read_topic(services.broker.bootstrap, "market.trades", "binance")
    ids = [int(v["id"]) for _, v, _ in rows if v["symbol"] == market.symbol]
    assert ids == [tick.id for tick in market.ticks]
    seconds = closed("1s")
    assert sorted(seconds) == list(range(min(seconds), max(seconds) + 1, 1000)), "filled without a gap"


def test_pods_share_the_symbols(services: Services, tmp_path: Path, binance: Exchange) -> None:
    """Every symbol that the pattern selects, each in one of two pods."""
    quote = f"q{uuid.uuid4().hex[:5]}".upper()
    ticks = binance.markets[0].ticks
    binance.markets = [Market(f"A{n}", quote, ticks[n * 100 : n * 100 + 100]) for n in range(8)]
    feed_spec = spec(binance) | {"symbols": [f"*/{quote}"], "shards": 2}
    pods = [FeedPod(services.broker.bootstrap, tmp_path / str(n), tmp_path, feed_spec, shard=n) for n in range(2)]
    try:
        for pod in pods:
            pod.start()
        binance.subscribed(clients=2, channels=8)
        binance.play()
        for pod in pods:
            pod.wait_for(lambda pod=pod: pod.status()["trades"] == 100 * pod.status()["symbols"] > 0)  # type: ignore[misc]
    finally:
        for pod in pods:
            pod.stop()
    assert sum(pod.last_report()["symbols"] for pod in pods) == 8
    published = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.trades", "binance")]
    mine = sorted((v["symbol"], int(v["id"])) for v in published if v["symbol"].endswith(quote))
    assert mine == sorted((m.symbol, tick.id) for m in binance.markets for tick in m.ticks)


def test_changed_listings_are_published(services: Services, tmp_path: Path) -> None:
    """Another price step, while requests for the list of markets fail, and a halted market."""
    quote = f"l{uuid.uuid4().hex[:5]}".upper()
    dialect = Binance()
    markets = [Market(base, quote, recorded()[0].ticks[:200]) for base in ("A", "B")]
    with Exchange(dialect, markets, faulty_path="/api/v3/exchangeInfo") as exchange:
        pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, {**spec(exchange), "symbols": [f"*/{quote}"]})
        pod.markets = 0.5
        requests = exchange.requests

        def published() -> list[tuple[str, str, float | None]]:
            rows = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", "binance")]
            return [(v["symbol"], v["type"], v.get("price_step")) for v in rows if v["symbol"].endswith(quote)]

        pod.start()
        try:
            exchange.subscribed(channels=2)
            exchange.play(100)
            pod.wait_for(lambda: requests["/api/v3/exchangeInfo"] >= 3)
            same = [(market.symbol, "listing", 0.01) for market in markets]
            assert sorted(published()) == same, "an unchanged listing is published once"
            exchange.rest_faults.extend([(500, {}, "oops"), (200, {}, "{}"), (200, {}, '["no markets"]')])
            dialect.price_step = "0.1"
            pod.wait_for(lambda: sorted(published()) == sorted([*same, *((m.symbol, "listing", 0.1) for m in markets)]))
            dialect.halted = {"B"}
            pod.wait_for(lambda: (f"B/{quote}", "error", None) in published())
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] == 400)
        finally:
            pod.stop()
        assert not exchange.rest_faults
        assert (exchange.connections, pod.last_report()["reconnects"]) == (1, 0), "the streams did not reconnect"
        assert len(published()) == 5, "a market that stays halted is reported once"


def test_a_market_that_is_not_traded_does_not_block_another(services: Services, tmp_path: Path) -> None:
    """Requested by name, it is left out and reported; where nothing else is requested, the pod fails."""
    quote = f"n{uuid.uuid4().hex[:5]}".upper()
    dialect = Binance(halted={"A"})
    markets = [Market(base, quote, recorded()[0].ticks[:100]) for base in ("A", "B")]
    symbols = [market.symbol for market in markets]
    with Exchange(dialect, markets) as exchange:
        pod = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, {**spec(exchange), "symbols": symbols})
        pod.start()
        try:
            exchange.subscribed()
            exchange.play()
            pod.wait_for(lambda: pod.status()["trades"] == 100)
            assert pod.status()["message"] == f"1 symbols of binance; not traded: A/{quote}"
        finally:
            pod.stop()
        records = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", "binance")]
        errors = [(v["symbol"], v["reason"]) for v in records if v["type"] == "error" and v["symbol"] in symbols]
        assert errors == [(f"A/{quote}", "the exchange does not trade this symbol at present")]
        dialect.halted = {"A", "B"}
        exchange.markets = [*markets, Market("D", quote, recorded()[0].ticks[:1])]
        code, report = pod.run()
    assert (code, report["reason"]) == (64, "NotTraded")
    assert all(symbol in report["message"] for symbol in symbols)
