"""Marks as TradingView's charts take them: on the open of a bar of the resolution, the last bar too, ten of a bar."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import psycopg
import pytest

from pods.expected_bars import T0
from pods.gateway import MINUTE, Gateway, insert_bars, insert_fills, insert_run, insert_trades, walk

DAY = 1_440 * MINUTE
LATER = T0 + 40 * DAY  # T0 is a Wednesday in April 2018


def opened(ts: int, resolution: str) -> int:
    """The open of a bar in seconds, by the calendar."""
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
def test_a_mark_is_at_the_open_of_its_bar(gateway: Gateway, fills: list[int], resolution: str) -> None:
    of_bars: dict[int, list[int]] = defaultdict(list)
    for seq, ts in enumerate(fills):
        of_bars[opened(ts, resolution)].append(seq)
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
    first, last = opened(T0, resolution), opened(exits[1], resolution)
    found = gateway.get("/timescale_marks", **asked, from_=first, to=last)[1]
    expected = [(opened(exits[0], resolution), "T"), (opened(gap, resolution), "G"), (last, "T")]
    assert [(each["time"], each["label"]) for each in found] == expected
    limits = {"from_": 0, "to": last - 1}  # the bar before: it does not have the last exit
    assert [each["label"] for each in gateway.get("/timescale_marks", **asked, **limits)[1]] == ["T", "G"]
