"""The gateway's process, over a real broker and a real database."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway_pod import (
    FILE_SPEC,
    MINUTE,
    Gateway,
    Tape,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    running_gateway,
    walk,
)
from tapedeck.kafka import admin, ensure_topics, producer
from tapedeck.market import Bar, event_time, series_key
from tapedeck.settings import Connections
from tapedeck.store.migrate import migrate
from tapedeck.topics import MARKET_BARS, replay_topic
from tapedeck.wire import Epoch, encode, market_headers, replay_headers

T0 = 1_522_800_000_000  # 2018-04-04T00:00:00Z
WIDTHS = {"1": 1, "5": 5, "15": 15, "60": 60, "240": 240, "1D": 1440}


@pytest.fixture
def gateway(tmp_path: Path, store: str, connections: Connections) -> Iterator[Gateway]:
    reader = connections.model_copy(update={"store_dsn": SecretStr(store.replace("postgres@", "tapedeck_reader@"))})
    with running_gateway(tmp_path, reader) as gateway:
        yield gateway


def built(bars: list[Bar], minutes: int, known: int) -> list[tuple[float, ...]]:
    """Closed coarser bars (seconds), grouped by dictionary: nothing shared with the gateway's way."""
    width = minutes * MINUTE
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        if event_time(bar) <= known:
            groups.setdefault(bar.ts // width * width, []).append(bar)
    return [
        (t // 1000, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close, sum(b.volume for b in g))
        for t, g in sorted(groups.items())
        if t + width <= known
    ]


def rows(answer: dict[str, Any]) -> list[tuple[float, ...]]:
    return list(zip(*(answer[c] for c in "tohlcv"), strict=True)) if answer["s"] == "ok" else []


def same(found: list[tuple[float, ...]], wanted: list[tuple[float, ...]]) -> None:
    assert [r[:5] for r in found] == [r[:5] for r in wanted]
    assert [r[5] for r in found] == pytest.approx([r[5] for r in wanted])


class Watcher:
    """Collects what a websocket says."""

    def __init__(self, socket: ClientConnection, *subscriptions: dict[str, str]) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        for subscription in subscriptions:
            self.send({"type": "subscribe", **subscription})
        self.until(lambda: len(self.of("subscribed")) == len(subscriptions))

    def _listen(self) -> None:
        try:
            for text in self.socket:
                self.heard.append(json.loads(text))
        except ConnectionClosed:
            return

    def send(self, message: dict[str, str]) -> None:
        self.socket.send(json.dumps(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in list(self.heard) if message["type"] == kind]

    def position(self) -> int | None:
        """Virtual time as last told."""
        told = self.of("position")
        return told[-1]["v"] if told else None

    def bars(self) -> dict[int, list[Any]]:
        """The last state of each bar heard since the last reset."""
        found: dict[int, list[Any]] = {}
        for message in list(self.heard):
            if message["type"] == "reset":
                found.clear()
            elif message["type"] == "bars":
                found.update((bar[0], bar) for bar in message["bars"])
        return found

    def until(self, true: Any, timeout: float = 10.0) -> None:
        deadline = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < deadline, self.heard[-5:]
            time.sleep(0.01)


Watch = Callable[..., Watcher]


@pytest.fixture
def watch(gateway: Gateway) -> Iterator[Watch]:
    """Opens sockets that end with the test."""
    with ExitStack() as stack:
        url = f"ws://127.0.0.1:{gateway.port}/ws"
        yield lambda *subscriptions: Watcher(stack.enter_context(connect(url, max_size=None)), *subscriptions)


def test_history_of_the_store_equals_plain_sql(gateway: Gateway, store: str) -> None:
    bars = walk(1, 3_000, T0 + 7 * MINUTE, gaps=0.1)
    insert_bars(store, [*bars, *walk(2, 500, T0, symbol="ETH/USD")])
    end = (T0 + 4_000 * MINUTE) // 1000
    with psycopg.connect(store) as connection:
        for resolution, minutes in WIDTHS.items():
            wanted = connection.execute(
                "SELECT DISTINCT (extract(epoch FROM ts)::int8 / %(w)s) * %(w)s AS t,"
                " first_value(open) OVER w, max(high) OVER w, min(low) OVER w, last_value(close) OVER w,"
                " sum(volume) OVER w FROM bars WHERE symbol = 'BTC/USD'"
                " WINDOW w AS (PARTITION BY extract(epoch FROM ts)::int8 / %(w)s ORDER BY ts"
                " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) ORDER BY t",
                {"w": minutes * 60},
            ).fetchall()
            _, answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution=resolution, from_=0, to=end)
            same(rows(answer), wanted)
            cut = wanted[len(wanted) // 2][0]
            _, answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution=resolution, from_=cut, to=end)
            same(rows(answer), [row for row in wanted if row[0] >= cut])
            _, answer = gateway.get(
                "/history", symbol="coinbase:BTC/USD", resolution=resolution, from_=end - 1, to=end, countback=3
            )
            same(rows(answer), wanted[-3:])


def test_a_forming_bar_of_the_store_is_not_history(gateway: Gateway, store: str) -> None:
    hour = 60 * MINUTE
    now = int(time.time() * 1000)
    opened = now - now % hour
    bars = walk(3, 120 + (now - opened) // MINUTE, opened - 2 * hour)
    insert_bars(store, bars)
    to = now // 1000 + 7200
    _, answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution="60", from_=0, to=to)
    last = int(time.time() * 1000)
    assert answer["t"] == [t for t in ((opened - 2 * hour) // 1000, (opened - hour) // 1000, opened // 1000)
                           if t * 1000 + hour <= last]  # fmt: skip


def test_no_data_says_where_to_look(gateway: Gateway, store: str) -> None:
    bars = walk(4, 100, T0)
    insert_bars(store, bars)
    late = (T0 + 900 * MINUTE) // 1000
    answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution="5", from_=late, to=late + 600)[1]
    assert answer == {"s": "no_data", "nextTime": (T0 + 95 * MINUTE) // 1000}
    early = T0 // 1000 - 900
    answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution="5", from_=early, to=early + 600)[1]
    assert answer == {"s": "no_data"}


def test_symbols_search_config_time(gateway: Gateway, store: str) -> None:
    insert_bars(store, [*walk(5, 30, T0), *walk(6, 30, T0, symbol="ETH/USD"), *walk(7, 5, T0, exchange="kraken")])
    assert gateway.get("/config")[1]["supported_resolutions"] == list(WIDTHS)
    assert [e["value"] for e in gateway.get("/config")[1]["exchanges"]] == ["", "coinbase", "kraken"]
    assert abs(int(gateway.get("/time")[1]) - time.time()) < 5
    found = gateway.get("/symbols", symbol="coinbase:BTC/USD")[1]
    assert (found["ticker"], found["pricescale"], found["timezone"]) == ("coinbase:BTC/USD", 100, "Etc/UTC")
    assert [s["ticker"] for s in gateway.get("/search", query="btc", exchange="kraken")[1]] == ["kraken:BTC/USD"]
    assert len(gateway.get("/search", query="", limit=2)[1]) == 2


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("/history", {"symbol": "nonsense", "resolution": "1", "from_": 0, "to": 9}, "symbol: got 'nonsense'"),
        ("/history", {"symbol": "a:b", "resolution": "7", "from_": 0, "to": 9}, "resolution: got '7'"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": "x", "to": 9}, "from: got 'x'"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 9, "to": 9}, "from: got 9"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 0}, "to: missing"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 0, "to": 10**15}, "to: got"),
        ("/history", {"symbol": "a:b", "resolution": "1", "to": 9, "countback": 0}, "countback: got '0'"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 0, "to": 9}, "symbol: got 'a:b'"),
        (
            "/history",
            {"symbol": "replay/none/a:b", "resolution": "1", "from_": 0, "to": 9},
            "symbol: got replay 'none'",
        ),
        ("/symbols", {"symbol": "a:b"}, "symbol: got 'a:b'"),
        ("/search", {"limit": 0}, "limit: got '0'"),
        ("/api/runs/none", {}, "run: got 'none'"),
        ("/api/runs", {"limit": "many"}, "limit: got 'many'"),
    ],
)
def test_a_wrong_parameter_is_named(gateway_of_all: Gateway, path: str, query: dict[str, object], named: str) -> None:
    status, answer = gateway_of_all.get(path, **query)
    assert status in (400, 404)
    assert answer["s"] == "error"
    assert answer["errmsg"].startswith(named)


@pytest.fixture(scope="module")
def gateway_of_all(tmp_path_factory: pytest.TempPathFactory, services: Any) -> Iterator[Gateway]:
    migrate(services.postgres.dsn())
    with running_gateway(tmp_path_factory.mktemp("gateway"), services.connections()) as gateway:
        yield gateway


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
    client.produce(foreign, b"{}", partition=0, headers=replay_headers("foreign", Epoch(), control=True))  # type: ignore[arg-type]
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
        [10, T0 + 10 * MINUTE, 9_000.0, 1.0],
        [11, T0 + 11 * MINUTE, 9_500.0, 1.0],
    ]
    watcher.until(lambda: watcher.of("run")[-1]["value"] == 9_500.0)
    assert watcher.of("run")[-1]["max_drawdown_percent"] == pytest.approx((1 - 9_000 / 10_009) * 100)
    assert watcher.of("run")[-1]["return_percent"] == pytest.approx(-5.0)
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET state = 'complete', metrics = '{\"sharpe\": 1.5}' WHERE run_id = 'run-1'")
    watcher.until(lambda: watcher.of("run")[-1]["state"] == "complete")
    assert watcher.of("run")[-1]["metrics"] == {"sharpe": 1.5}
    assert gateway.get("/api/runs/run-1")[1]["state"] == "complete"
    assert len(gateway.get("/api/runs/run-1/fills")[1]) == 2
    insert_trades(store, "run-1", [(0, 1.5, T0, 7_000.0, T0 + 11 * MINUTE, 7_100.0)])
    (trade,) = gateway.get("/api/runs/run-1/trades")[1]
    assert (trade["entry_ts"], trade["exit_ts"], trade["pnl"]) == (T0, T0 + 11 * MINUTE, 150.0)
    assert [r["run_id"] for r in gateway.get("/api/runs")[1]] == ["run-1"]


def test_equity_is_thinned_with_its_extremes(gateway: Gateway, store: str) -> None:
    insert_run(store, "long")
    values = [10_000.0 + (i * 7_919) % 1_000 for i in range(5_000)]
    values[3_333], values[1_234] = 20_000.0, 1.0
    insert_equity(store, "long", [(i, T0 + i * MINUTE, v, 0.0) for i, v in enumerate(values)])
    points = gateway.get("/api/runs/long/equity", points=100)[1]
    assert len(points) <= 100
    kept = [p[2] for p in points]
    assert {1.0, 20_000.0, values[0], values[-1]} <= set(kept)
    assert [p[0] for p in points] == sorted(p[0] for p in points)


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
        connect(url, origin="https://elsewhere.example")
    with connect(url, origin=gateway.url):
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
            message = json.loads(socket.recv(timeout=10))
            assert message["type"] == "error"
            assert named in message["message"] or "JSON" in named
        socket.send("x" * 10_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_pod_contract(gateway: Gateway) -> None:
    assert gateway.get("/healthz") == (200, "ok")
    assert gateway.get("/status")[1]["state"] == "running"
    assert "tapedeck_gateway_sockets" in gateway.get("/metrics")[1]
    with urlopen(gateway.url + "/status", timeout=10) as answer:
        assert "script-src 'self'" in answer.headers["content-security-policy"]
