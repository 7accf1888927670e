"""What the gateway pushes: replays, runs and live bars, with a real broker and a real database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

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
from pods.socket_client import T0, SocketClient, aggregated, assert_same_bars, rows
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Bar, event_time, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import MARKET_BARS, replay_topic
from tapedeck_common.wire import Epoch, encode, market_headers, replay_headers
from tapedeck_crds.intervals import BAR_LENGTHS

Subscribe = Callable[..., SocketClient]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_replay_is_shown_up_to_its_watermark(
    gateway: Gateway, subscribe: Subscribe, connections: Connections, shards: int
) -> None:
    bars = walk(8, 400, T0)
    replay = ReplayTopic(connections, shards=shards, spec=FILE_SPEC, range_from=T0)
    replay.play(bars[:100])
    client = subscribe({"symbol": replay.ticker, "resolution": "1"}, {"symbol": replay.ticker, "resolution": "15"})
    client.until(lambda: client.position() is not None)
    end = T0 // 1000 + 86_400 * 2
    for at in range(100, 400, 37):
        replay.play(bars[at : at + 37])
        closed_until = event_time(bars[min(at + 36, 399)])
        client.until(lambda closed_until=closed_until: client.position() == closed_until)
        for resolution, minutes in (("1", 1), ("5", 5), ("15", 15), ("60", 60)):
            answer = gateway.get("/history", symbol=replay.ticker, resolution=resolution, from_=0, to=end)[1]
            assert_same_bars(rows(answer), aggregated(bars, minutes, closed_until))
    bars_messages = [m for m in client.of("bars") if m["resolution"] == "15"]
    last = {bar[0]: bar for m in bars_messages for bar in m["bars"]}
    assert_same_bars(
        [(t // 1000, *bar[1:6]) for t, bar in sorted(last.items()) if bar[6] and t >= T0 + 105 * MINUTE],
        [
            row
            for row in aggregated(bars, 15, event_time(bars[-1]), running=False)
            if row[0] * 1000 >= T0 + 105 * MINUTE
        ],
    )
    assert last[max(last)][6] is False  # 400 minutes are not a multiple of 15


def test_nothing_beyond_the_watermark_and_nothing_uncommitted(
    gateway: Gateway, subscribe: Subscribe, connections: Connections
) -> None:
    bars = walk(9, 60, T0)
    replay = ReplayTopic(connections, spec=FILE_SPEC, range_from=T0)
    replay.play(bars[:20])
    client = subscribe({"symbol": replay.ticker, "resolution": "1"})
    replay.publish_without_watermark(bars[20:30])
    replay.play(bars[30:40], watermark=event_time(bars[24]))
    client.until(lambda: client.position() == event_time(bars[24]))
    replay.play(bars[40:50], commit=False)
    time.sleep(0.7)
    assert max(client.bars()) == bars[24].ts
    answer = gateway.get("/history", symbol=replay.ticker, resolution="1", from_=0, to=T0 // 1000 + 86_400)[1]
    assert answer["t"][-1] == bars[24].ts // 1000
    replay.abort()
    replay.play(bars[40:45])
    client.until(lambda: max(client.bars()) == bars[44].ts)


def test_a_seek_drops_bars_after_the_new_position(
    gateway: Gateway, subscribe: Subscribe, connections: Connections, store: str
) -> None:
    bars = walk(10, 300, T0)
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0 + 60 * MINUTE, range_to=T0 + 300 * MINUTE)
    replay.play(bars[60:200])
    client = subscribe({"symbol": replay.ticker, "resolution": "5"})
    for minute, count in ((150, 7), (40, 9), (250, 11)):  # back, before the replay's range, and forward
        replay.seek(T0 + minute * MINUTE)
        client.until(lambda minute=minute: client.position() == T0 + minute * MINUTE)
        replay.play(bars[minute : minute + count])
        closed_until = T0 + (minute + count) * MINUTE
        client.until(lambda closed_until=closed_until: client.position() == closed_until)
        assert max(client.bars()) < closed_until
        for resolution, minutes in (("1", 1), ("5", 5), ("60", 60)):
            answer = gateway.get(
                "/history", symbol=replay.ticker, resolution=resolution, from_=0, to=T0 // 1000 + 86_400
            )[1]
            assert_same_bars(rows(answer), aggregated(bars, minutes, closed_until))
            answer = gateway.get(
                "/history", symbol=replay.ticker, resolution=resolution, to=T0 // 1000 + 86_400, countback=4
            )[1]
            assert_same_bars(rows(answer), aggregated(bars, minutes, closed_until)[-4:])
    assert len(client.of("reset")) == 3


def test_a_replays_long_bars_are_made_of_all_their_minutes(
    gateway: Gateway, subscribe: Subscribe, connections: Connections, store: str
) -> None:
    """A replay that begins within a week and a month, and seeks; the store has the minutes before."""
    day, monday, april = 1_440, T0 - 2 * 86_400_000, T0 - 3 * 86_400_000
    bars = walk(13, 31 * day, april)  # from Sunday 1 April: more than one answer has
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0, range_to=bars[-1].ts)
    at = 3 * day
    replay.play(bars[at : at + 100])
    week = {"symbol": replay.ticker, "resolution": "1W"}
    client = subscribe(week)
    months = subscribe({"symbol": replay.ticker, "resolution": "1M"})

    def expect(client: SocketClient, opened: int, until: int) -> None:
        part = [bar for bar in bars[:until] if bar.ts >= opened]
        client.until(lambda: client.bars().get(opened, [0] * 6)[4] == part[-1].close)
        _, first, high, low, _, volume, closed = client.bars()[opened]
        assert (first, high, low) == (part[0].open, max(b.high for b in part), min(b.low for b in part))
        assert volume == pytest.approx(sum(b.volume for b in part))
        assert not closed

    expect(client, monday, at + 100)
    expect(months, april, at + 100)
    replay.play(bars[at + 100 : at + 200])
    expect(client, monday, at + 200)
    seek = 29 * day + 77  # Monday 30 April
    replay.seek(bars[seek].ts)
    replay.play(bars[seek : seek + 10])
    expect(client, monday + 4 * 7 * 86_400_000, seek + 10)
    expect(months, april, seek + 10)
    replay.play(bars[seek + 10 : 30 * day + 5])  # the month closes
    client.until(lambda: client.position() == bars[30 * day + 5].ts)
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
    assert client.flush(10) == 0
    replay = ReplayTopic(connections)
    listed = {info["uid"] for info in gateway.get("/api/replays")[1]}
    assert replay.uid in listed
    assert "foreign" not in listed


def test_fills_and_equity_of_a_run_are_pushed(gateway: Gateway, subscribe: Subscribe, store: str) -> None:
    insert_run(store, "run-1")
    insert_equity(store, "run-1", [(i, T0 + i * MINUTE, 10_000 + i, 5_000) for i in range(10)])
    insert_fills(store, "run-1", [(0, T0, "buy", 1.5, 7_000.0)])
    client = subscribe({"run": "run-1"})
    client.until(lambda: client.of("run"))
    assert client.of("run")[0]["value"] == 10_009
    insert_fills(store, "run-1", [(1, T0 + 11 * MINUTE, "sell", 1.5, 7_100.0)])
    insert_equity(store, "run-1", [(10, T0 + 10 * MINUTE, 9_000.0, 1.0), (11, T0 + 11 * MINUTE, 9_500.0, 1.0)])
    client.until(lambda: client.of("fills") and client.of("equity"))
    assert [(f["seq"], f["side"], f["ts"], f["price"]) for m in client.of("fills") for f in m["fills"]] == [
        (1, "sell", T0 + 11 * MINUTE, 7_100.0)
    ]
    assert [p for m in client.of("equity") for p in m["points"]] == [
        [10, T0 + 10 * MINUTE, 9_000.0, 1.0, None, pytest.approx((1 - 9_000 / 10_009) * 100), None],
        [11, T0 + 11 * MINUTE, 9_500.0, 1.0, None, pytest.approx((1 - 9_500 / 10_009) * 100), None],
    ]
    client.until(lambda: client.of("run")[-1]["value"] == 9_500.0)
    assert client.of("run")[-1]["max_drawdown_percent"] == pytest.approx((1 - 9_000 / 10_009) * 100)
    assert client.of("run")[-1]["return_percent"] == pytest.approx(-5.0)
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET state = 'complete', metrics = '{\"sharpe\": 1.5}' WHERE run_id = 'run-1'")
    client.until(lambda: client.of("run")[-1]["state"] == "complete")
    assert client.of("run")[-1]["metrics"] == {"sharpe": 1.5}
    run = gateway.get("/api/runs/run-1")[1]
    assert run["state"] == "complete"
    assert [run[name] for name in ("drawdowns", "periods", "positions", "orders", "analyses")] == [
        None
    ] * 5  # until the run's end is recorded
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET periods = '[{\"period\": \"2018-04\"}]' WHERE run_id = 'run-1'")
    assert gateway.get("/api/runs/run-1")[1]["periods"] == [{"period": "2018-04"}]
    assert len(gateway.get("/api/runs/run-1/fills")[1]) == 2
    insert_trades(store, "run-1", [(0, 1.5, T0, 7_000.0, T0 + 11 * MINUTE, 7_100.0)])
    (trade,) = gateway.get("/api/runs/run-1/trades")[1]
    assert (trade["entry_ts"], trade["exit_ts"], trade["pnl"]) == (T0, T0 + 11 * MINUTE, 150.0)
    assert [r["run_id"] for r in gateway.get("/api/runs")[1]] == ["run-1"]


def test_live_bars_of_the_market(gateway: Gateway, subscribe: Subscribe, store: str, connections: Connections) -> None:
    bars = walk(12, 40, T0)
    insert_bars(store, bars[:30])
    client = subscribe({"symbol": "coinbase:BTC/USD", "resolution": "5"})
    client.until(lambda: client.bars())
    kafka = producer(connections, "tests")

    def send(bar: Bar, headers: Any) -> None:
        kafka.produce(MARKET_BARS, encode(bar), key=series_key(bar.exchange, bar.symbol).encode(), headers=headers)
        assert kafka.flush(10) == 0

    send(bars[35], replay_headers("someone", Epoch()))  # a replay's bar on the shared topic is not the live market's
    send(bars[30], market_headers("live"))
    unclosed = Bar("coinbase", "BTC/USD", "1m", bars[31].ts, 1.0, 9e9, 1.0, 2.0, 1.0, closed=False)
    send(unclosed, market_headers("live"))
    client.until(lambda: client.bars().get(bars[30].ts, [0, 0, 0])[2] == 9e9)
    for bar in bars[31:35]:
        send(bar, market_headers("live"))
    client.until(lambda: client.bars()[bars[30].ts][6])
    assert_same_bars(
        [(bars[30].ts // 1000, *client.bars()[bars[30].ts][1:6])],
        aggregated(bars[:35], 5, event_time(bars[34]))[-1:],
    )
    assert max(client.bars()) == bars[30].ts


@pytest.mark.parametrize(("interval", "count"), [("1m", 4 * 1_440), ("1d", 4)])
def test_a_live_week_is_made_of_all_its_bars(
    subscribe: Subscribe, store: str, connections: Connections, interval: str, count: int
) -> None:
    """From minutes, and on a market that has days alone."""
    step, exchange = BAR_LENGTHS[interval].ms, f"weeks-of-{interval}"
    closes = [100.0 + n % 7 for n in range(count + 1)]
    bars = [
        Bar(exchange, "A/B", interval, T0 + n * step, close, close + 1, close - 1, close, 2.0)
        for n, close in enumerate(closes)
    ]
    insert_bars(store, bars[:-1])
    client = subscribe({"symbol": f"{exchange}:A/B", "resolution": "1W"})
    kafka = producer(connections, "tests")
    kafka.produce(
        MARKET_BARS, encode(bars[-1]), key=series_key(exchange, "A/B").encode(), headers=market_headers("live")
    )
    assert kafka.flush(10) == 0
    monday = T0 - 2 * 86_400_000
    client.until(lambda: client.bars().get(monday, [0] * 6)[5] == 2.0 * (count + 1))
    assert client.bars()[monday][1:5] == [closes[0], 107.0 if count > 6 else 105.0, 99.0, closes[-1]]


def test_every_kind_of_frame_is_answered(gateway: Gateway) -> None:
    with connect(f"ws://127.0.0.1:{gateway.port}/ws") as socket:

        def error_after(*fragments: str | bytes) -> str:
            socket.send(fragments[0] if len(fragments) == 1 else list(fragments))
            while (message := json.loads(socket.recv(timeout=60)))["type"] != "error":
                pass
            return str(message["message"])

        binary = "message: got a binary frame, expected JSON in a text frame"
        assert error_after(b'{"type":"subscribe"}') == binary
        assert error_after(b"") == binary
        assert error_after(b"\xff", b"\x00") == binary
        assert error_after("").startswith("message: ")
        assert error_after('{"type":"unsubscribe","symbol":', '"x"}').startswith("symbol: got 'x'")
        assert error_after('{"type":"subscribe","run":"a\\u0000"}') == ("run: got 'a\\x00', expected text without NUL")
        assert error_after('{"type":"subscribe","run":"\\ud800"}').startswith("message: ")
    assert "Traceback" not in gateway.log.read_text()


def test_foreign_origins_and_invalid_messages_are_rejected(gateway: Gateway) -> None:
    url = f"ws://127.0.0.1:{gateway.port}/ws"
    with pytest.raises(InvalidStatus):
        connect(url, origin=Origin("https://elsewhere.example"))
    with connect(url, origin=Origin(gateway.url)):
        pass
    with connect(url) as socket:
        for text, named in (
            ("{", "JSON"),
            ('{"type":"subscribe","symbol":"x","resolution":"1"}', "symbol: got 'x'"),
            ('{"type":"subscribe","symbol":"a:b","resolution":"2"}', "resolution: got '2'"),
            ('{"type":"subscribe","symbol":"a:b","resolution":"1"}', "symbol: got 'a:b'"),
            ('{"type":"subscribe","run":"none"}', "run: got 'none'"),
            ('{"type":"dance"}', "dance"),
        ):
            socket.send(text)
            while (message := json.loads(socket.recv(timeout=60)))["type"] == "services":
                pass
            assert message["type"] == "error"
            assert named in message["message"] or "JSON" in named
        socket.send("x" * 10_000)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
