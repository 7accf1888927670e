"""The gateway's pure parts: names, coarser bars, outboxes, a replay's view, thinning, origins."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, Literal

import msgspec
import pandas as pd
import pytest

from tapedeck_common.market import Bar, Trade
from tapedeck_common.wire import End, Epoch, EpochStart, Start, Watermark, encode, replay_headers
from tapedeck_gateway.charts.bar_columns import TRIM, Candle, Series, coarser
from tapedeck_gateway.charts.symbols import Name, parse_name, resolutions_from, width_of
from tapedeck_gateway.push import outbox as outboxes
from tapedeck_gateway.push.outbox import Outbox
from tapedeck_gateway.routes.udf import ticks
from tapedeck_gateway.routes.websocket import allowed
from tapedeck_gateway.store.runs import EquityPoint, thinned
from tapedeck_gateway.topics import replay_view as views
from tapedeck_gateway.topics.replay_view import ReplayView

MINUTE = 60_000
T0 = 1_522_800_000_000
UID = "0b5f"


def candles(count: int, seed: int = 1, gaps: float = 0.2) -> list[Candle]:
    rng = random.Random(seed)
    made = []
    for i in range(count):
        if rng.random() >= gaps:
            o, c = rng.uniform(90, 110), rng.uniform(90, 110)
            made.append(
                Candle(T0 + i * MINUTE, o, max(o, c) + rng.random(), min(o, c) - rng.random(), c, rng.uniform(0, 9))
            )
    return made


@pytest.mark.parametrize(
    "text", ["coinbase:BTC/USD", "binance:BTC/USDT:USDT", "replay/0b5f-1/coinbase:BTC/USD", "a:B/C@sma5"]
)
def test_names_come_back_as_they_went(text: str) -> None:
    assert str(parse_name(text)) == text


def test_a_name_is_taken_apart() -> None:
    assert parse_name("replay/0b5f/binance:BTC/USDT:USDT") == Name("binance", "BTC/USDT:USDT", "0b5f")
    assert parse_name("replay.tape:BTC/USD@sma5") == Name("replay.tape", "BTC/USD", "", "sma5")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BTC/USD",
        "Coinbase:BTC",
        "a:b c",
        "replay//a:b",
        "replay/x/y",
        "a:" + "b" * 65,
        "a:B@SMA",
        "replay/x/a:B@sma",
    ],
)
def test_a_wrong_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="symbol: got"):
        parse_name(text)


def test_resolutions() -> None:
    assert [width_of(r) // MINUTE for r in ("1", "5", "15", "60", "240", "1D", "D")] == [1, 5, 15, 60, 240, 1440, 1440]
    assert resolutions_from(15 * MINUTE) == ["15", "60", "240", "1D"]
    for wrong in ("2", "", "1W", "-5", "5m"):
        with pytest.raises(ValueError, match="resolution: got"):
            width_of(wrong)


def test_steps_of_prices() -> None:
    assert [ticks(step) for step in (0.01, 0.05, 1e-8, 1.0, 0.5, 25.0, 100.0)] == [
        (1, 100), (5, 100), (1, 10**8), (1, 1), (5, 10), (25, 1), (100, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 240, 1440])
def test_coarser_bars_equal_pandas(minutes: int) -> None:
    finer = candles(3_000)
    known = T0 + 2_905 * MINUTE
    frame = pd.DataFrame([msgspec.structs.asdict(c) for c in finer]).set_index("ts")
    frame.index = pd.to_datetime(frame.index, unit="ms")
    wanted = (
        frame.resample(f"{minutes}min", origin="epoch")
        .agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
        .dropna()
    )
    found = coarser(finer, minutes * MINUTE, known)
    assert [pd.Timestamp(c.ts, unit="ms") for c in found] == list(wanted.index)
    for name in ("open", "high", "low", "close", "volume"):
        assert [getattr(c, name) for c in found] == pytest.approx(wanted[name].tolist())
    assert [c.closed for c in found] == [c.ts + minutes * MINUTE <= known for c in found]


def test_a_series_keeps_the_latest_and_corrects() -> None:
    series = Series(limit=100)
    for c in (wanted := candles(3_000, gaps=0.0)):
        series.put(c.ts, (c.open, c.high, c.low, c.close, c.volume))
    assert 100 <= len(series) <= 100 + TRIM
    assert list(series.candles(0, T0 * 2)) == wanted[-len(series) :]
    series.put(wanted[-2].ts, (1, 1, 1, 1, 1))
    series.put(wanted[-1].ts + 2 * MINUTE, (3, 3, 3, 3, 3))
    series.put(wanted[-1].ts + MINUTE, (2, 2, 2, 2, 2))
    assert [c.open for c in series.candles(wanted[-2].ts, T0 * 2)] == [1, wanted[-1].open, 2, 3]
    series.cut(wanted[-1].ts)
    assert [c.open for c in series.candles(wanted[-2].ts, T0 * 2)] == [1]


def told(box: Outbox) -> list[dict[str, Any]]:
    return [json.loads(message) for message in box.drain()]


def test_a_slow_reader_gets_each_bar_once_in_its_latest_state() -> None:
    async def run() -> None:
        box = Outbox()
        for i in range(1_000):
            box.bars(("a:b", "5"), [Candle(T0 + i // 100 * 5 * MINUTE, 1, 1, 1, i, 1, False)])
            box.latest("run", {"type": "run", "value": i})
        box.message({"type": "subscribed"})
        ack, bars, state = told(box)
        assert ack["type"] == "subscribed"
        assert [(bar[0] - T0) // (5 * MINUTE) for bar in bars["bars"]] == list(range(10))
        assert [bar[4] for bar in bars["bars"]] == list(range(99, 1_000, 100))
        assert state["value"] == 999
        assert not await box.wait(0.01)
        assert told(box) == []

    asyncio.run(run())


def test_a_reader_that_is_too_slow_is_found_out() -> None:
    box = Outbox()
    box.bars(("a:b", "1"), [Candle(i, 1, 1, 1, 1, 1) for i in range(outboxes.MAX_BARS)])
    box.bars(("a:b", "1"), [Candle(5, 2, 2, 2, 2, 2)])
    enough = box.overfull
    box.bars(("c:d", "1"), [Candle(5, 2, 2, 2, 2, 2)])
    assert (enough, box.overfull) == (False, True)
    other = Outbox()
    for _ in range(outboxes.MAX_MESSAGES + 1):
        other.message({"type": "fills"})
    assert other.overfull


def test_a_reset_takes_back_what_waits() -> None:
    box = Outbox()
    box.bars(("a:b", "1"), [Candle(1, 1, 1, 1, 1, 1)])
    box.bars(("a:b", "5"), [Candle(1, 1, 1, 1, 1, 1)])
    box.reset(("a:b", "1"))
    box.bars(("a:b", "1"), [Candle(2, 1, 1, 1, 1, 1)])
    kinds = [(m["type"], m["resolution"], [bar[0] for bar in m.get("bars", [])]) for m in told(box)]
    assert kinds == [("reset", "1", []), ("bars", "5", [1]), ("bars", "1", [2])]


class Reel:
    """Feeds a view as the topic would."""

    def __init__(self, partitions: int = 1, store: bool = True, channel: Literal["bars", "trades"] = "bars") -> None:
        self.view = ReplayView(UID, partitions)
        self.epoch = Epoch()
        source: dict[str, dict[str, str]] = {"store": {}} if store else {"files": {}}
        start = Start(
            UID, "n", "default", msgspec.Raw(json.dumps({"source": source}).encode()), "x", ["A", "B"], "1m",
            T0, T0 + 10**9, {"A": 1, "B": 1}, "", channel=channel,
        )  # fmt: skip
        for partition in range(partitions):
            self.control(start, partition)

    def control(self, record: Start | EpochStart | Watermark | End, partition: int = 0) -> bool:
        return self.view.take(partition, replay_headers(UID, self.epoch, control=True), encode(record))

    def bar(self, minute: int, symbol: str = "A", partition: int = 0) -> None:
        bar = Bar("x", symbol, "1m", T0 + minute * MINUTE, minute + 1, minute + 1, minute + 1, minute + 1, 1)
        assert not self.view.take(partition, replay_headers(UID, self.epoch), encode(bar))

    def trade(self, after_ms: int, price: float) -> None:
        trade = Trade("x", "A", T0 + after_ms, str(after_ms), price, 2.0, "buy")
        assert not self.view.take(0, replay_headers(UID, self.epoch), encode(trade))

    def mark(self, minute: int, partition: int = 0) -> bool:
        return self.control(Watermark(str(self.epoch), T0 + minute * MINUTE), partition)

    def jump(self, minute: int, epoch: int, partition: int = 0) -> None:
        self.epoch = Epoch(epoch)
        self.control(EpochStart(str(self.epoch), T0 + minute * MINUTE, "seek"), partition)

    def ended(self) -> bool:
        return self.view.ended

    def minutes(self, symbol: str = "A") -> list[int]:
        return [(c.ts - T0) // MINUTE for c in self.view.base("x", symbol, 0, T0 * 2)]


def test_bars_wait_for_their_watermark() -> None:
    reel = Reel()
    for minute in range(10):
        reel.bar(minute)
    assert reel.minutes() == []
    assert reel.mark(4)  # a bar is known at its close
    assert reel.minutes() == [0, 1, 2, 3]
    assert reel.mark(10)
    assert reel.minutes() == list(range(10))
    assert not reel.mark(10)


def test_trades_become_bars_as_far_as_their_watermark_goes() -> None:
    reel = Reel(channel="trades")
    for after_ms, price in ((0, 5.0), (59_999, 9.0), (60_000, 4.0), (61_000, 3.0), (100_000, 8.0), (190_000, 1.0)):
        reel.trade(after_ms, price)
    assert reel.control(Watermark("0.0", T0 + 61_000))
    now = reel.view.changed("x", "A", MINUTE, T0)[1]
    assert now == [Candle(T0, 5, 9, 5, 9, 4), Candle(T0 + MINUTE, 4, 4, 3, 3, 4, False)]
    reel.control(Watermark("0.0", T0 + 200_000))
    assert reel.view.base("x", "A", T0 + MINUTE, T0 + 4 * MINUTE) == [
        Candle(T0 + MINUTE, 4, 8, 3, 8, 6),
        Candle(T0 + 3 * MINUTE, 1, 1, 1, 1, 2),
    ]
    reel.epoch = Epoch(1)
    reel.control(EpochStart("1.0", T0 + 70_000, "seek"))
    assert reel.minutes() == [0]
    assert reel.view.floor == T0 + 2 * MINUTE  # the bar around the jump lacks what came before it


def test_a_jump_back_drops_the_future_and_what_waits() -> None:
    reel = Reel()
    for minute in range(10):
        reel.bar(minute)
    reel.mark(8)
    reel.jump(5, 1)
    assert reel.minutes() == [0, 1, 2, 3, 4]
    assert reel.view.position == T0 + 5 * MINUTE
    assert reel.view.generation == 1
    reel.mark(5)
    reel.bar(5)
    reel.mark(6)
    assert reel.minutes() == [0, 1, 2, 3, 4, 5]


def test_a_jump_on_leaves_a_hole_to_the_store() -> None:
    reel = Reel()
    reel.bar(0)
    reel.mark(1)
    assert reel.view.floor == T0
    reel.jump(100, 1)
    reel.bar(100)
    reel.mark(101)
    assert reel.minutes() == [0, 100]
    assert reel.view.floor == T0 + 100 * MINUTE
    reel.jump(50, 2)
    assert reel.view.floor == T0 + 50 * MINUTE


def test_several_partitions_go_by_the_slowest() -> None:
    reel = Reel(partitions=2)
    for minute in range(10):
        reel.bar(minute, "A", 0)
    reel.mark(10, 0)
    assert reel.minutes("A") == []
    reel.bar(0, "B", 1)
    reel.mark(3, 1)
    assert (reel.minutes("A"), reel.minutes("B")) == ([0, 1, 2], [0])
    reel.jump(2, 1, 0)
    assert reel.minutes("A") == [0, 1]
    reel.bar(2, "A", 0)
    reel.mark(3, 0)
    assert reel.minutes("A") == [0, 1]  # the other has not jumped yet
    reel.epoch = Epoch(0)
    reel.bar(5, "B", 1)
    reel.mark(6, 1)
    assert reel.view.position == T0 + 2 * MINUTE
    reel.jump(2, 1, 1)
    reel.mark(3, 1)
    assert (reel.minutes("A"), reel.minutes("B")) == ([0, 1, 2], [0])


def test_a_partition_that_runs_ahead_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "WAITING_BARS", 5)
    reel = Reel(partitions=2)
    for minute in range(5):
        assert not reel.view.ahead(0)
        reel.bar(minute)
    assert reel.view.ahead(0)
    reel.mark(5, 0)
    reel.mark(5, 1)
    assert not reel.view.ahead(0)


def test_the_end_is_of_all_partitions_and_of_the_last_epoch() -> None:
    reel = Reel(partitions=2)
    reel.control(End("0.0", T0 + MINUTE, 3), 0)
    assert not reel.ended()
    reel.control(End("0.0", T0 + MINUTE, 4), 1)
    assert reel.ended()
    assert reel.view.published == 7
    reel.jump(0, 1, 0)
    assert not reel.ended()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "VIEW_BARS", 1_200)
    reel = Reel()
    for minute in range(5_000):
        reel.bar(minute)
    reel.mark(5_000)
    left = reel.minutes()
    assert 600 <= len(left) <= 600 + TRIM
    assert left == list(range(5_000 - len(left), 5_000))
    assert reel.view.floor == T0 + left[0] * MINUTE


def test_a_strange_record_is_refused() -> None:
    reel = Reel()
    with pytest.raises(ValueError, match="header td: got replay"):
        reel.view.take(0, replay_headers("other", Epoch()), b"{}")
    with pytest.raises(ValueError, match="header td: missing"):
        reel.view.take(0, None, b"{}")
    with pytest.raises(ValueError, match="Object missing required field"):
        reel.view.take(0, replay_headers(UID, Epoch()), b"{}")


@pytest.mark.parametrize("limit", [4, 10, 101, 1_000])
def test_thinning_keeps_ends_and_extremes(limit: int) -> None:
    rng = random.Random(limit)
    points = [EquityPoint(i, T0 + i, rng.uniform(1, 2), 0, None, None, None) for i in range(5_000)]
    kept = thinned(points, limit)
    assert len(kept) <= limit
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert [p.seq for p in kept] == sorted({p.seq for p in kept})
    for extreme in (min, max):
        assert extreme(points, key=lambda p: p.value) in kept
    assert thinned(points[:limit], limit) == points[:limit]


@pytest.mark.parametrize(
    ("origin", "host", "also", "fine"),
    [
        (None, "deck:80", [], True),
        ("http://deck", "deck", [], True),
        ("https://deck:8443", "deck:8443", [], True),
        ("http://localhost:5173", "127.0.0.1:8000", [], True),
        ("http://localhost:5173", "deck", [], False),
        ("http://evil.example", "127.0.0.1:8000", [], False),
        ("http://127.0.0.1.evil.example", "127.0.0.1:8000", [], False),
        ("null", "127.0.0.1:8000", [], False),
        ("http://evil.example", "deck", ["http://evil.example"], True),
    ],
)
def test_origins(origin: str | None, host: str, also: list[str], fine: bool) -> None:
    assert allowed(origin, host, also) is fine
