"""Nothing that belongs to a replay is given out beyond its position, by any route or message, unless asked for by name.

Every number and text that lies beyond the position holds the digits of MARK.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from websockets.sync.client import connect

from pods.channel_client import ChannelClient
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
    insert_trades,
)
from pods.gateway_fuzz import routes
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Bar, Point, Ticker, Trade, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_POINTS, MARKET_TICKERS, MARKET_TRADES, replay_topic
from tapedeck_common.wire import encode, market_headers
from tapedeck_gateway.push.protocol.requests import (
    REQUESTS,
    Ping,
    Resume,
    SubscribeBars,
    SubscribeEquity,
    SubscribeFills,
    SubscribePoints,
    SubscribeReplay,
    SubscribeRun,
    SubscribeTickers,
    SubscribeTrades,
    Unsubscribe,
)
from tapedeck_gateway.routes.v1.report_file import TEMPLATE
from waits import eventually

MARK = "424242"
PLAYED, BACK, ON = 300, 100, 110  # minutes: played at first, after a seek back, and after playing on
SPEC = FILE_SPEC | {"record": True, "transforms": [{"name": "mine", "sma": {}}]}


def number(minute: int, position: int = ON) -> float:
    """A value that is known at the end of this minute; beyond ``position`` it is marked."""
    return 1_000 + minute + (0.0424242 if minute > position else 0.5)


def bars(exchange: str) -> list[Bar]:
    return [
        Bar(exchange, "BTC/USD", "1m", T0 + (m - 1) * MINUTE, number(m), number(m), number(m), number(m), 1.0)
        for m in range(1, PLAYED + 1)
    ]


def points() -> list[Point]:
    return [Point(bar.exchange, bar.symbol, bar.interval, "mine", bar.ts, bar.close) for bar in bars("coinbase")]


# The file of a report needs the built page, as the tests in a browser do.
ROUTES = {route: names for route, names in routes().items() if TEMPLATE.exists() or not route.endswith("/report.html")}


class Deck:
    """A replay that was played, recorded and traded for PLAYED minutes."""

    def __init__(self, name: str, store: str, connections: Connections) -> None:
        self.connections = connections
        self.market = f"replay.{name}"
        self.recorded = f"{self.market}:BTC/USD"
        self.replay = ReplayTopic(connections, name=name, spec=SPEC, range_from=T0, range_to=T0 + 600 * MINUTE)
        self.replay.play(bars("coinbase"))
        self.replay.publish_points(points())
        insert_bars(store, bars(self.market))
        insert_run(store, "run-1", replay_uid=self.replay.uid)
        ends = range(1, PLAYED + 1)
        insert_equity(store, "run-1", [(m, T0 + m * MINUTE, number(m), number(m)) for m in ends])
        insert_fills(store, "run-1", [(m, T0 + m * MINUTE, "buy", 1.0, number(m)) for m in ends[::5]])
        insert_trades(
            store, "run-1", [(m, 1.0, T0 + (m - 4) * MINUTE, 1.0, T0 + m * MINUTE, number(m)) for m in ends[::10]]
        )
        with psycopg.connect(store) as connection:
            connection.cursor().executemany(
                "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
                " VALUES (%s, 'BTC/USD', '1m', 'mine', to_timestamp(%s / 1000.0), '', %s, 0, 'replay')",
                [(self.market, T0 + (m - 1) * MINUTE, number(m)) for m in ends],
            )
            connection.execute(
                "UPDATE runs SET state = 'complete', ended_at = now(), bars = %(i)s, message = %(t)s,"
                " metrics = %(j)s, drawdowns = %(l)s, periods = %(l)s, exchange = %(m)s WHERE run_id = 'run-1'",
                {"m": self.market, "i": int(MARK), "t": MARK}
                | {"j": json.dumps({"sharpe": int(MARK)}), "l": json.dumps([{"x": MARK}])},
            )
        self.insert_rest(store, ends)

    def insert_rest(self, store: str, ends: range) -> None:
        """What the recorder writes of a replay beside its bars."""
        insert_run(store, "run-2")
        with psycopg.connect(store) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO trades (exchange, symbol, ts, id, price, amount, side, source)"
                " VALUES (%s, 'BTC/USD', to_timestamp(%s / 1000.0), '1', %s, 1, 'buy', 'replay')",
                [(self.market, T0 + m * MINUTE, number(m)) for m in ends],
            )
            cursor.executemany(
                "INSERT INTO tickers (exchange, symbol, ts, price, source)"
                " VALUES (%s, 'BTC/USD', to_timestamp(%s / 1000.0), %s, 'replay')",
                [(self.market, T0 + m * MINUTE, number(m)) for m in ends],
            )
            cursor.executemany(
                "INSERT INTO gaps (exchange, symbol, interval, start_ts, end_ts, state)"
                " VALUES (%s, 'BTC/USD', '1m', to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0), 'open')",
                [(self.market, T0 + m * MINUTE, T0 + (m + 1) * MINUTE) for m in (BACK, ON, PLAYED)],
            )
            cursor.execute(
                'INSERT INTO ingest_errors (topic, partition, "offset", at, exchange, reason, payload)'
                " VALUES ('market.bars', 0, 1, now(), %s, %s, '')",
                (self.market, MARK),
            )
            cursor.executemany(
                "INSERT INTO run_trials VALUES ('run-1', 0, %s, '{\"a\": 1, \"b\": 2}', to_timestamp(0),"
                " to_timestamp(1), %s, %s, true, '', %s)",
                [(n, json.dumps({"sharpe": int(MARK)}), float(MARK), MARK) for n in (-1, 0)],
            )

    def play_on(self) -> None:
        kafka = producer(self.connections, "tests")
        for bar in bars(self.market)[BACK:ON]:
            key = series_key(bar.exchange, bar.symbol).encode()
            trade = Trade(bar.exchange, bar.symbol, bar.ts + MINUTE, str(bar.ts), bar.close, 1.0, "buy")
            ticker = Ticker(bar.exchange, bar.symbol, bar.ts + MINUTE, bar.close)
            point = Point(bar.exchange, bar.symbol, bar.interval, "mine", bar.ts, bar.close)
            for topic, record in (
                (MARKET_BARS, bar),
                (MARKET_TRADES, trade),
                (MARKET_TICKERS, ticker),
                (MARKET_POINTS, point),
            ):
                kafka.produce(topic, encode(record), key=key, headers=market_headers("replay"))
        assert kafka.flush(60) == 0
        self.replay.publish_points(points()[BACK:ON])
        self.replay.play(bars("coinbase")[BACK:ON])

    def shown_position(self, gateway: Gateway) -> int | None:
        """The position of this replay in the list of all."""
        listed = gateway.get("/api/replays")[1]
        return next((info["position"] for info in listed if info["uid"] == self.replay.uid), None)

    @property
    def values(self) -> dict[str, list[object]]:
        """What each parameter of each route is given. A route with another one must be added here."""
        return {
            "symbol": [self.recorded, f"{self.recorded}@mine", self.replay.ticker, f"{self.replay.ticker}@mine"],
            "symbols": [f"{self.recorded},{self.replay.ticker}"],
            "group": [self.market],
            "run": ["", "run-1"],
            "resolution": ["1", "5", "60"],
            "from": [0],
            "to": [T0 // 1000 + 10**7],
            "countback": [None, 1_000],
            "query": ["", "@"],
            "type": [""],
            "exchange": ["", self.market],
            "run_id": ["run-1"],
            "after": [-1],
            "limit": [1_000],
            "points": [20_000],
            "future": [None],
            "base_id": ["BTC"],
            "quote_id": ["USD"],
            "interval": ["1m", "1h"],
            "mls": ["false"],
        }

    @property
    def api_values(self) -> dict[str, list[object]]:
        """The same of the routes of /api/v1."""
        names = ("from", "to", "cursor", "search", "series", "name", "state", "feed", "namespace", "strategy", "sweep")
        return {
            **{name: [None] for name in (*names, "at", "future")},
            "symbol": [self.recorded, self.replay.ticker],
            "exchange": ["", self.market],
            "interval": ["1m", "5m"],
            "period": ["day"],
            "format": [None, "csv"],
            "counts": [None, 1],
            "limit": [1_000],
            "points": [None, 20_000],
            "run_id": ["run-1"],
            "run": [["run-1", "run-2"]],
            "x": ["a"],
            "y": ["b"],
            "metric": ["objective", "sharpe"],
            "window": [0],
        }

    @property
    def special_values(self) -> dict[str, dict[str, list[object]]]:
        """Where a route takes other values than those of its kind."""
        return {
            "/api/v1/coverage": {"symbol": [self.recorded], "interval": ["1m"]},
            "/api/v1/trades": {"symbol": [self.recorded]},
            "/api/v1/tickers": {"symbol": [self.recorded]},
            "/api/v1/points": {"symbol": [f"{self.recorded}@mine", f"{self.replay.ticker}@mine"], "interval": [None]},
            "/api/v1/analytics/movers": {"exchange": [self.market]},
        }

    def requests(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(route, path, query) of every request of every route."""
        for route, names in ROUTES.items():
            if is_of_resources(route):
                continue
            kind = self.api_values if route.startswith("/api/v1/") else self.values
            values = {**kind, **self.special_values.get(route, {})}
            for chosen in itertools.product(*(values[name] for name in names)):
                given = dict(zip(names, chosen, strict=True))
                path = route.format_map(given)
                given = {name: value for name, value in given.items() if f"{{{name}}}" not in route}
                yield route, path, {name: value for name, value in given.items() if value is not None}


def is_of_resources(route: str) -> bool:
    """Whether a route needs an API of resources: on_a_deck/test_deck_resources.py asks it for a replay's future."""
    return route.startswith("/api/v1/namespaces/") or route in ("/api/v1/feeds", "/api/v1/replays", "/api/v1/backtests")


def later_times(text: str, position: int) -> list[str]:
    """The times after the position in a text, in seconds or milliseconds; the end of the range is no secret."""
    text = re.sub(r'"range_to":\d+', "", text)
    ends = T0 + 601 * MINUTE
    return [
        found
        for found in re.findall(r"\d{10,13}", text)
        if position < int(found) < ends or position < int(found) * 1000 < ends
    ]


@pytest.fixture
def deck(request: pytest.FixtureRequest, store: str, connections: Connections) -> Deck:
    # The replays of other tests are still on the broker, and a market belongs to every replay of its name.
    return Deck(request.node.name.replace("_", "-")[:40].rstrip("-"), store, connections)


def test_no_route_gives_out_a_replays_future(gateway: Gateway, deck: Deck) -> None:
    replay, position = deck.replay, T0 + ON * MINUTE
    replay.seek(T0 + BACK * MINUTE)
    deck.play_on()
    eventually(lambda: deck.shown_position(gateway) == position)
    asked: set[str] = set()
    for route, path, query in deck.requests():
        status, answer = gateway.get(path, **query)
        if route == "/api/replays":  # it lists the replays of other tests, too, whose positions are no secret here
            answer = [info for info in answer if info["uid"] == replay.uid]
            assert len(answer) == 1
        text = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
        assert status == 200, (path, query, text)
        assert MARK not in text, (path, query)
        assert later_times(text, position) == [], (path, query)
        if "future" in ROUTES[route] and gateway.get(path, **query, future=1)[1] != answer:
            asked.add(route)
    assert asked == {route for route, names in ROUTES.items() if "future" in names and not is_of_resources(route)}
    assert {route for route in asked if not route.startswith("/api/v1/")} == {
        "/symbols",
        "/symbol_info",
        "/history",
        "/quotes",
        "/marks",
        "/timescale_marks",
        "/api/symbols",
        "/api/latest",
        "/api/getBars",
        "/api/runs",
    } | {"/api/runs/{run_id}" + part for part in ("", "/fills", "/trades", "/equity")}


def test_no_channel_gives_out_a_replays_future(gateway: Gateway, deck: Deck) -> None:
    replay, position = deck.replay, T0 + ON * MINUTE
    asked: dict[type[msgspec.Struct], list[dict[str, str]]] = {
        SubscribeBars: [
            {"symbol": symbol, "interval": interval}
            for symbol in (deck.recorded, replay.ticker, f"replay/default/{replay.name}:BTC/USD")
            for interval in ("1m", "5m", "1h")
        ]
        + [
            {"symbol": deck.recorded, "interval": "5s"},  # of its trades
            {"symbol": f"{deck.recorded}@mine", "interval": "1m"},
            {"symbol": f"{replay.ticker}@mine", "interval": "1m"},
        ],
        SubscribeTrades: [{"symbol": deck.recorded}],
        SubscribeTickers: [{"symbol": deck.recorded}],
        SubscribePoints: [{"symbol": symbol, "series": "mine"} for symbol in (deck.recorded, replay.ticker)],
        SubscribeRun: [{"run": "run-1"}],
        SubscribeFills: [{"run": "run-1"}],
        SubscribeEquity: [{"run": "run-1"}],
        SubscribeReplay: [{"replay": replay.uid}],
    }
    assert {*asked} == {*REQUESTS} - {Unsubscribe, Resume, Ping}  # a new one needs a subscription above
    subscriptions = {
        f"{kind.__struct_config__.tag}-{n}": {"channel": str(kind.__struct_config__.tag), **fields}
        for kind, given in asked.items()
        for n, fields in enumerate(given)
    }
    url = f"ws://127.0.0.1:{gateway.port}/api/v1/ws"
    with connect(url, max_size=None, open_timeout=60) as first, connect(url, max_size=None, open_timeout=60) as second:
        client, late = ChannelClient(first), ChannelClient(second)
        for id, fields in subscriptions.items():
            client.subscribe(id, **fields)
        client.until(lambda: client.of("run") and MARK in client.of("run")[-1]["message"])
        client.received.clear()  # of the snapshots below, none is that of a subscription
        replay.seek(T0 + BACK * MINUTE)
        jumping = {id for id in subscriptions if not id.startswith("replay")}
        client.until(lambda: {m["id"] for m in client.of("reset")} == jumping)
        client.until(lambda: client.of("run") and client.of("run")[-1]["shown_until"] == T0 + BACK * MINUTE)
        assert client.of("run")[-1]["value"] == number(BACK)
        client.until(lambda: {m["id"] for m in client.received if m.get("snapshot")} >= {"fills-0", "equity-0"})
        client.received.clear()
        deck.play_on()
        client.until(lambda: client.of("run") and client.of("run")[-1]["shown_until"] == position)
        client.until(lambda: client.bars("bars-0").get(position - MINUTE) and client.bars("bars-3"))
        client.until(lambda: client.items("equity-0", "points") and client.items("equity-0", "points")[-1][0] == ON)
        for n in (0, 1):
            points = f"points-{n}"
            client.until(lambda id=points: position - MINUTE in {each["ts"] for each in client.items(id, "points")})
        for kind in ("trade", "ticker"):
            client.until(lambda kind=kind: position in {each["ts"] for each in client.items(f"{kind}s-0", f"{kind}s")})
        for id, fields in subscriptions.items():
            late.subscribe(id, **fields)
        late.until(lambda: {m.get("id") for m in late.received if m["type"] != "subscribed"} >= {*subscriptions})
        pushed = json.dumps([*client.received, *late.received], separators=(",", ":"))
        assert MARK not in pushed
        assert later_times(pushed, position) == []
        assert [point[0] for m in client.of("equity") for point in m["points"]] == [*range(BACK + 1, ON + 1)]
        assert client.of("run")[-1]["trades"] == len(range(1, ON + 1, 10))
        for each in ("bars-0", "bars-3", "bars-6", "bars-10", "bars-11"):
            assert max(late.bars(each)) == position - MINUTE
        assert max(late.bars("bars-9")) == position
        assert late.items("trades-0", "trades")[-1]["ts"] == position
        assert late.items("tickers-0", "tickers")[-1]["ts"] == position
        assert {late.items(f"points-{n}", "points")[-1]["ts"] for n in (0, 1)} == {position - MINUTE}
        assert late.items("equity-0", "points")[-1][0] == ON
        late.subscribe("future", "bars", symbol=deck.recorded, interval="1m", future=True)
        late.subscribe("run-future", "run", run="run-1", future=True)
        late.until(lambda: late.bars("future") and late.of("run", "run-future"))
        assert max(late.bars("future")) == T0 + (PLAYED - 1) * MINUTE
        shown = late.of("run", "run-future")[-1]
        assert (shown["metrics"], shown["shown_until"]) == ({"sharpe": int(MARK)}, None)


def test_what_is_up_to_the_position_is_given_out(gateway: Gateway, deck: Deck, connections: Connections) -> None:
    deck.replay.seek(T0 + BACK * MINUTE)
    deck.play_on()
    eventually(lambda: deck.shown_position(gateway) == T0 + ON * MINUTE)
    query = {"from_": 0, "to": T0 // 1000 + 86_400}
    opens = [T0 // 1000 + m * 60 for m in range(ON)]
    for symbol in (deck.recorded, f"{deck.recorded}@mine", deck.replay.ticker, f"{deck.replay.ticker}@mine"):
        assert gateway.get("/history", symbol=symbol, resolution="1", **query)[1]["t"] == opens
        assert gateway.get("/history", symbol=symbol, resolution="60", **query)[1]["t"] == opens[::60]
    found = {symbol["ticker"] for symbol in gateway.get("/search", query="@mine")[1]}
    assert found >= {f"{deck.recorded}@mine", f"replay/default/{deck.replay.name}:BTC/USD@mine"}
    (listed,) = gateway.get("/api/symbols")[1]
    assert listed["series"] == [{"interval": "1m", "first": T0, "last": T0 + (ON - 1) * MINUTE}]
    assert [bar["close"] for bar in gateway.get("/api/latest")[1]] == [number(ON)]
    assert [p[0] for p in gateway.get("/api/runs/run-1/equity", points=20_000)[1]] == [*range(1, ON + 1)]
    assert [f["seq"] for f in gateway.get("/api/runs/run-1/fills")[1]] == [*range(1, ON + 1, 5)]
    assert [t["seq"] for t in gateway.get("/api/runs/run-1/trades")[1]] == [*range(1, ON + 1, 10)]
    run = gateway.get("/api/runs/run-1")[1]
    assert (run["metrics"], run["bars"], run["message"], run["drawdowns"]) == (None, None, "", None)
    assert run["shown_until"] == T0 + ON * MINUTE

    deleted = admin(connections, "tests").delete_topics([replay_topic(deck.replay.uid)])
    for future in deleted.values():
        future.result(60)
    assert eventually(lambda: gateway.get("/api/runs/run-1")[1]["metrics"]) == {"sharpe": int(MARK)}
    assert gateway.get("/api/latest")[1][0]["ts"] == T0 + (PLAYED - 1) * MINUTE
