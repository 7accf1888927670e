"""What the gateway pushes of replays, runs and live bars, beside what its history says and a dictionary computes."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import psycopg
import pytest

from pods.channel_client import ChannelClient, OpenSocket
from pods.expected_bars import T0, aggregated, assert_same_bars, rows
from pods.gateway import (
    FILE_SPEC,
    MINUTE,
    Gateway,
    ReplayTopic,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    walk,
)
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Bar, event_time, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import MARKET_BARS, replay_topic
from tapedeck_common.wire import Epoch, encode, market_headers, replay_headers
from tapedeck_crds.intervals import BAR_LENGTHS

END = T0 // 1000 + 86_400 * 2  # s, later than all bars of replays here
RESOLUTIONS = (("1", 1), ("5", 5), ("15", 15), ("60", 60))


def follow(open_socket: OpenSocket, symbol: str, *intervals: str) -> ChannelClient:
    """A client that is subscribed to bars, each subscription with its interval as id."""
    client = open_socket()
    for interval in intervals:
        client.subscribe(interval, "bars", symbol=symbol, interval=interval)
    return client


def pushed(client: ChannelClient, id: str) -> list[tuple[float, ...]]:
    """The bars that a client keeps, as /history has them: with the open in seconds."""
    names = ("open", "high", "low", "close", "volume")
    return [(ts // 1000, *(bar[name] for name in names)) for ts, bar in sorted(client.bars(id).items())]


def close_of(client: ChannelClient, id: str, opened: int) -> float | None:
    bar = client.bars(id).get(opened)
    return None if bar is None else float(bar["close"])


def session_bars(exchange: str) -> list[Bar]:
    """Minutes of a market that is open for 390 a day, on three days and for two minutes of the fourth."""
    opens = T0 + 780 * MINUTE  # 13:00 UTC
    minutes = [n for day in range(3) for n in range(day * 1_440, day * 1_440 + 390)] + [3 * 1_440, 3 * 1_440 + 1]
    prices = walk(31, len(minutes), opens, exchange=exchange)
    return [msgspec.structs.replace(bar, ts=opens + n * MINUTE) for n, bar in zip(minutes, prices, strict=True)]


@pytest.mark.parametrize("played", [False, True])
def test_a_snapshot_has_as_many_bars_as_were_asked_for(
    open_socket: OpenSocket, store: str, connections: Connections, exchange: str, played: bool
) -> None:
    """Also shortly after a market has opened: the hours in which it was closed have none."""
    bars = session_bars("coinbase" if played else exchange)
    symbol = f"{exchange}:BTC/USD"
    if played:
        replay = ReplayTopic(connections, spec=FILE_SPEC, range_from=bars[0].ts)
        replay.play(bars)
        symbol = replay.ticker
    else:
        insert_bars(store, bars)
    client = open_socket()
    for interval, minutes in (("1m", 1), ("5m", 5), ("1h", 60)):
        expected = aggregated(bars, minutes, event_time(bars[-1]))
        for count in (1, 17, 100, 600):
            id = f"{interval} {count}"
            client.subscribe(id, "bars", symbol=symbol, interval=interval, snapshot=count)
            client.until(lambda id=id: client.of("bars", id))
            assert_same_bars(pushed(client, id), expected[-count:])


@pytest.mark.parametrize("shards", [1, 3])
def test_a_replay_is_shown_up_to_its_watermark(
    gateway: Gateway, open_socket: OpenSocket, connections: Connections, shards: int
) -> None:
    bars = walk(8, 400, T0)
    replay = ReplayTopic(connections, shards=shards, spec=FILE_SPEC, range_from=T0)
    replay.play(bars[:100])
    client = follow(open_socket, replay.ticker, "1m", "15m", "45m")
    for at in range(100, 400, 37):
        replay.play(bars[at : at + 37])
        last = bars[min(at + 36, 399)]
        client.until(lambda last=last: close_of(client, "1m", last.ts) == last.close)
        for resolution, minutes in RESOLUTIONS:
            answer = gateway.get("/history", symbol=replay.ticker, resolution=resolution, from_=0, to=END)[1]
            assert_same_bars(rows(answer), aggregated(bars, minutes, event_time(last)))
    for interval, minutes in (("1m", 1), ("15m", 15), ("45m", 45)):
        expected = aggregated(bars, minutes, event_time(bars[-1]))
        opened, close = int(expected[-1][0]) * 1000, expected[-1][4]
        client.until(lambda id=interval, opened=opened, close=close: close_of(client, id, opened) == close)
        assert_same_bars(pushed(client, interval), expected[-len(client.bars(interval)) :])
        opens = [bar["ts"] for m in client.of("bars", interval) for bar in m["bars"]]
        assert opens == sorted(opens)  # none is sent out of order
        assert len(client.bars(interval)) >= 300 // minutes
    newest = client.bars("15m")
    assert newest[max(newest)]["closed"] is False  # 400 minutes are not a multiple of 15
    assert all(bar["closed"] for opened, bar in newest.items() if opened < max(newest))


def test_nothing_beyond_the_watermark_and_nothing_uncommitted(
    gateway: Gateway, open_socket: OpenSocket, connections: Connections
) -> None:
    bars = walk(9, 60, T0)
    replay = ReplayTopic(connections, spec=FILE_SPEC, range_from=T0)
    replay.play(bars[:20])
    client = follow(open_socket, replay.ticker, "1m")
    replay.publish_without_watermark(bars[20:30])
    replay.play(bars[30:40], watermark=event_time(bars[24]))
    client.until(lambda: close_of(client, "1m", bars[24].ts) == bars[24].close)
    replay.play(bars[40:50], commit=False)
    time.sleep(0.7)
    assert max(client.bars("1m")) == bars[24].ts
    answer = gateway.get("/history", symbol=replay.ticker, resolution="1", from_=0, to=END)[1]
    assert answer["t"][-1] == bars[24].ts // 1000
    replay.abort()
    replay.play(bars[40:45])
    client.until(lambda: max(client.bars("1m"), default=0) == bars[44].ts)


def test_a_seek_drops_bars_after_the_new_position(
    gateway: Gateway, open_socket: OpenSocket, connections: Connections, store: str
) -> None:
    bars = walk(10, 300, T0)
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0 + 60 * MINUTE, range_to=T0 + 300 * MINUTE)
    replay.play(bars[60:200])
    client = follow(open_socket, replay.ticker, "5m")
    client.until(lambda: client.bars("5m"))
    for seeks, (minute, count) in enumerate(((150, 7), (40, 9), (250, 11)), 1):  # back, before the range, and forward
        replay.seek(T0 + minute * MINUTE)
        client.until(lambda seeks=seeks: len(client.of("reset", "5m")) == seeks)
        replay.play(bars[minute : minute + count])
        closed_until = T0 + (minute + count) * MINUTE
        last = aggregated(bars, 5, closed_until)[-1]
        client.until(lambda last=last: close_of(client, "5m", int(last[0]) * 1000) == last[4])
        assert max(client.bars("5m")) < closed_until
        for resolution, minutes in RESOLUTIONS:
            asked = {"symbol": replay.ticker, "resolution": resolution, "to": END}
            expected = aggregated(bars, minutes, closed_until)
            assert_same_bars(rows(gateway.get("/history", **asked, from_=0)[1]), expected)
            assert_same_bars(rows(gateway.get("/history", **asked, countback=4)[1]), expected[-4:])
    assert len(client.of("reset", "5m")) == 3


def test_a_replays_long_bars_are_made_of_all_their_minutes(
    gateway: Gateway, open_socket: OpenSocket, connections: Connections, store: str
) -> None:
    """A replay that begins within a week and a month, and seeks; the store has the minutes before."""
    day, monday, april = 1_440, T0 - 2 * 86_400_000, T0 - 3 * 86_400_000
    bars = walk(13, 31 * day, april)  # from Sunday 1 April: more than one answer has
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0, range_to=bars[-1].ts)
    at = 3 * day
    replay.play(bars[at : at + 100])
    client = follow(open_socket, replay.ticker, "1w", "1M")

    def expect(interval: str, opened: int, until: int) -> None:
        part = [bar for bar in bars[:until] if bar.ts >= opened]
        client.until(lambda: close_of(client, interval, opened) == part[-1].close)
        bar = client.bars(interval)[opened]
        assert (bar["open"], bar["high"], bar["low"]) == (
            part[0].open, max(each.high for each in part), min(each.low for each in part),
        )  # fmt: skip
        assert bar["volume"] == pytest.approx(sum(each.volume for each in part))
        assert not bar["closed"]

    expect("1w", monday, at + 100)
    expect("1M", april, at + 100)
    replay.play(bars[at + 100 : at + 200])
    expect("1w", monday, at + 200)
    seek = 29 * day + 77  # Monday 30 April
    replay.seek(bars[seek].ts)
    replay.play(bars[seek : seek + 10])
    expect("1w", monday + 4 * 7 * 86_400_000, seek + 10)
    expect("1M", april, seek + 10)
    replay.play(bars[seek + 10 : 30 * day + 5])  # the month closes
    client.until(lambda: close_of(client, "1M", april + 30 * 86_400_000) == bars[30 * day + 4].close)
    end = bars[-1].ts // 1000
    closed_month, may = rows(gateway.get("/history", symbol=replay.ticker, resolution="1M", from_=0, to=end)[1])
    whole = bars[: 30 * day]
    assert closed_month[:5] == (
        april // 1000, whole[0].open, max(b.high for b in whole), min(b.low for b in whole), whole[-1].close,
    )  # fmt: skip
    assert may[:2] == ((april + 30 * 86_400_000) // 1000, bars[30 * day].open)
    assert closed_month[5] == pytest.approx(sum(b.volume for b in whole))


def test_replays_are_listed(gateway: Gateway, connections: Connections) -> None:
    bars = walk(11, 50, T0)
    first = ReplayTopic(connections, name="one", range_from=T0)
    first.play(bars)
    first.end(event_time(bars[-1]))
    time.sleep(0.05)
    second = ReplayTopic(connections, name="two", range_from=T0)
    second.play(bars[:10])
    second.seek(T0)
    listed = {info["uid"]: info for info in gateway.get("/api/replays")[1]}
    assert list(listed).index(second.uid) < list(listed).index(first.uid)
    assert (listed[first.uid]["ended"], listed[first.uid]["position"]) == (True, event_time(bars[-1]))
    assert listed[first.uid]["published"] == 50
    assert (listed[second.uid]["ended"], listed[second.uid]["epoch"], listed[second.uid]["position"]) == (
        False,
        "1.0",
        T0,
    )
    assert listed[second.uid]["name"] == "two"


def test_a_topic_with_foreign_records_hides_no_replay(gateway: Gateway, connections: Connections) -> None:
    foreign = replay_topic("foreign")
    ensure_topics(admin(connections, "tests"), [foreign], 1)
    client = producer(connections, "foreign")
    client.produce(foreign, b"not ours", partition=0)
    client.produce(foreign, b"{}", partition=0, headers=replay_headers("foreign", Epoch(), control=True))
    assert client.flush(60) == 0
    replay = ReplayTopic(connections)
    listed = {info["uid"] for info in gateway.get("/api/replays")[1]}
    assert replay.uid in listed
    assert "foreign" not in listed


def test_a_run_is_followed_to_its_end(gateway: Gateway, open_socket: OpenSocket, store: str, exchange: str) -> None:
    run_id = f"run-{exchange}"
    insert_run(store, run_id)
    insert_equity(store, run_id, [(i, T0 + i * MINUTE, 10_000 + i, 5_000) for i in range(10)])
    insert_fills(store, run_id, [(0, T0, "buy", 1.5, 7_000.0)])
    client = open_socket()
    for channel in ("run", "fills", "equity"):
        client.subscribe(channel, channel, run=run_id, snapshot=0 if channel != "run" else 1)
    client.until(lambda: client.of("run"))
    assert client.of("run")[0]["value"] == 10_009
    insert_fills(store, run_id, [(1, T0 + 11 * MINUTE, "sell", 1.5, 7_100.0)])
    insert_equity(store, run_id, [(10, T0 + 10 * MINUTE, 9_000.0, 1.0), (11, T0 + 11 * MINUTE, 9_500.0, 1.0)])
    client.until(lambda: client.of("fills") and client.of("equity"))
    assert [(f["seq"], f["side"], f["ts"], f["price"]) for f in client.items("fills", "fills")] == [
        (1, "sell", T0 + 11 * MINUTE, 7_100.0)
    ]
    assert client.items("equity", "points") == [
        [10, T0 + 10 * MINUTE, 9_000.0, 1.0, None, pytest.approx((1 - 9_000 / 10_009) * 100), None],
        [11, T0 + 11 * MINUTE, 9_500.0, 1.0, None, pytest.approx((1 - 9_500 / 10_009) * 100), None],
    ]
    client.until(lambda: client.of("run")[-1]["value"] == 9_500.0)
    assert client.of("run")[-1]["max_drawdown_percent"] == pytest.approx((1 - 9_000 / 10_009) * 100)
    assert client.of("run")[-1]["return_percent"] == pytest.approx(-5.0)
    with psycopg.connect(store) as connection:
        connection.execute(
            "UPDATE runs SET state = 'complete', metrics = '{\"sharpe\": 1.5}' WHERE run_id = %s", (run_id,)
        )
    client.until(lambda: client.of("run")[-1]["state"] == "complete")
    assert client.of("run")[-1]["metrics"] == {"sharpe": 1.5}
    run = gateway.get(f"/api/runs/{run_id}")[1]
    assert run["state"] == "complete"
    assert [run[name] for name in ("drawdowns", "periods", "positions", "orders", "analyses")] == [
        None
    ] * 5  # until the run's end is recorded
    with psycopg.connect(store) as connection:
        connection.execute('UPDATE runs SET periods = \'[{"period": "2018-04"}]\' WHERE run_id = %s', (run_id,))
    assert gateway.get(f"/api/runs/{run_id}")[1]["periods"] == [{"period": "2018-04"}]
    assert len(gateway.get(f"/api/runs/{run_id}/fills")[1]) == 2
    insert_trades(store, run_id, [(0, 1.5, T0, 7_000.0, T0 + 11 * MINUTE, 7_100.0)])
    (trade,) = gateway.get(f"/api/runs/{run_id}/trades")[1]
    assert (trade["entry_ts"], trade["exit_ts"], trade["pnl"]) == (T0, T0 + 11 * MINUTE, 150.0)
    assert [r["run_id"] for r in gateway.get("/api/runs")[1]] == [run_id]


def test_live_bars_of_the_market(open_socket: OpenSocket, store: str, connections: Connections) -> None:
    bars = walk(12, 40, T0)
    insert_bars(store, bars[:30])
    client = follow(open_socket, "coinbase:BTC/USD", "5m")
    client.until(lambda: client.bars("5m"))
    kafka = producer(connections, "tests")

    def send(bar: Bar, headers: Any) -> None:
        kafka.produce(MARKET_BARS, encode(bar), key=series_key(bar.exchange, bar.symbol).encode(), headers=headers)
        assert kafka.flush(60) == 0

    send(bars[35], replay_headers("someone", Epoch()))  # a replay's bar on the shared topic is not the live market's
    send(bars[30], market_headers("live"))
    unclosed = Bar("coinbase", "BTC/USD", "1m", bars[31].ts, 1.0, 9e9, 1.0, 2.0, 1.0, closed=False)
    send(unclosed, market_headers("live"))
    client.until(lambda: client.bars("5m").get(bars[30].ts, {"high": 0})["high"] == 9e9)
    for bar in bars[31:35]:
        send(bar, market_headers("live"))
    client.until(lambda: client.bars("5m")[bars[30].ts]["closed"])
    assert_same_bars(pushed(client, "5m"), aggregated(bars[:35], 5, event_time(bars[34])))
    assert max(client.bars("5m")) == bars[30].ts


@pytest.mark.parametrize(("interval", "count"), [("1m", 4 * 1_440), ("1d", 4)])
def test_a_live_week_is_made_of_all_its_bars(
    open_socket: OpenSocket, store: str, connections: Connections, interval: str, count: int
) -> None:
    """From minutes, and on a market that has days alone."""
    step, exchange = BAR_LENGTHS[interval].ms, f"weeks-of-{interval}"
    closes = [100.0 + n % 7 for n in range(count + 1)]
    bars = [
        Bar(exchange, "A/B", interval, T0 + n * step, close, close + 1, close - 1, close, 2.0)
        for n, close in enumerate(closes)
    ]
    insert_bars(store, bars[:-1])
    client = follow(open_socket, f"{exchange}:A/B", "1w")
    kafka = producer(connections, "tests")
    kafka.produce(
        MARKET_BARS, encode(bars[-1]), key=series_key(exchange, "A/B").encode(), headers=market_headers("live")
    )
    assert kafka.flush(60) == 0
    monday = T0 - 2 * 86_400_000
    client.until(lambda: client.bars("1w").get(monday, {"volume": 0})["volume"] == 2.0 * (count + 1))
    bar = client.bars("1w")[monday]
    assert [bar[name] for name in ("open", "high", "low", "close")] == [
        closes[0], 107.0 if count > 6 else 105.0, 99.0, closes[-1],
    ]  # fmt: skip
