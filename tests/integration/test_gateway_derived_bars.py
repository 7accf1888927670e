"""Bars that the gateway pushes of series which are made of other records, beside /history and a dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import psycopg
import pytest

from pods.channel_client import ChannelClient, OpenSocket
from pods.expected_bars import T0, rows
from pods.gateway import FILE_SPEC, MINUTE, Gateway, ReplayTopic, insert_bars, walk
from pods.market import Market
from tapedeck_common.market import Bar, Point, event_time
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS

SECOND = 1_000
END = T0 // 1000 + 86_400 * 2  # s, later than all bars here
Row = tuple[Any, ...]


def pushed(client: ChannelClient, id: str) -> list[Row]:
    """The bars that a client keeps, as /history has them: with the open in seconds."""
    names = ("open", "high", "low", "close", "volume")
    return [(ts // 1000, *(bar[name] for name in names)) for ts, bar in sorted(client.bars(id).items())]


def history(gateway: Gateway, symbol: str, resolution: str) -> list[Row]:
    answer = gateway.get("/history", symbol=symbol, resolution=resolution, from_=0, to=END)[1]
    return [tuple(row) for row in rows(answer)]


def grouped(values: Iterable[tuple[int, float, float]], length: int) -> list[Row]:
    """Bars of (ts, price, amount) in order."""
    groups: dict[int, list[tuple[float, float]]] = {}
    for ts, price, amount in values:
        groups.setdefault(ts // length * length, []).append((price, amount))
    return [
        (opened // 1000, of[0][0], max(p for p, _ in of), min(p for p, _ in of), of[-1][0], sum(a for _, a in of))
        for opened, of in groups.items()
    ]


def insert_points(store: str, exchange: str, values: Iterable[tuple[int, float | None]]) -> None:
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
            " VALUES (%s, 'BTC/USD', '1m', 'mine', to_timestamp(%s / 1000.0), '', %s, 0, 'live')"
            " ON CONFLICT (exchange, symbol, interval, series, ts, id) DO UPDATE SET value = EXCLUDED.value",
            [(exchange, ts, value) for ts, value in values],
        )


def insert_ticks(store: str, table: str, exchange: str, values: Iterable[tuple[int, float, float]]) -> None:
    """Trades, or tickers, of BTC/USD as (ts, price, amount)."""
    trades = (
        "INSERT INTO trades (exchange, symbol, ts, id, price, amount, side, source)"
        " VALUES (%(exchange)s, 'BTC/USD', to_timestamp(%(ts)s / 1000.0), %(id)s, %(price)s, %(amount)s, 'buy', 'live')"
    )
    tickers = (
        "INSERT INTO tickers (exchange, symbol, ts, price, source)"
        " VALUES (%(exchange)s, 'BTC/USD', to_timestamp(%(ts)s / 1000.0), %(price)s, 'live')"
    )
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            trades if table == "trades" else tickers,
            [
                {"exchange": exchange, "ts": ts, "id": str(ts), "price": price, "amount": amount}
                for ts, price, amount in values
            ],
        )


def test_results_of_a_transform_are_pushed_as_bars(
    gateway: Gateway, open_socket: OpenSocket, store: str, exchange: str
) -> None:
    values = [(T0 + n * MINUTE, n * 7 % 23 + 0.5) for n in range(60)]
    symbol = f"{exchange}:BTC/USD@mine"
    insert_points(store, exchange, values[:30])
    client = open_socket()
    client.subscribe("5m", "bars", symbol=symbol, interval="5m")
    client.subscribe("1m", "bars", symbol=symbol, interval="1m", snapshot=3)
    for count in (30, 33, 60):
        insert_points(store, exchange, values[:count])
        expected = grouped(((ts, value, 0) for ts, value in values[:count]), 5 * MINUTE)
        client.until(lambda expected=expected: pushed(client, "5m") == expected)
        assert history(gateway, symbol, "5") == expected
    client.until(lambda: len(client.bars("1m")) == 33)
    corrected = [(ts, 99.0 if ts == values[50][0] else value) for ts, value in values]
    insert_points(store, exchange, corrected)
    expected = grouped(((ts, value, 0) for ts, value in corrected), 5 * MINUTE)
    client.until(lambda: pushed(client, "5m") == expected)
    assert [bar["ts"] for bar in client.of("revise", "5m")[-1]["bars"]] == [values[50][0]]
    insert_points(store, exchange, [(values[59][0], None)])  # it is withdrawn
    client.until(lambda: client.of("reset", "1m") and max(client.bars("1m"), default=0) == values[58][0])
    refused = client.error(f'{{"type":"subscribe","id":"x","channel":"bars","symbol":"{symbol}","interval":"1s"}}')
    assert refused["detail"] == "interval: got bars of 1s, expected a multiple of 1m"


def test_results_of_a_replays_transform_are_pushed_up_to_its_position(
    gateway: Gateway, open_socket: OpenSocket, connections: Connections
) -> None:
    bars = walk(31, 100, T0)

    def results(count: int, plus: float = 0.0) -> list[Point]:
        return [Point(bar.exchange, bar.symbol, "1m", "mine", bar.ts, bar.close + plus) for bar in bars[:count]]

    def expected(count: int, plus: float = 0.0) -> list[Row]:
        return grouped(((point.ts, point.value or 0, 0) for point in results(count, plus)), 5 * MINUTE)

    replay = ReplayTopic(connections, spec={**FILE_SPEC, "transforms": [{"name": "mine", "sma": {"period": 2}}]})
    replay.play(bars[:20])
    replay.publish_points(results(40))  # the transform is ahead of the replay
    symbol = f"{replay.ticker}@mine"
    client = open_socket()
    client.subscribe("b", "bars", symbol=symbol, interval="5m")
    client.until(lambda: pushed(client, "b") == expected(20))
    replay.play(bars[20:33])
    client.until(lambda: pushed(client, "b") == expected(33))
    assert history(gateway, symbol, "5") == expected(33)
    assert not client.bars("b")[bars[30].ts]["closed"]
    replay.seek(event_time(bars[9]))
    client.until(lambda: client.of("reset", "b"))
    client.until(lambda: pushed(client, "b") == expected(10))
    replay.play(bars[10:13])
    replay.publish_points(results(13, 1.0)[10:])
    both = grouped(((p.ts, p.value or 0, 0) for p in [*results(10), *results(13, 1.0)[10:]]), 5 * MINUTE)
    client.until(lambda: pushed(client, "b") == both)
    replay.publish_points(results(3, 5.0)[2:])  # a correction behind the newest bar
    client.until(lambda: client.of("revise", "b"))
    assert client.bars("b")[T0]["high"] == max(*(bar.close for bar in bars[:5]), bars[2].close + 5.0)
    assert max(bar["ts"] for m in client.of("bars", "b") for bar in m["bars"]) == bars[30].ts


@pytest.mark.parametrize("table", ["trades", "tickers"])
def test_bars_of_trades_or_tickers_are_pushed(
    gateway: Gateway, open_socket: OpenSocket, store: str, exchange: str, table: str
) -> None:
    values = [(T0 + n * 700, 100 + n * 7 % 23, float(n)) for n in range(90)]
    shown = [(ts, price, amount if table == "trades" else 0.0) for ts, price, amount in values]
    symbol = f"{exchange}:BTC/USD"
    insert_ticks(store, table, exchange, values[:40])
    client = open_socket()
    for interval in ("5s", "1m"):
        client.subscribe(interval, "bars", symbol=symbol, interval=interval)
    for start, end in ((0, 40), (40, 42), (42, 90)):
        if start:
            insert_ticks(store, table, exchange, values[start:end])
        client.until(lambda end=end: pushed(client, "5s") == grouped(shown[:end], 5 * SECOND))
        client.until(lambda end=end: pushed(client, "1m") == grouped(shown[:end], MINUTE))
        assert history(gateway, symbol, "5S") == grouped(shown[:end], 5 * SECOND)
    insert_ticks(store, table, exchange, [(T0 + 50 * SECOND + 1, 7.0, 1.0)])  # a late one
    client.until(lambda: client.bars("5s")[T0 + 50 * SECOND]["low"] == 7.0)
    assert client.of("revise", "5s")[-1]["bars"][-1]["ts"] == T0 + 50 * SECOND


def test_bars_of_seconds_are_made_of_seconds_and_longer_ones_of_minutes(
    gateway: Gateway, open_socket: OpenSocket, store: str, market: Market, exchange: str
) -> None:
    minutes = walk(32, 40, T0, exchange=exchange)
    seconds = [
        msgspec.structs.replace(bar, interval="1s", ts=T0 + n * SECOND)
        for n, bar in enumerate(walk(33, 120, T0, exchange=exchange))
    ]
    insert_bars(store, [*minutes[:30], *seconds[:60]])
    symbol = f"{exchange}:BTC/USD"
    client = open_socket()
    for interval in ("5m", "5s", "1s"):
        client.subscribe(interval, "bars", symbol=symbol, interval=interval)

    def of(bars: list[Bar], length: int) -> list[Row]:
        groups: dict[int, list[Bar]] = {}
        for bar in bars:
            groups.setdefault(bar.ts // length * length, []).append(bar)
        return [
            (ts // 1000, some[0].open, max(b.high for b in some), min(b.low for b in some), some[-1].close,
             pytest.approx(sum(b.volume for b in some)))
            for ts, some in groups.items()
        ]  # fmt: skip

    def follows(of_minutes: int, of_seconds: int) -> bool:
        return (
            pushed(client, "5m") == of(minutes[:of_minutes], 5 * MINUTE)
            and pushed(client, "5s") == of(seconds[:of_seconds], 5 * SECOND)
            and pushed(client, "1s") == of(seconds[:of_seconds], SECOND)
        )

    client.until(lambda: follows(30, 60))
    market.send(MARKET_BARS, *minutes[30:34], *seconds[60:77])
    client.until(lambda: follows(34, 77))
    assert history(gateway, symbol, "5S") == of(seconds[:60], 5 * SECOND)  # of the store, which has no more
    market.send(MARKET_BARS, msgspec.structs.replace(seconds[62], close=seconds[62].low, rev=1))
    client.until(lambda: client.of("revise", "1s") and client.of("revise", "5s"))
    assert not client.of("revise", "5m")
