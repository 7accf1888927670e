"""Marks as TradingView's charts take them: on the bar of the resolution that was traded, the last too, ten of a bar."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import backtrader as bt
import psycopg
import pytest

from pods.engine import run_engine
from pods.expected_bars import T0
from pods.gateway import MINUTE, Gateway, insert_bars, insert_fills, insert_run, insert_trades, walk
from tapedeck_common.market import Bar
from tapedeck_common.records import RunFill

DAY = 1_440 * MINUTE
LATER = T0 + 40 * DAY  # T0 is a Wednesday in April 2018


def traded(ts: int, resolution: str) -> int:
    """The open of the bar that ends at an event time or contains it, in seconds."""
    return opened(ts - 1, resolution)


def opened(ts: int, resolution: str) -> int:
    """The open of the bar that contains a time, in seconds, by the calendar."""
    moment = datetime.fromtimestamp(ts / 1000, UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match resolution:
        case "1M":
            return int(midnight.replace(day=1).timestamp())
        case "1W":
            return int(midnight.timestamp()) - moment.weekday() * 86_400
        case "1D":
            return int(midnight.timestamp())
        case minutes:
            return ts // 1000 - ts // 1000 % (60 * int(minutes))


@pytest.fixture
def fills(store: str) -> list[int]:
    """The times of a run's fills in coinbase:BTC/USD: seq by seq, some in the same bar."""
    insert_bars(store, walk(46, 5, T0))
    insert_run(store, "run-marks")
    times = [T0 + 7 * MINUTE + n * 11_400 for n in range(60)] + [LATER + n * 7 * 60 * MINUTE for n in range(40)]
    insert_fills(store, "run-marks", [(n, ts, "buy", 1.0, 100.0) for n, ts in enumerate(times)])
    return times


@pytest.mark.parametrize("resolution", ["1", "5", "60", "240", "1D", "1W", "1M"])
def test_a_mark_is_at_the_open_of_the_bar_that_was_traded(gateway: Gateway, fills: list[int], resolution: str) -> None:
    of_bars: dict[int, list[int]] = defaultdict(list)
    for seq, ts in enumerate(fills):
        of_bars[traded(ts, resolution)].append(seq)
    opens = sorted(of_bars)
    asked = {"symbol": "coinbase:BTC/USD", "resolution": resolution, "run": "run-marks"}
    marks = gateway.get("/marks", **asked, from_=opens[0], to=opens[-1])[1]
    expected = [(f"run-marks:{seq}", at) for at in opens for seq in of_bars[at][:10]]
    assert list(zip(marks["id"], marks["time"], strict=True)) == expected
    of_texts = dict(zip(marks["id"], marks["text"], strict=True))
    for at in opens:
        seqs, left = of_bars[at][:10], len(of_bars[at]) - 10
        texts = [of_texts[f"run-marks:{seq}"] for seq in seqs]
        assert texts[-1].endswith(f"; {left} more in this bar") == (left > 0)
        assert not any("more in this bar" in text for text in texts[:-1])
    one = gateway.get("/marks", **asked, from_=opens[0], to=opens[0])[1]
    assert one["id"] == [f"run-marks:{seq}" for seq in of_bars[opens[0]][:10]]


@pytest.mark.parametrize("resolution", ["5", "240", "1D", "1W", "1M"])
def test_a_mark_of_the_time_scale_is_at_the_open_of_its_bar(gateway: Gateway, store: str, resolution: str) -> None:
    insert_bars(store, walk(47, 5, T0))
    insert_run(store, "run-scale")
    exits = [T0 + 7 * MINUTE, LATER + 61 * MINUTE]
    insert_trades(store, "run-scale", [(n, 1.0, T0, 1.0, ts, 2.0) for n, ts in enumerate(exits)])
    gap = T0 + 13 * MINUTE
    with psycopg.connect(store) as connection:
        connection.execute(
            "INSERT INTO gaps (exchange, symbol, interval, start_ts, end_ts, state)"
            " VALUES ('coinbase', 'BTC/USD', '1m', to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0), 'unfillable')",
            (gap, gap + 3 * MINUTE),
        )
    asked = {"symbol": "coinbase:BTC/USD", "resolution": resolution, "run": "run-scale"}
    first, last = opened(T0, resolution), traded(exits[1], resolution)
    found = gateway.get("/timescale_marks", **asked, from_=first, to=last)[1]
    expected = [(traded(exits[0], resolution), "T"), (opened(gap, resolution), "G"), (last, "T")]
    assert [(each["time"], each["label"]) for each in found] == expected
    limits = {"from_": 0, "to": last - 1}  # the bar before: it does not have the last exit
    assert [each["label"] for each in gateway.get("/timescale_marks", **asked, **limits)[1]] == ["T", "G"]


class AllKinds(bt.Strategy):  # type: ignore[misc]
    """Buys at the market on the bar MARKET, and by a limit below the market on the bar LIMIT."""

    def next(self) -> None:
        if len(self) == MARKET:
            self.buy(size=1)
        if len(self) == LIMIT:
            self.buy(size=1, exectype=bt.Order.Limit, price=self.data.close[0] - 5)


MARKET, LIMIT = 3, 7  # the number of the bar on which the order is made, from 1
PRICES = [
    (100.0, 103.0, 99.0, 102.0), (110.0, 113.0, 109.0, 112.0), (120.0, 123.0, 119.0, 122.0),
    (130.0, 133.0, 129.0, 132.0), (140.0, 143.0, 139.0, 142.0), (150.0, 153.0, 149.0, 152.0),
    (160.0, 163.0, 159.0, 162.0), (170.0, 173.0, 169.0, 172.0), (180.0, 183.0, 150.0, 182.0),
    (190.0, 193.0, 189.0, 192.0), (200.0, 203.0, 199.0, 202.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broker", "of_market"),
    [({}, (4, 130.0)), ({"fill": "close"}, (3, 122.0))],
    ids=["a market order at the next open", "a market order at the close"],
)
@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_a_mark_is_on_the_bar_in_which_its_price_was_traded(
    gateway: Gateway, store: str, broker: dict[str, str], of_market: tuple[int, float], mode: str
) -> None:
    bars = [Bar("coinbase", "BTC/USD", "1m", T0 + n * MINUTE, *each, 5.0) for n, each in enumerate(PRICES)]
    insert_bars(store, bars)
    _, records = run_engine(mode, AllKinds, {"BTC/USD": bars}, broker)
    fills = [each for each in records if isinstance(each, RunFill)]
    insert_run(store, "run-kinds")
    insert_fills(store, "run-kinds", [(each.seq, each.ts, each.side, each.size, each.price) for each in fills])
    marks = gateway.get(
        "/marks",
        symbol="coinbase:BTC/USD",
        resolution="1",
        run="run-kinds",
        from_=T0 // 1000,
        to=bars[-1].ts // 1000,
    )[1]
    expected = [of_market, (9, 157.0)]  # the number of the bar, and the price: the ninth bar reaches the limit
    assert [(bars[number - 1].ts // 1000, price) for number, price in expected] == list(
        zip(marks["time"], [each.price for each in fills], strict=True)
    )
    shown = {bar.ts // 1000: bar for bar in bars}
    assert all(shown[at].low <= fill.price <= shown[at].high for at, fill in zip(marks["time"], fills, strict=True))
