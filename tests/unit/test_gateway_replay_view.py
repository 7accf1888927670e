"""A replay's view: its bars and results up to the watermark of all partitions."""

from __future__ import annotations

import json
import time
from typing import Literal

import msgspec
import pytest

from tapedeck_common.market import Bar, Point, Trade
from tapedeck_common.wire import Epoch, EpochStart, ReplayEnd, ReplayStart, Watermark, encode, replay_headers
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.bar_columns import EVICT_BARS, Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.topics import replay_view
from tapedeck_gateway.topics.points_view import PointsView
from tapedeck_gateway.topics.replay_view import ReplayView, StoredPart

MINUTE = 60_000
T0 = 1_522_800_000_000
UID = "0b5f"

SPECS = [
    b"[]",
    b"null",
    b"1",
    b'{"source": []}',
    b'{"record": {}}',
    b'{"transforms": [{}]}',
    b'{"transforms": 5}',
    b'{"a":',
]


class Topic:
    """Applies records to a view in the way the topic reader does."""

    def __init__(self, partitions: int = 1, store: bool = True, channel: Literal["bars", "trades"] = "bars") -> None:
        self.view = ReplayView(UID, partitions)
        self.epoch = Epoch()
        source: dict[str, dict[str, str]] = {"store": {}} if store else {"files": {}}
        start = ReplayStart(
            UID, "n", "default", msgspec.Raw(json.dumps({"source": source}).encode()), "x", ["A", "B"], "1m",
            T0, T0 + 10**9, {"A": 1, "B": 1}, "", channel=channel,
        )  # fmt: skip
        for partition in range(partitions):
            self.control(start, partition)

    def control(self, record: ReplayStart | EpochStart | Watermark | ReplayEnd, partition: int = 0) -> bool:
        return self.view.apply(partition, replay_headers(UID, self.epoch, control=True), encode(record))

    def bar(self, minute: int, symbol: str = "A", partition: int = 0) -> None:
        bar = Bar("x", symbol, "1m", T0 + minute * MINUTE, minute + 1, minute + 1, minute + 1, minute + 1, 1)
        assert not self.view.apply(partition, replay_headers(UID, self.epoch), encode(bar))

    def trade(self, after_ms: int, price: float) -> None:
        trade = Trade("x", "A", T0 + after_ms, str(after_ms), price, 2.0, "buy")
        assert not self.view.apply(0, replay_headers(UID, self.epoch), encode(trade))

    def watermark(self, minute: int, partition: int = 0) -> bool:
        return self.control(Watermark(str(self.epoch), T0 + minute * MINUTE), partition)

    def seek(self, minute: int, epoch: int, partition: int = 0) -> None:
        self.epoch = Epoch(epoch)
        self.control(EpochStart(str(self.epoch), T0 + minute * MINUTE, "seek"), partition)

    def ended(self) -> bool:
        return self.view.ended

    def minutes(self, symbol: str = "A") -> list[int]:
        return [(c.ts - T0) // MINUTE for c in self.view.base_bars("x", symbol, 0, T0 * 2)]


def test_bars_are_shown_once_the_watermark_covers_them() -> None:
    topic = Topic()
    for minute in range(10):
        topic.bar(minute)
    assert topic.minutes() == []
    assert topic.watermark(4)  # a bar is known at its close
    assert topic.minutes() == [0, 1, 2, 3]
    assert topic.watermark(10)
    assert topic.minutes() == list(range(10))
    assert not topic.watermark(10)


def test_trades_are_aggregated_up_to_the_watermark() -> None:
    topic = Topic(channel="trades")
    for after_ms, price in ((0, 5.0), (59_999, 9.0), (60_000, 4.0), (61_000, 3.0), (100_000, 8.0), (190_000, 1.0)):
        topic.trade(after_ms, price)
    assert topic.control(Watermark("0.0", T0 + 61_000))
    now = topic.view.bars_since("x", "A", BAR_LENGTHS["1m"], T0)[1]
    assert now == [Candle(T0, 5, 9, 5, 9, 4), Candle(T0 + MINUTE, 4, 4, 3, 3, 4, False)]
    topic.control(Watermark("0.0", T0 + 200_000))
    assert topic.view.base_bars("x", "A", T0 + MINUTE, T0 + 4 * MINUTE) == [
        Candle(T0 + MINUTE, 4, 8, 3, 8, 6),
        Candle(T0 + 3 * MINUTE, 1, 1, 1, 1, 2),
    ]
    topic.epoch = Epoch(1)
    topic.control(EpochStart("1.0", T0 + 70_000, "seek"))
    assert topic.minutes() == [0]
    assert topic.view.complete_from == T0 + 2 * MINUTE  # the bar at the new position lacks the trades before it


def test_a_seek_back_drops_later_bars_and_pending_ones() -> None:
    topic = Topic()
    for minute in range(10):
        topic.bar(minute)
    topic.watermark(8)
    topic.seek(5, 1)
    assert topic.minutes() == [0, 1, 2, 3, 4]
    assert topic.view.position == T0 + 5 * MINUTE
    assert topic.view.generation == 1
    topic.watermark(5)
    topic.bar(5)
    topic.watermark(6)
    assert topic.minutes() == [0, 1, 2, 3, 4, 5]


def test_a_seek_forward_leaves_earlier_bars_to_the_store() -> None:
    topic = Topic()
    topic.bar(0)
    topic.watermark(1)
    assert topic.view.complete_from == T0
    topic.seek(100, 1)
    topic.bar(100)
    topic.watermark(101)
    assert topic.minutes() == [0, 100]
    assert topic.view.complete_from == T0 + 100 * MINUTE
    topic.seek(50, 2)
    assert topic.view.complete_from == T0 + 50 * MINUTE


def test_a_bar_of_which_a_part_was_passed_over_is_left_out() -> None:
    """Of a source that is no store. Each bar has its minute as price, and volume 1."""
    topic, hour = Topic(store=False), BAR_LENGTHS["1h"]

    def hours() -> list[tuple[int, float, float, float]]:
        built = topic.view.bars_since("x", "A", hour, 0)[1]
        return [((bar.ts - T0) // MINUTE, bar.open, bar.close, bar.volume) for bar in built]

    def play(minutes: range) -> None:
        for minute in minutes:
            topic.bar(minute)
        topic.watermark(minutes.stop)

    play(range(90))
    assert hours() == [(0, 1, 60, 60), (60, 61, 90, 30)]
    topic.seek(200, 1)
    play(range(200, 250))  # the hours at 60 and 180 lack minutes
    assert hours() == [(0, 1, 60, 60), (240, 241, 250, 10)]
    topic.seek(80, 2)
    play(range(80, 130))  # what the view had before the seek forward continues
    assert hours() == [(0, 1, 60, 60), (60, 61, 120, 60), (120, 121, 130, 10)]
    topic.seek(400, 3)
    play(range(400, 410))
    assert topic.view.bars_since("x", "A", hour, None)[1] == []


def test_a_bar_that_the_topic_has_in_part_is_made_with_the_stores() -> None:
    topic, hour = Topic(), BAR_LENGTHS["1h"]
    topic.seek(100, 1)
    topic.bar(100)
    topic.watermark(101)
    opened = T0 + 60 * MINUTE
    assert topic.view.bars_since("x", "A", hour, None)[1] == []
    part = Candle(opened, 61, 500, 7, 100, 40)
    assert topic.view.bars_since("x", "A", hour, None, StoredPart(T0 + 99 * MINUTE, [part]))[1] == []
    stored = StoredPart(T0 + 100 * MINUTE, [part])
    assert topic.view.bars_since("x", "A", hour, None, stored)[1] == [Candle(opened, 61, 500, 7, 101, 41, False)]
    topic.bar(121)
    topic.watermark(122)
    both = [Candle(opened, 61, 500, 7, 101, 41), Candle(T0 + 120 * MINUTE, 122, 122, 122, 122, 1, False)]
    assert topic.view.bars_since("x", "A", hour, opened, stored)[1] == both
    assert topic.view.bars_since("x", "A", hour, None)[1] == both[1:]


def test_the_position_is_the_lowest_watermark_of_all_partitions() -> None:
    topic = Topic(partitions=2)
    for minute in range(10):
        topic.bar(minute, "A", 0)
    topic.watermark(10, 0)
    assert topic.minutes("A") == []
    topic.bar(0, "B", 1)
    topic.watermark(3, 1)
    assert (topic.minutes("A"), topic.minutes("B")) == ([0, 1, 2], [0])
    topic.seek(2, 1, 0)
    assert topic.minutes("A") == [0, 1]
    topic.bar(2, "A", 0)
    topic.watermark(3, 0)
    assert topic.minutes("A") == [0, 1]  # the other partition has not started the epoch yet
    topic.epoch = Epoch(0)
    topic.bar(5, "B", 1)
    topic.watermark(6, 1)
    assert topic.view.position == T0 + 2 * MINUTE
    topic.seek(2, 1, 1)
    topic.watermark(3, 1)
    assert (topic.minutes("A"), topic.minutes("B")) == ([0, 1, 2], [0])


def test_what_the_topic_had_before_tells_nothing_of_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, wall = Topic(), 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: wall)
    for minute in range(1, 500):
        wall += 0.01
        topic.watermark(minute)
    assert topic.view.measured_speed() == 0
    topic.view.mark_caught_up(0)
    for minute in range(500, 504):
        wall += 0.5
        topic.watermark(minute)
    assert topic.view.measured_speed() == pytest.approx(120)
    topic.control(ReplayEnd(str(topic.epoch), T0 + 503 * MINUTE, 0))
    assert topic.view.measured_speed() == 0


def test_results_that_a_seek_took_back_are_dropped() -> None:
    topic, results = Topic(), PointsView(UID, 1)
    mine = ChartSymbol("x", "A", UID, "mine")

    def publish(minute: int, value: float | None, epoch: int) -> None:
        point = Point("x", "A", "1m", "mine", T0 + minute * MINUTE, value)
        assert not results.apply(0, replay_headers(UID, Epoch(epoch)), encode(point))

    def shown() -> list[tuple[int, float]]:
        candles = results.candles(mine, "1m", topic.view.valid_until)
        return [((candle.ts - T0) // MINUTE, candle.close) for candle in candles]

    for minute in range(10):
        publish(minute, minute, 0)
    assert shown() == []
    topic.watermark(8)
    assert shown() == [(minute, minute) for minute in range(8)]
    topic.seek(5, 1)
    assert shown() == [(minute, minute) for minute in range(5)]
    publish(6, 60, 1)
    topic.watermark(10)
    assert shown() == [*((minute, minute) for minute in range(5)), (6, 60)]
    publish(6, None, 1)
    topic.seek(2, 2)
    topic.seek(20, 3)
    assert shown() == [(0, 0), (1, 1)]


def test_results_of_trades_of_one_millisecond_are_in_the_order_of_the_trades() -> None:
    topic, results = Topic(), PointsView(UID, 1)
    for seq, id, value in ((1, "2", 5.0), (0, "3", 9.0), (2, "1", 7.0)):
        point = Point("x", "A", "", "mine", T0, value, id, seq=seq)
        results.apply(0, replay_headers(UID, Epoch()), encode(point))
    topic.watermark(1)
    candles = results.candles(ChartSymbol("x", "A", UID, "mine"), "", topic.view.valid_until)
    assert [candle.close for candle in candles] == [9.0, 5.0, 7.0]


def test_a_partition_ahead_of_the_others_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_view, "PENDING_RECORDS", 5)
    topic = Topic(partitions=2)
    for minute in range(5):
        assert not topic.view.is_ahead(0)
        topic.bar(minute)
    assert topic.view.is_ahead(0)
    topic.watermark(5, 0)
    topic.watermark(5, 1)
    assert not topic.view.is_ahead(0)


def test_a_replay_has_ended_when_all_partitions_ended_in_the_last_epoch() -> None:
    topic = Topic(partitions=2)
    topic.control(ReplayEnd("0.0", T0 + MINUTE, 3), 0)
    assert not topic.ended()
    topic.control(ReplayEnd("0.0", T0 + MINUTE, 4), 1)
    assert topic.ended()
    assert topic.view.published == 7
    topic.seek(0, 1, 0)
    assert not topic.ended()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_view, "VIEW_BARS", 1_200)
    topic = Topic()
    for minute in range(5_000):
        topic.bar(minute)
    topic.watermark(5_000)
    left = topic.minutes()
    assert 600 <= len(left) <= 600 + EVICT_BARS
    assert left == list(range(5_000 - len(left), 5_000))
    assert topic.view.complete_from == T0 + left[0] * MINUTE


def test_trades_that_are_no_longer_known_are_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_view, "SERIES_TRADES", 100)
    topic = Topic(channel="trades")
    for after_ms in range(100):
        topic.trade(after_ms, 5.0)
    topic.control(Watermark("0.0", T0 + 99))
    assert topic.view.trades_between("x", "A", 0, T0 * 2)[1] == 0  # all are known
    topic.trade(100, 5.0)
    topic.control(Watermark("0.0", T0 + 100))
    trades, since = topic.view.trades_between("x", "A", T0 + 50, T0 + 60)
    assert [trade.ts - T0 for trade in trades] == list(range(50, 60))
    assert since == T0 + 2  # others of the oldest one's millisecond may be forgotten
    assert topic.view.trades_between("x", "B", 0, T0 * 2) == ([], 0)


def test_an_invalid_record_is_rejected() -> None:
    topic = Topic()
    with pytest.raises(ValueError, match="header td: got replay"):
        topic.view.apply(0, replay_headers("other", Epoch()), b"{}")
    with pytest.raises(ValueError, match="header td: missing"):
        topic.view.apply(0, None, b"{}")
    with pytest.raises(ValueError, match="Object missing required field"):
        topic.view.apply(0, replay_headers(UID, Epoch()), b"{}")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("interval", ["1m", "0z"])
def test_a_start_record_that_no_replay_writes_is_refused(spec: bytes, interval: str) -> None:
    start = {
        "type": "start", "uid": UID, "name": "n", "namespace": "default", "exchange": "x", "symbols": ["A"],
        "interval": interval, "range_from": T0, "range_to": T0 + 1, "rows": {}, "fingerprint": "",
    }  # fmt: skip
    value = json.dumps(start).encode()[:-1] + b', "spec": ' + spec + b"}"
    view = ReplayView(UID, 1)
    with pytest.raises((InvalidInput, msgspec.DecodeError)):
        view.apply(0, replay_headers(UID, Epoch(), control=True), value)
    assert view.start is None and view.length.ms == MINUTE


def test_a_time_that_no_market_has_is_refused() -> None:
    topic = Topic()
    with pytest.raises(InvalidInput, match="Watermark: got 9223372036854775808, expected times before the year 10000"):
        topic.control(Watermark("0.0", 2**63))
