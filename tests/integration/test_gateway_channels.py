"""The WebSocket /api/v1/ws: every channel, with a real broker and a real database."""

from __future__ import annotations

import itertools
import json
import socket as sockets
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pods.channel_client import ChannelClient, OpenSocket
from pods.expected_bars import T0
from pods.gateway import (
    FILE_SPEC,
    MINUTE,
    Gateway,
    ReplayTopic,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    running_gateway,
    walk,
)
from pods.market import Market
from pods.services import as_role
from tapedeck_common.market import Point, Ticker, Trade, event_time
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_POINTS, MARKET_TICKERS, MARKET_TRADES
from tapedeck_common.wire import ClockState
from waits import eventually


def closes(client: ChannelClient, id: str) -> list[tuple[int, float]]:
    return [(ts, bar["close"]) for ts, bar in sorted(client.bars(id).items())]


def test_live_bars_are_a_snapshot_then_updates_and_revisions(
    open_socket: OpenSocket, store: str, market: Market, exchange: str
) -> None:
    bars = walk(21, 40, T0, exchange=exchange)
    insert_bars(store, bars[:30])
    client = open_socket()
    client.subscribe("five", "bars", symbol=f"{exchange}:BTC/USD", interval="5m", snapshot=3)
    client.subscribe("one", "bars", symbol=f"{exchange}:BTC/USD", interval="1m", snapshot=2)
    client.until(lambda: client.of("bars", "one"))
    assert [bar["ts"] for bar in client.of("bars", "five")[0]["bars"]] == [bars[n].ts for n in (15, 20, 25)]
    assert client.of("bars", "five")[0]["snapshot"]
    assert [bar["ts"] for bar in client.of("bars", "one")[0]["bars"]] == [bars[28].ts, bars[29].ts]
    market.send(MARKET_BARS, msgspec.structs.replace(bars[30], closed=False, close=bars[30].open))
    client.until(lambda: client.bars("one").get(bars[30].ts))
    assert not client.bars("one")[bars[30].ts]["closed"]
    market.send(MARKET_BARS, bars[30], bars[31])
    client.until(lambda: client.bars("one").get(bars[31].ts))
    corrected = msgspec.structs.replace(bars[22], close=bars[22].high, rev=1)
    market.send(MARKET_BARS, corrected)  # two bars of five minutes ago
    client.until(lambda: client.of("revise", "one") and client.of("revise", "five"))
    (revised,) = client.of("revise", "one")[0]["bars"]
    assert (revised["ts"], revised["close"]) == (corrected.ts, corrected.high)
    (revised,) = client.of("revise", "five")[0]["bars"]
    assert (revised["ts"], revised["close"]) == (bars[20].ts, bars[24].close)
    assert revised["high"] == max(bar.high for bar in bars[20:25])
    assert closes(client, "one")[-2:] == [(bar.ts, bar.close) for bar in bars[30:32]]
    assert [message["seq"] for message in client.received] == list(range(1, len(client.received) + 1))


def test_a_replay_is_followed_by_its_name_through_a_seek(
    open_socket: OpenSocket, connections: Connections, exchange: str
) -> None:
    bars = walk(22, 200, T0)
    replay = ReplayTopic(connections, name=exchange, spec=FILE_SPEC, range_from=T0, range_to=T0 + 200 * MINUTE)
    replay.play(bars[:60])
    client = open_socket()
    client.subscribe("b", "bars", symbol=f"replay/default/{exchange}:BTC/USD", interval="1m", snapshot=5)
    client.subscribe("s", "replay", replay=f"default/{exchange}")
    client.until(lambda: client.of("bars", "b") and client.of("replay", "s"))
    assert [bar["ts"] for bar in client.of("bars", "b")[0]["bars"]] == [bar.ts for bar in bars[55:60]]
    replay.play(bars[60:70])
    client.until(lambda: client.bars("b").get(bars[69].ts))
    replay.seek(T0 + 30 * MINUTE)
    client.until(lambda: client.of("reset", "b"))
    assert client.of("reset", "b")[0]["reason"] == "seek"
    replay.play(bars[30:35])
    client.until(lambda: closes(client, "b") == [(bar.ts, bar.close) for bar in bars[30:35]][-5:] or client.bars("b"))
    client.until(lambda: max(client.bars("b"), default=0) == bars[34].ts)
    state = client.of("replay", "s")
    client.until(lambda: client.of("replay", "s")[-1]["epoch"] == "1.0")
    assert (state[0]["name"], state[0]["namespace"], state[0]["replay"]) == (exchange, "default", replay.uid)
    assert (state[0]["position"], state[0]["epoch"], state[0]["round"]) == (event_time(bars[59]), "0.0", 0)


def test_the_state_of_a_paused_replay_is_sent_each_second(
    open_socket: OpenSocket, connections: Connections, exchange: str
) -> None:
    bars = walk(23, 100, T0)
    replay = ReplayTopic(connections, name=exchange, spec=FILE_SPEC, range_from=T0)
    replay.clock = ClockState(60.0, late_ms=7)
    replay.play(bars[:10])
    client = open_socket()
    client.subscribe("s", "replay", replay=replay.uid)
    for at in range(10, 20):  # a minute of virtual time in a fifth of a second
        time.sleep(0.2)
        replay.play(bars[at : at + 1])

    def moving() -> list[dict[str, Any]]:
        """The states at a speed of about 300: slower on a busy machine, and faster just after it stood still."""
        return [state for state in client.of("replay") if 0 < state["measured_speed"] < 500]

    client.until(moving)
    playing = moving()[0]
    assert (playing["speed"], playing["paused"], playing["unpaced"], playing["lateness_ms"]) == (60.0, False, False, 7)
    replay.clock = ClockState(0.0)
    replay.play(bars[20:21])
    client.until(lambda: client.of("replay")[-1]["paused"])
    before = len(client.of("replay"))
    client.until(lambda: len(client.of("replay")) >= before + 5)
    sent = client.of("replay")[before:]
    assert sent[4]["at"] - sent[0]["at"] > 3_500
    assert all(message["paused"] and message["position"] == event_time(bars[20]) for message in sent)
    assert sent[-1]["measured_speed"] == 0
    replay.clock = ClockState(60.0, until=event_time(bars[21]))
    replay.play(bars[21:22])  # it reaches the time at which it is to pause
    client.until(lambda: client.of("replay")[-1]["position"] == event_time(bars[21]))
    assert client.of("replay")[-1]["paused"]


def test_a_replay_that_stands_still_has_no_speed_from_what_was_read_before(
    open_socket: OpenSocket, connections: Connections, exchange: str
) -> None:
    bars = walk(24, 40, T0)
    replay = ReplayTopic(connections, name=exchange, spec=FILE_SPEC, range_from=T0)
    for at in range(0, 40, 4):
        replay.play(bars[at : at + 4])
    client = open_socket()
    client.subscribe("s", "replay", replay=replay.uid)
    client.until(lambda: len(client.of("replay")) >= 3)
    assert [(each["position"], each["measured_speed"]) for each in client.of("replay")[:3]] == [
        (event_time(bars[39]), 0)
    ] * 3


def test_trades_tickers_and_points_of_the_market(
    open_socket: OpenSocket, store: str, market: Market, exchange: str
) -> None:
    trades = [Trade(exchange, "A/B", T0 + n, str(n), 10.0 + n, 1.0, "buy") for n in range(10)]
    points = [Point(exchange, "A/B", "1m", "mine", T0 + n * MINUTE, float(n)) for n in range(4)]
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            "INSERT INTO trades (exchange, symbol, ts, id, price, amount, side, source)"
            " VALUES (%s, %s, to_timestamp(%s / 1000.0), %s, %s, %s, 'buy', 'live')",
            [(t.exchange, t.symbol, t.ts, t.id, t.price, t.amount) for t in trades[:4]],
        )
        connection.cursor().executemany(
            "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
            " VALUES (%s, %s, '1m', 'mine', to_timestamp(%s / 1000.0), '', %s, 0, 'live')",
            [(p.exchange, p.symbol, p.ts, p.value) for p in points[:2]],
        )
    market.send(MARKET_TRADES, *trades[:6])  # the recorder has not stored the last two yet
    client = open_socket()
    symbol = f"{exchange}:A/B"
    client.subscribe("t", "trades", symbol=symbol)
    client.subscribe("q", "tickers", symbol=symbol)
    client.subscribe("p", "points", symbol=symbol, series="mine")
    client.until(lambda: len(client.items("t", "trades")) == 6)
    market.send(MARKET_TRADES, *trades[4:])  # two are repeated
    market.send(MARKET_TICKERS, Ticker(exchange, "A/B", T0, 5.0), Ticker(exchange, "A/B", T0 + 1, 6.0, bid=5.5))
    market.send(MARKET_POINTS, *points[2:], Point(exchange, "A/B", "1m", "other", T0, 99.0))
    client.until(lambda: len(client.items("t", "trades")) == 10 and len(client.items("p", "points")) == 4)
    assert [(t["ts"], t["id"], t["price"]) for t in client.items("t", "trades")] == [
        (t.ts, t.id, t.price) for t in trades
    ]
    assert [(p["ts"], p["value"]) for p in client.items("p", "points")] == [(p.ts, p.value) for p in points]
    client.until(lambda: client.items("q", "tickers") and client.items("q", "tickers")[-1]["price"] == 6.0)
    assert client.items("q", "tickers")[-1]["bid"] == 5.5
    assert {message["interval"] for message in client.of("points", "p") if message["points"]} == {"1m"}


def test_fills_and_equity_of_a_run(open_socket: OpenSocket, store: str, exchange: str) -> None:
    run = f"run-{exchange}"
    insert_run(store, run)
    insert_equity(store, run, [(i, T0 + i * MINUTE, 10_000 + i, 5_000) for i in range(10)])
    insert_fills(store, run, [(i, T0, "buy", 1.5, 7_000.0 + i) for i in range(5)])
    client = open_socket()
    client.subscribe("f", "fills", run=run, snapshot=2)
    client.subscribe("e", "equity", run=run)
    client.subscribe("r", "run", run=run)
    client.until(lambda: client.of("run", "r") and client.of("fills", "f") and client.of("equity", "e"))
    assert [fill["seq"] for fill in client.items("f", "fills")] == [3, 4]
    assert [point[0] for point in client.items("e", "points")] == list(range(10))
    assert client.of("run", "r")[0]["value"] == 10_009
    insert_fills(store, run, [(5, T0 + 11 * MINUTE, "sell", 1.5, 7_100.0)])
    insert_equity(store, run, [(10, T0 + 10 * MINUTE, 9_000.0, 1.0)])
    client.until(lambda: client.of("run", "r")[-1]["value"] == 9_000)
    assert [(fill["seq"], fill["price"]) for fill in client.items("f", "fills")][-1] == (5, 7_100.0)
    assert [point[:3] for point in client.items("e", "points")][-1] == [10, T0 + 10 * MINUTE, 9_000.0]
    assert {m["type"] for m in client.received if m.get("id") == "f"} == {"subscribed", "fills"}


def test_each_point_of_a_run_is_pushed_and_every_snapshot_is_of_the_whole_curve(
    open_socket: OpenSocket, store: str, exchange: str
) -> None:
    run = f"run-{exchange}"
    insert_run(store, run)
    values = [10_000.0 + (n * 7_919 % 1_013) for n in range(9_000)]
    values[1_500], values[7_500] = 20_000.0, 5_000.0
    points = [(n, T0 + n * MINUTE, value, 5_000.0) for n, value in enumerate(values)]
    insert_equity(store, run, points[:10])
    first = open_socket()
    first.subscribe("e", "equity", run=run, snapshot=1_000)
    first.until(lambda: first.of("equity", "e"))
    for begin, end in ((10, 6_000), (6_000, 9_000)):  # more at once than a snapshot has
        insert_equity(store, run, points[begin:end])
        first.until(lambda last=end - 1: first.items("e", "points")[-1][0] == last)
    seqs = [point[0] for message in first.of("equity", "e") for point in message["points"]]
    assert seqs == list(range(9_000))
    assert [point[2] for message in first.of("equity", "e") for point in message["points"]] == values
    later = open_socket()
    first.subscribe("again", "equity", run=run, snapshot=200)
    later.subscribe("e", "equity", run=run, snapshot=200)
    snapshots: list[list[Any]] = []
    for client, id in ((first, "again"), (later, "e")):
        client.until(lambda client=client, id=id: client.of("equity", id))
        snapshots.append(client.of("equity", id)[0]["points"])
    assert snapshots[0] == snapshots[1]
    assert len(snapshots[0]) <= 200
    found = {point[0]: point[2] for point in snapshots[0]}
    assert {0, 1_500, 7_500, 8_999} <= found.keys()
    assert all(values[seq] == value for seq, value in found.items())
    assert max(b - a for a, b in itertools.pairwise(found)) < 9_000 / 49 * 2  # from all parts of the run


def test_a_lost_socket_resumes_without_a_gap_or_a_repeat(
    gateway: Gateway, open_socket: OpenSocket, store: str, market: Market, exchange: str
) -> None:
    bars = walk(24, 200, T0, exchange=exchange)
    insert_bars(store, bars[:30])
    first = open_socket()
    first.subscribe("b", "bars", symbol=f"{exchange}:BTC/USD", interval="1m", snapshot=1)
    market.send(MARKET_BARS, *bars[30:32])
    first.until(lambda: first.bars("b").get(bars[31].ts))
    first.socket.socket.shutdown(sockets.SHUT_RDWR)  # no close frame
    first.thread.join(60)
    for bar in bars[32:35]:
        market.send(MARKET_BARS, bar)
        time.sleep(0.1)
    second = open_socket()
    repeated = second.resume(first.session, first.received[-1]["seq"])
    assert second.of("resumed")[0]["complete"]
    assert second.of("resumed")[0]["subscriptions"] == ["b"]
    second.until(lambda: second.bars("b").get(bars[34].ts))
    sent = [m["seq"] for m in [*first.received, *repeated]]
    assert sent == list(range(1, len(sent) + 1))
    assert not any(m["snapshot"] for m in second.of("bars"))
    for each in range(35, 200):  # more messages than a session keeps
        market.send(MARKET_BARS, bars[each])
        second.until(lambda each=each: second.bars("b").get(bars[each].ts))
    third = open_socket()
    third.resume(first.session, 2)  # takes over from the second
    assert not third.of("resumed")[0]["complete"]
    assert third.of("resumed")[0]["missed"] > 128
    third.until(lambda: third.bars("b"))
    assert [bar["ts"] for bar in third.of("bars")[0]["bars"]] == [bars[199].ts]
    assert third.of("bars")[0]["snapshot"]
    second.thread.join(60)
    assert second.close_code == 4009
    fourth = open_socket()
    fourth.resume("unknown", 2)
    assert (fourth.of("resumed")[0]["complete"], fourth.of("resumed")[0]["subscriptions"]) == (False, [])
    fourth.subscribe("b", "bars", symbol=f"{exchange}:BTC/USD", interval="1m")


def test_a_client_that_does_not_read_is_closed_and_may_resume(
    tmp_path: Path, connections: Connections, store: str, market: Market, exchange: str
) -> None:
    insert_bars(store, walk(26, 1_000, T0, exchange=exchange))
    spec = json.dumps({"limits": {"stallSeconds": 1.5}})
    with running_gateway(tmp_path, as_role(connections, "tapedeck_reader"), spec) as gateway, ExitStack() as stack:
        slow = sockets.socket()
        slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 16_384)
        slow.connect(("127.0.0.1", gateway.port))
        url = f"ws://127.0.0.1:{gateway.port}/api/v1/ws"
        client = stack.enter_context(
            connect(url, sock=slow, max_queue=1, max_size=None, open_timeout=60, close_timeout=1)
        )
        session = json.loads(client.recv(60))["session"]
        subscribe = {"type": "subscribe", "channel": "bars", "symbol": f"{exchange}:BTC/USD", "interval": "1m"}
        client.send(json.dumps({**subscribe, "id": "kept"}))
        for _ in range(100):  # 100 kB each: more than the system buffers
            client.send(json.dumps({**subscribe, "id": "large", "snapshot": 1_000}))
            client.send('{"type":"unsubscribe","id":"large"}')
        eventually(lambda: gateway.get("/status")[1]["message"].startswith("0 sockets"), timeout=20)
        received = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                received.append(json.loads(client.recv(60)))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4008
        assert "too slow" in closed.value.rcvd.reason
        seqs = [message["seq"] for message in received]
        assert seqs == list(range(2, len(seqs) + 2))
        again = ChannelClient(stack.enter_context(connect(url, max_size=None, open_timeout=60)))
        again.resume(session, seqs[-1])
        assert again.of("resumed")[0]["complete"]
        assert "kept" in again.of("resumed")[0]["subscriptions"]
        assert (
            len([message for message in received if message["type"] == "subscribed"]) < 100
        )  # the rest was never read


def test_what_a_client_may_not_send(gateway: Gateway, open_socket: OpenSocket) -> None:
    client = open_socket()
    welcome = client.of("welcome")[0]
    assert welcome["seq"] == 1
    assert (welcome["limits"]["subscriptions"], welcome["limits"]["message_bytes"]) == (32, 4096)
    for text, named in (
        ("{", "message: "),
        ('{"type":"dance"}', "type: got 'dance'"),
        ('{"type":"subscribe","id":"a","channel":"bars","symbol":"x","interval":"1m"}', "symbol: got 'x'"),
        ('{"type":"subscribe","id":"a","channel":"bars","symbol":"a:b","interval":"2x"}', "interval: got '2x'"),
        ('{"type":"subscribe","id":"a","channel":"bars","symbol":"a:b","interval":"1m"}', "symbol: got 'a:b'"),
        ('{"type":"subscribe","id":"","channel":"bars","symbol":"a:b","interval":"1m"}', "message: "),
        ('{"type":"subscribe","id":"a","channel":"tape","symbol":"a:b"}', "message: "),
        ('{"type":"subscribe","id":"a","channel":"trades","symbol":"a:b","run":"x"}', "message: "),
        ('{"type":"subscribe","id":"a","channel":"trades","symbol":"a:b","snapshot":1001}', "message: "),
        ('{"type":"subscribe","id":"a","channel":"fills","run":"none"}', "run: got 'none'"),
        ('{"type":"subscribe","id":"a","channel":"fills","run":"a\\u0000"}', "run: got 'a\\x00'"),
        ('{"type":"subscribe","id":"a","channel":"fills","run":"\\ud800"}', "message: "),
        ('{"type":"subscribe","id":"a","channel":"replay","replay":"no/where"}', "replay: got 'no/where'"),
        ('{"type":"unsubscribe","id":"a"}', "id: got 'a'"),
        ("[" * 3_000, "message: "),
    ):
        assert client.error(text)["detail"].startswith(named), text
    client.send("ping", id="7")
    client.until(lambda: client.of("pong"))
    assert client.of("pong")[0]["id"] == "7"
    client.subscribe("t", "trades", symbol="some:A/B")
    again = client.error('{"type":"subscribe","id":"t","channel":"trades","symbol":"some:A/C"}')
    assert (again["id"], again["reason"]) == ("t", "InvalidInput")
    client.send("unsubscribe", id="t")
    client.until(lambda: client.of("unsubscribed"))
    client.subscribe("t", "trades", symbol="some:A/C")
    assert client.error("")["detail"].startswith("message: ")
    assert client.error(['{"type":"unsubscribe",', '"id":"x"}'])["detail"].startswith("id: got 'x'")
    for frame, code in ((b"{}", 1003), (b"", 1003), ([b"\xff", b"\x00"], 1003), ("x" * 10_000, 1009)):
        client = open_socket()
        client.socket.send(frame)
        client.thread.join(60)
        assert client.close_code == code, frame
    assert "Traceback" not in gateway.log.read_text()


def test_the_seed_designs_messages(gateway: Gateway, store: str, market: Market, exchange: str) -> None:
    bars = walk(25, 12, T0, exchange=exchange)
    insert_bars(store, bars[:10])
    subscribe: dict[str, Any] = {
        "event_type": "subscribe", "data_type": "ohlcv", "exchange": exchange, "base_id": "BTC", "quote_id": "USD",
        "interval": "1m", "mls": False,
    }  # fmt: skip
    with closing(connect(f"ws://127.0.0.1:{gateway.port}/api/ohlcvs", open_timeout=60)) as socket:
        socket.send(json.dumps(subscribe))
        first = json.loads(socket.recv(60))
        assert [bar["time"] for bar in first["bars"]] == [bar.ts // 1000 for bar in bars[:10]]
        assert {name: first[name] for name in ("exchange", "base_id", "quote_id", "interval")} == {
            "exchange": exchange, "base_id": "BTC", "quote_id": "USD", "interval": "1m",
        }  # fmt: skip
        market.send(MARKET_BARS, bars[10])
        (bar,) = json.loads(socket.recv(60))["bars"]
        assert (bar["time"], bar["close"], bar["volume"]) == (bars[10].ts // 1000, bars[10].close, bars[10].volume)
        socket.send(json.dumps({**subscribe, "event_type": "unsubscribe"}))
        assert json.loads(socket.recv(60)) == {"detail": f"unsubscribed from {exchange}:BTC/USD 1m"}
        socket.send(json.dumps({**subscribe, "event_type": "dance"}))
        assert "event_type" in json.loads(socket.recv(60))["detail"]
    asked = {"exchange": exchange, "base_id": "BTC", "quote_id": "USD", "interval": "5m"}
    status, answer = gateway.get("/api/getBars", **asked, mls="false")
    assert (status, [bar["time"] for bar in answer["bars"]]) == (200, [bars[0].ts // 1000, bars[5].ts // 1000])
    assert answer["bars"][0]["high"] == max(bar.high for bar in bars[:5])
    status, answer = gateway.get("/api/getBars", symbol=f"{exchange}:BTC/USD", from_=bars[3].ts, to=bars[6].ts)
    assert [bar["time"] for bar in answer["bars"]] == [bar.ts for bar in bars[3:6]]
    assert gateway.get("/api/getBars", **asked | {"base_id": "X"})[1]["error"].startswith("symbol: got ")
    for wrong, said in (
        ({"limit": 0}, "limit: got '0', expected greater than or equal to 1"),
        ({"from": "x"}, "from: got 'x', expected a valid integer"),
        ({"mls": "perhaps"}, "mls: got 'perhaps', expected a valid boolean"),
        ({"interval": "7x"}, "interval: got '7x', expected one of 1s"),
    ):
        status, answer = gateway.get("/api/getBars", **{**asked, **wrong})
        assert (status, list(answer)) == (200, ["error"]), answer
        assert answer["error"].startswith(said), answer


def test_the_documentation_is_served(gateway: Gateway) -> None:
    status, document = gateway.get("/api/v1/asyncapi.json")
    assert (status, document["asyncapi"]) == (200, "3.0.0")
    status, page = gateway.get("/docs/websocket")
    assert status == 200
    assert all(f"<code>{name}</code>" in page for name in ("welcome", "revise", "resumed", "subscribe, channel bars"))
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
