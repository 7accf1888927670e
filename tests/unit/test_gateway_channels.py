"""What channels are made of: late bars, rings of records, measured speeds, and the documented messages."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import msgspec
import pytest

from tapedeck_common.market import Bar, Point, Ticker, Trade
from tapedeck_common.speed_meter import SpeedMeter
from tapedeck_common.topics import MARKET_POINTS, MARKET_TICKERS, MARKET_TRADES
from tapedeck_common.wire import encode, market_headers
from tapedeck_crds.errors import InvalidInput, Unavailable
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.late_bars import KEPT, LateBars
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.push.channel import SNAPSHOTS_MAX, Channel
from tapedeck_gateway.push.protocol.asyncapi import asyncapi_document
from tapedeck_gateway.push.protocol.messages import BarItem, BarsMessage, Pong, ReplayMessage, Welcome
from tapedeck_gateway.push.protocol.requests import SubscribeBars, SubscribeReplay, decode_request
from tapedeck_gateway.push.record_channels import MarketTradeChannel
from tapedeck_gateway.push.shared_message import SharedMessage
from tapedeck_gateway.topics.live_bars import LiveMarket
from tapedeck_gateway.topics.live_records import LiveRecords, RecordSeries
from tapedeck_gateway.topics.points_view import PointsView
from tapedeck_gateway.topics.record_ring import RecordRing

MINUTE = 60_000
LIVE = market_headers("live")
FOREVER = 10**15


def test_late_bars_are_told_once_and_their_loss_is_noticed() -> None:
    late = LateBars()
    assert late.after(0) == []
    for opened in (5, 3, 5):
        late.note(opened)
    assert (late.after(0), late.after(2), late.after(3)) == ([5, 3, 5], [5], [])
    for opened in range(KEPT):
        late.note(opened)
    assert late.after(2) is None
    assert late.after(3) == list(range(KEPT))


def test_live_bars_note_what_changes_behind_the_newest_bar() -> None:
    market = LiveMarket()
    live = market.of(BAR_LENGTHS["1m"])
    live.watch("x", "A/B", [Candle(n * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(5)])

    def apply(n: int, close: float, *, closed: bool = True) -> None:
        bar = Bar("x", "A/B", "1m", n * MINUTE, 1.0, 2.0, 1.0, close, 1.0, closed=closed)
        market.apply(b"x:A/B", LIVE, encode(bar))

    apply(5, 1.0)  # new
    apply(5, 1.5)  # the last one again
    apply(2, 1.5)  # a correction
    apply(2, 1.5)  # its repeat
    apply(1, 1.7, closed=False)  # it has closed since
    assert live.late_after("x", "A/B", 0) == (1, [2 * MINUTE])
    apply(7, 1.0)
    apply(6, 1.0)  # after the bar that follows it
    assert live.late_after("x", "A/B", 1) == (2, [6 * MINUTE])
    assert live.late_after("x", "other", 1) == (1, [])


def test_a_series_begins_with_what_was_read_and_is_not_stored_yet() -> None:
    market = LiveMarket()
    base, stored = BAR_LENGTHS["1m"], [Candle(n * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(3)]
    market.watch(base, "x", "other", [])

    def apply(n: int, close: float, *, symbol: str = "A/B", interval: str = "1m", closed: bool = True) -> None:
        bar = Bar("x", symbol, interval, n * MINUTE, 1.0, 9.0, 1.0, close, 1.0, closed=closed)
        market.apply(f"x:{symbol}".encode(), LIVE, encode(bar))

    apply(2, 7.0)  # stored meanwhile
    apply(3, 3.0)
    apply(3, 3.5)  # a correction
    apply(3, 8.0, interval="1h")
    apply(4, 8.0, symbol="C/D")
    apply(4, 4.0, closed=False)
    market.apply(b"x:A/B", LIVE, b"{")
    live = market.watch(base, "x", "A/B", stored)
    apply(5, 5.0)
    found = live.base_bars("x", "A/B", 0, 10 * MINUTE)
    assert [(bar.ts // MINUTE, bar.close, bar.closed) for bar in found] == [
        (0, 1.0, True), (1, 1.0, True), (2, 1.0, True), (3, 3.5, True), (4, 4.0, True), (5, 5.0, True),
    ]  # fmt: skip
    assert live.late_after("x", "A/B", 0) == (0, [])


def test_a_ring_gives_each_record_once_and_counts_what_it_no_longer_has() -> None:
    """Beside a plain list."""
    rng = random.Random(3)
    ring: RecordRing[int] = RecordRing(20, identity=lambda each: each, known_at=lambda each: each)
    everything: list[int] = []
    number, got, lost = 0, [], 0
    for _ in range(500):
        for _ in range(rng.randrange(30)):
            assert ring.append(len(everything))
            everything.append(len(everything))
        if everything:
            assert not ring.append(everything[-1])
        until = rng.choice([FOREVER, len(everything) - 5])
        number, found, missed = ring.after(number, until)
        lost += missed
        got += found
        assert number == len(got) + lost
        assert all(each <= until for each in found)
    assert got == sorted(set(got))
    assert len(got) + lost + len(ring.after(number, FOREVER)[1]) == len(everything)
    assert ring.latest(3, everything[-2]) == everything[-4:-1]


def test_stored_records_come_before_those_that_arrive_and_none_twice() -> None:
    live, series = LiveRecords(), RecordSeries(MARKET_TRADES, "x", "A/B")
    trades = [Trade("x", "A/B", n, str(n), 1.0, 1.0, "buy") for n in range(10)]

    def apply(trade: Trade, written_at: int) -> bool:
        return live.apply(MARKET_TRADES, b"x:A/B", LIVE, encode(trade), written_at)

    assert live.watch(series)
    assert not live.watch(series)
    assert live.topics == {MARKET_TRADES}
    apply(trades[6], 0)
    live.fill(series, trades[3:6])
    for trade in trades[:8]:  # the reader begins earlier than the subscription
        apply(trade, 0)
    assert apply(trades[8], FOREVER)
    assert not apply(trades[8], FOREVER)
    assert [trade.ts for trade in live.after(series, 0, FOREVER)[1]] == [3, 4, 5, 6, 7, 8]
    assert apply(trades[0], FOREVER)  # a late one, which was not stored
    for wrong in (Trade("x", "A/B", -1, "1", 1.0, 1.0, "buy"), Trade("x", "A/B", 1, "", 1.0, 1.0, "buy")):
        with pytest.raises(InvalidInput):
            apply(wrong, 0)
    live.unwatch(series)
    live.unwatch(series)
    assert live.topics == set()
    assert not apply(trades[9], 0)


def test_each_series_of_points_gets_its_own() -> None:
    live = LiveRecords()
    mine, other = (RecordSeries(MARKET_POINTS, "x", "A/B", name) for name in ("mine", "other"))
    live.watch(mine)
    live.watch(other)
    ticker = RecordSeries(MARKET_TICKERS, "x", "A/B")
    live.watch(ticker)
    points = [Point("x", "A/B", "1m", name, n * MINUTE, 1.0) for n in range(3) for name in ("mine", "other", "third")]
    for point in points:
        live.apply(MARKET_POINTS, b"x:A/B", LIVE, encode(point), FOREVER)
    live.apply(MARKET_TICKERS, b"x:A/B", LIVE, encode(Ticker("x", "A/B", 5, 1.0)), FOREVER)
    assert live.after(mine, 0, FOREVER)[1] == [point for point in points if point.series == "mine"]
    assert live.after(other, 0, 2 * MINUTE)[1] == [point for point in points if point.series == "other"][:2]
    assert live.after(ticker, 0, 4) == (0, [], 0)  # a later event than the limit
    assert live.after(ticker, 0, 5)[0] == 1


class Limits:
    """The limits of a market that a replay records."""

    def __init__(self, until: int) -> None:
        self.until = until
        self.future = False

    def of_market(self, _exchange: str) -> int:
        return self.until


class Follower:
    """Keeps what a channel sends."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.kinds: list[str] = []
        self.trades: list[str] = []
        channel.subscribers.add(self)

    def send(self, message: SharedMessage) -> None:
        self.kinds.append(message.kind)
        self.trades += [trade["id"] for trade in json.loads(message.text(0, b'""')).get("trades", [])]

    def send_snapshot(self) -> None:
        self.trades = []
        for message in self.channel.snapshot(100, frozenset({"trades"})):
            self.send(message)


def test_a_jump_back_is_told_also_where_the_store_did_not_answer() -> None:
    """What lies beyond the new position must not stay at a client because a query failed once."""
    trades = [Trade("replay.tape", "A/B", n, str(n), 1.0, 1.0, "buy") for n in range(10)]
    limits: Any = Limits(9)
    answers = True

    def stored(until: int) -> list[Trade]:
        if not answers:
            raise Unavailable("the database does not answer; try again")
        return [trade for trade in trades if trade.ts <= until]

    live, series = LiveRecords(), RecordSeries(MARKET_TRADES, "replay.tape", "A/B")
    all_of_it = RecordSeries(MARKET_TRADES, "replay.tape", "A/B", future=True)
    live.watch(all_of_it)
    live.fill(all_of_it, trades)
    channel = MarketTradeChannel("trades", live, series, limits, stored)
    follower = Follower(channel)
    follower.send_snapshot()
    assert len(follower.trades) == 10
    limits.until, answers = 4, False
    for _ in range(2):
        with pytest.raises(Unavailable):
            channel.poll()
        channel.push()
    answers = True
    assert channel.poll()
    channel.push()
    assert follower.kinds.count("reset") == 1
    assert follower.trades == [trade.id for trade in trades if trade.ts <= 4]
    assert not channel.poll()
    limits.until = 6
    assert channel.poll()
    assert len(live.after(all_of_it, 0, FOREVER)[1]) == 10  # who asked for the future keeps it


def test_snapshots_of_many_lengths_are_not_all_kept() -> None:
    limits: Any = Limits(9)
    trades = [Trade("x", "A/B", n, str(n), 1.0, 1.0, "buy") for n in range(10)]
    live, series = LiveRecords(), RecordSeries(MARKET_TRADES, "x", "A/B")
    channel = MarketTradeChannel("trades", live, series, limits, lambda _until: trades)
    for count in range(1, 1_000):
        (message,) = channel.snapshot(count, frozenset({"trades"}))
        assert channel.snapshot(count, frozenset({"trades"}))[0] is message
    assert len(channel._snapshots) <= SNAPSHOTS_MAX


def test_results_are_kept_for_as_long_as_they_are_followed() -> None:
    view = PointsView("uid", 1)
    for n in range(1_000):
        symbol = ChartSymbol("x", "A/B", "uid", f"none{n}")
        view.follow(symbol)
        view.follow(symbol)
        view.unfollow(symbol)
        assert view.arrived_after(symbol, 0) == (0, [], 0)
        view.unfollow(symbol)
    assert not view._arrived


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0, 5_000.0])
def test_the_measured_speed_is_that_of_the_last_seconds(speed: float) -> None:
    meter = SpeedMeter()
    assert meter.speed(0.0) == 0
    for n in range(2_000):  # 40 s, of which the last 10 at this speed
        wall = n * 0.02
        meter.note(wall, int(1_000_000 + (wall * 7 if wall < 30 else 210 + (wall - 30) * speed) * 1_000))
    assert meter.speed(40.0) == pytest.approx(speed, rel=0.02)
    assert meter.speed(42.0) == 0
    meter.clear()
    assert meter.speed(42.0) == 0


def test_a_moment_is_too_short_to_measure_a_speed() -> None:
    meter = SpeedMeter()
    meter.note(10.0, 0)
    meter.note(10.000_005, 60_000)
    assert meter.speed(10.1) == 0
    meter.note(10.5, 120_000)
    assert meter.speed(10.5) == pytest.approx(240)


def test_requests_are_typed_by_their_channel() -> None:
    request = decode_request('{"type":"subscribe","id":"1","channel":"bars","symbol":"a:b","interval":"1m"}')
    assert request == SubscribeBars(type="subscribe", id="1", symbol="a:b", interval="1m")
    assert isinstance(decode_request('{"channel":"replay","id":"1","replay":"x","type":"subscribe"}'), SubscribeReplay)


def test_the_document_describes_what_is_sent() -> None:
    document = asyncapi_document()
    messages, schemas = document["components"]["messages"], document["components"]["schemas"]

    def check(name: str, text: bytes | str) -> None:
        reference = messages[name]["payload"]["$ref"].replace("components", "$defs_holder")
        schema = {"$ref": reference, "$defs_holder": {"schemas": json.loads(json.dumps(schemas).replace(
            "#/components/", "#/$defs_holder/"))}}  # fmt: skip
        jsonschema.validate(json.loads(text), schema)

    item = BarItem(0, 1.0, 1.0, 1.0, 1.0, 1.0, True)
    check("bars", SharedMessage(BarsMessage([item])).text(7, b'"a"'))
    check("pong", SharedMessage(Pong("", 1)).text(7, b""))
    state = ReplayMessage(
        "u", "n", "r", None, None, None, "0.0", 0, None, False, 0.0, False, False, 0, 0, 1
    )  # fmt: skip
    check("replay", SharedMessage(state).text(7, b'"a"'))
    check("subscribe.replay", '{"type":"subscribe","id":"a","channel":"replay","replay":"x"}')
    for wrong in (b'{"type":"bars","bars":[],"snapshot":true}', b'{"seq":1,"id":"a","type":"bars","bars":[{}]}'):
        with pytest.raises(jsonschema.ValidationError):
            check("bars", wrong)
    # every reference leads somewhere
    for operation in document["operations"].values():
        for each in operation["messages"]:
            name = each["$ref"].removeprefix("#/channels/socket/messages/")
            assert document["channels"]["socket"]["messages"][name]["$ref"] == f"#/components/messages/{name}"
            assert messages[name]["payload"]["$ref"].removeprefix("#/components/schemas/") in schemas
    assert msgspec.structs.fields(Welcome)[0].name in schemas["Welcome"]["properties"]
