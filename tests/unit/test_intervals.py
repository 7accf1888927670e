"""Opens and closes of bars, against pandas' calendar."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_common.bar_times import closes_of, opens_of
from tapedeck_common.market import Bar, bar_problem, event_time
from tapedeck_crds.intervals import BAR_LENGTHS, Interval, finer_lengths

BINANCE = pd.Timestamp("2024-03-31")  # a three-day candle of Binance's opens here; its next on 3 April
EVENTS = Path(__file__).parents[2] / "workloads/gateway/web/test/bars_of_events.json"
OFFSETS = {"1w": "W-SUN", "1M": "M"}  # pandas' periods: weeks end on Sunday
times = st.integers(0, 4_102_444_800_000 - 1)
intervals = st.sampled_from(get_args(Interval))


def expected(interval: str, ts: int) -> tuple[int, int]:
    """Open and close of the bar that contains ``ts``, by pandas."""
    moment = pd.Timestamp(ts, unit="ms")
    if interval in OFFSETS:
        period = moment.to_period(OFFSETS[interval])
        opened, closed = period.start_time, (period + 1).start_time
    else:
        width = pd.Timedelta(interval.replace("d", "D"))
        start = BINANCE if interval == "3d" else pd.Timestamp(0)
        opened = start + (moment - start) // width * width
        closed = opened + width
    return opened.value // 1_000_000, closed.value // 1_000_000


@pytest.mark.parametrize("case", json.loads(EVENTS.read_text()), ids=lambda case: f"{case['interval']} {case['event']}")
def test_what_is_known_at_an_event_time_happened_in_the_bar_that_the_page_takes(case: dict[str, str]) -> None:
    event, opened = (int(datetime.fromisoformat(case[name]).timestamp() * 1000) for name in ("event", "open"))
    assert BAR_LENGTHS[case["interval"]].open_of_event(event) == opened


@given(interval=intervals, ts=times)
def test_opens_and_closes_equal_pandas(interval: str, ts: int) -> None:
    length = BAR_LENGTHS[interval]
    opened, closed = expected(interval, ts)
    assert (length.open_of(ts), length.close_of(ts)) == (opened, closed)
    assert length.first_open(opened) == opened
    assert length.first_open(opened + 1) == closed
    assert length.opens(length.number(ts)) == opened
    assert event_time(Bar("x", "A", interval, opened, 1, 1, 1, 1, 1)) == closed
    assert length.open_times(opened - 1, closed + 1, 9) == [opened, closed]
    assert length.shifted(closed, -1) == opened
    assert opens_of(length, np.array([ts])).tolist() == [opened]
    assert closes_of(length, np.array([opened])).tolist() == [closed]


@given(coarse=intervals, fine=intervals, ts=times)
def test_a_bar_consists_of_whole_finer_bars(coarse: str, fine: str, ts: int) -> None:
    if not BAR_LENGTHS[coarse].consists_of(BAR_LENGTHS[fine]):
        return
    opened, closed = expected(coarse, ts)
    assert expected(fine, opened)[0] == opened
    assert expected(fine, closed)[0] == closed


def test_the_finer_intervals() -> None:
    assert [each.interval for each in finer_lengths("1M")] == [
        "1d", "12h", "8h", "6h", "4h", "2h", "1h", "30m", "15m", "5m", "3m", "1m", "1s"
    ]  # fmt: skip
    assert [each.interval for each in finer_lengths("1w")][:2] == ["1d", "12h"]  # three days cross a Monday
    assert next(finer_lengths("3d")).interval == "1d"
    assert next(finer_lengths("8h")).interval == "4h"
    assert list(finer_lengths("1s")) == []


def rfc3339(ts: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(milliseconds=ts)).isoformat() + "Z"


@pytest.mark.parametrize(
    ("interval", "text"),
    [("1w", "2018-04-05"), ("1w", "1970-01-01"), ("1M", "2018-04-02"), ("3d", "2018-04-04"), ("8h", "2018-04-04T04")],
)
def test_a_bar_that_opens_elsewhere_is_refused(interval: str, text: str) -> None:
    ts = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    opened = expected(interval, ts)[0]
    problem = bar_problem(Bar("x", "A", interval, ts, 1, 1, 1, 1, 1))
    assert problem == f"ts: got {rfc3339(ts)}, expected the open of a bar of {interval}, such as {rfc3339(opened)}"
    assert bar_problem(Bar("x", "A", interval, opened, 1, 1, 1, 1, 1)) is None
    assert bar_problem(Bar("x", "A", interval, 10**18 + 1, 1, 1, 1, 1, 1)) is not None  # in no calendar


@pytest.mark.parametrize("ts", [-(2**62), 2**62, 253_402_300_800_000])
def test_a_month_that_no_calendar_has_is_refused(ts: int) -> None:
    assert bar_problem(Bar("x", "A", "1M", ts, 1, 1, 1, 1, 1)) is not None
