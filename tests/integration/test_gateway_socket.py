"""What the gateway's process pushes: replays, runs and live bars, over a real broker and a real database."""

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
    Tape,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    walk,
)
from pods.watching import T0, Watcher, built, rows, same
from tapedeck_common.kafka import admin, ensure_topics, producer
from tapedeck_common.market import Bar, event_time, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, replay_topic
from tapedeck_common.wire import Epoch, encode, market_headers, replay_headers

Watch = Callable[..., Watcher]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_replay_is_shown_up_to_its_watermark(
    gateway: Gateway, watch: Watch, connections: Connections, shards: int
) -> None:
    bars = walk(8, 400, T0)
    tape = Tape(connections, shards=shards, spec=FILE_SPEC, range_from=T0)
    tape.play(bars[:100])
    watcher = watch({"symbol": tape.ticker, "resolution": "1"}, {"symbol": tape.ticker, "resolution": "15"})
    watcher.until(lambda: watcher.position() is not None)
    end = T0 // 1000 + 86_400 * 2
    for at in range(100, 400, 37):
        tape.play(bars[at : at + 37])
        known = event_time(bars[min(at + 36, 399)])
        watcher.until(lambda known=known: watcher.position() == known)
        for resolution, minutes in (("1", 1), ("5", 5), ("15", 15), ("60", 60)):
            answer = gateway.get("/history", symbol=tape.ticker, resolution=resolution, from_=0, to=end)[1]
            same(rows(answer), built(bars, minutes, known))
    seen = [m for m in watcher.of("bars") if m["resolution"] == "15"]
    last = {bar[0]: bar for m in seen for bar in m["bars"]}
    same(
        [(t // 1000, *bar[1:6]) for t, bar in sorted(last.items()) if bar[6] and t >= T0 + 105 * MINUTE],
        [row for row in built(bars, 15, event_time(bars[-1])) if row[0] * 1000 >= T0 + 105 * MINUTE],
    )
    assert last[max(last)][6] is False  # 400 minutes end within a quarter of an hour


def test_nothing_beyond_the_watermark_and_nothing_uncommitted(
    gateway: Gateway, watch: Watch, connections: Connections
) -> None:
    bars = walk(9, 60, T0)
    tape = Tape(connections, spec=FILE_SPEC, range_from=T0)
    tape.play(bars[:20])
    watcher = watch({"symbol": tape.ticker, "resolution": "1"})
    tape.bare(bars[20:30])  # committed, but no watermark says that this is all
    tape.play(bars[30:40], mark=event_time(bars[24]))
    watcher.until(lambda: watcher.position() == event_time(bars[24]))
    tape.play(bars[40:50], commit=False)
    time.sleep(0.7)
    assert max(watcher.bars()) == bars[24].ts
    answer = gateway.get("/history", symbol=tape.ticker, resolution="1", from_=0, to=T0 // 1000 + 86_400)[1]
    assert answer["t"][-1] == bars[24].ts // 1000
    tape.abort()
    tape.play(bars[40:45])
    watcher.until(lambda: max(watcher.bars()) == bars[44].ts)


def test_a_seek_back_takes_the_future_away(
    gateway: Gateway, watch: Watch, connections: Connections, store: str
) -> None:
    bars = walk(10, 300, T0)
    insert_bars(store, bars)
    tape = Tape(connections, range_from=T0 + 60 * MINUTE, range_to=T0 + 300 * MINUTE)
    tape.play(bars[60:200])
    watcher = watch({"symbol": tape.ticker, "resolution": "5"})
    for where, more in ((150, 7), (40, 9), (250, 11)):  # back, before its range, and forward over bars not played
        tape.seek(T0 + where * MINUTE)
        watcher.until(lambda where=where: watcher.position() == T0 + where * MINUTE)
        tape.play(bars[where : where + more])
        known = T0 + (where + more) * MINUTE
        watcher.until(lambda known=known: watcher.position() == known)
        assert max(watcher.bars()) < known
        for resolution, minutes in (("1", 1), ("5", 5), ("60", 60)):
            answer = gateway.get(
                "/history", symbol=tape.ticker, resolution=resolution, from_=0, to=T0 // 1000 + 86_400
            )[1]
            same(rows(answer), built(bars, minutes, known))
            answer = gateway.get(
                "/history", symbol=tape.ticker, resolution=resolution, to=T0 // 1000 + 86_400, countback=4
            )[1]
            same(rows(answer), built(bars, minutes, known)[-4:])
    assert len(watcher.of("reset")) == 3


def test_replays_are_listed(gateway: Gateway, connections: Connections) -> None:
    bars = walk(11, 50, T0)
    first = Tape(connections, name="one", range_from=T0)
    first.play(bars)
    first.end(event_time(bars[-1]))
    time.sleep(0.05)
    second = Tape(connections, name="two", range_from=T0)
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
    replay = Tape(connections)
    listed = {info["uid"] for info in gateway.get("/api/replays")[1]}
    assert replay.uid in listed
    assert "foreign" not in listed


def test_fills_and_equity_of_a_run_are_pushed(gateway: Gateway, watch: Watch, store: str) -> None:
    insert_run(store, "run-1")
    insert_equity(store, "run-1", [(i, T0 + i * MINUTE, 10_000 + i, 5_000) for i in range(10)])
    insert_fills(store, "run-1", [(0, T0, "buy", 1.5, 7_000.0)])
    watcher = watch({"run": "run-1"})
    watcher.until(lambda: watcher.of("run"))
    assert watcher.of("run")[0]["value"] == 10_009
    insert_fills(store, "run-1", [(1, T0 + 11 * MINUTE, "sell", 1.5, 7_100.0)])
    insert_equity(store, "run-1", [(10, T0 + 10 * MINUTE, 9_000.0, 1.0), (11, T0 + 11 * MINUTE, 9_500.0, 1.0)])
    watcher.until(lambda: watcher.of("fills") and watcher.of("equity"))
    assert [(f["seq"], f["side"], f["ts"], f["price"]) for m in watcher.of("fills") for f in m["fills"]] == [
        (1, "sell", T0 + 11 * MINUTE, 7_100.0)
    ]
    assert [p for m in watcher.of("equity") for p in m["points"]] == [
        [10, T0 + 10 * MINUTE, 9_000.0, 1.0, None, None, None],
        [11, T0 + 11 * MINUTE, 9_500.0, 1.0, None, None, None],
    ]
    watcher.until(lambda: watcher.of("run")[-1]["value"] == 9_500.0)
    assert watcher.of("run")[-1]["max_drawdown_percent"] == pytest.approx((1 - 9_000 / 10_009) * 100)
    assert watcher.of("run")[-1]["return_percent"] == pytest.approx(-5.0)
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET state = 'complete', metrics = '{\"sharpe\": 1.5}' WHERE run_id = 'run-1'")
    watcher.until(lambda: watcher.of("run")[-1]["state"] == "complete")
    assert watcher.of("run")[-1]["metrics"] == {"sharpe": 1.5}
    run = gateway.get("/api/runs/run-1")[1]
    assert (run["state"], run["drawdowns"], run["periods"]) == ("complete", None, None)  # one of before there were any
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET periods = '[{\"period\": \"2018-04\"}]' WHERE run_id = 'run-1'")
    assert gateway.get("/api/runs/run-1")[1]["periods"] == [{"period": "2018-04"}]
    assert len(gateway.get("/api/runs/run-1/fills")[1]) == 2
    insert_trades(store, "run-1", [(0, 1.5, T0, 7_000.0, T0 + 11 * MINUTE, 7_100.0)])
    (trade,) = gateway.get("/api/runs/run-1/trades")[1]
    assert (trade["entry_ts"], trade["exit_ts"], trade["pnl"]) == (T0, T0 + 11 * MINUTE, 150.0)
    assert [r["run_id"] for r in gateway.get("/api/runs")[1]] == ["run-1"]


def test_live_bars_of_the_market(gateway: Gateway, watch: Watch, store: str, connections: Connections) -> None:
    bars = walk(12, 40, T0)
    insert_bars(store, bars[:30])
    watcher = watch({"symbol": "coinbase:BTC/USD", "resolution": "5"})
    watcher.until(lambda: watcher.bars())
    client = producer(connections, "tests")

    def send(bar: Bar, headers: Any) -> None:
        client.produce(MARKET_BARS, encode(bar), key=series_key(bar.exchange, bar.symbol).encode(), headers=headers)
        assert client.flush(10) == 0

    send(bars[35], replay_headers("someone", Epoch()))  # a replay's on the shared topic: not the market
    send(bars[30], market_headers("live"))
    forming = Bar("coinbase", "BTC/USD", "1m", bars[31].ts, 1.0, 9e9, 1.0, 2.0, 1.0, closed=False)
    send(forming, market_headers("live"))
    watcher.until(lambda: watcher.bars().get(bars[30].ts, [0, 0, 0])[2] == 9e9)
    for bar in bars[31:35]:
        send(bar, market_headers("live"))
    watcher.until(lambda: watcher.bars()[bars[30].ts][6])
    same(
        [(bars[30].ts // 1000, *watcher.bars()[bars[30].ts][1:6])],
        built(bars[:35], 5, event_time(bars[34]))[-1:],
    )
    assert max(watcher.bars()) == bars[30].ts


def test_sockets_are_guarded(gateway: Gateway) -> None:
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
            message = json.loads(socket.recv(timeout=60))
            assert message["type"] == "error"
            assert named in message["message"] or "JSON" in named
        socket.send("x" * 10_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
