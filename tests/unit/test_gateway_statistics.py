"""Statistics of closes against Python's own, and which bars a session expects."""

from __future__ import annotations

import math
import random
import statistics as stdlib
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN, Session
from tapedeck_gateway import statistics
from tapedeck_gateway.api_types.market import Hole
from tapedeck_gateway.statistics import ClosePrices
from tapedeck_gateway.store.coverage import expected_bars, session_parts

DAY, HOUR = 86_400_000, 3_600_000
NEW_YORK = Session(timezone="America/New_York", open="09:30", close="16:00", days=["Mon", "Tue", "Wed", "Thu", "Fri"])


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def walk(seed: int, count: int) -> list[float]:
    rng = random.Random(seed)
    price, prices = 100.0, []
    for _ in range(count):
        price *= math.exp(rng.gauss(0, 0.02))
        prices.append(price)
    return prices


def test_changes_volatility_and_its_annual_form() -> None:
    closes = walk(1, 50)
    changes = statistics.changes(np.array(closes))
    assert changes[0] is None
    assert changes[1:] == pytest.approx([b / a - 1 for a, b in pairwise(closes)])
    logs = [math.log(b / a) for a, b in pairwise(closes)]
    deviation = statistics.volatility(statistics.log_returns(np.array(closes)))
    assert deviation == pytest.approx(stdlib.stdev(logs))
    day, hour = BAR_LENGTHS["1d"], BAR_LENGTHS["1h"]
    assert statistics.annualised(0.01, day, ALWAYS_OPEN) == pytest.approx(0.01 * math.sqrt(365))
    assert statistics.annualised(0.01, hour, ALWAYS_OPEN) == pytest.approx(0.01 * math.sqrt(365 * 24))
    assert statistics.annualised(0.01, day, NEW_YORK) == pytest.approx(0.01 * math.sqrt(252))
    assert statistics.annualised(0.01, hour, NEW_YORK) == pytest.approx(0.01 * math.sqrt(252 * 6.5))
    assert statistics.annualised(None, day, NEW_YORK) is None


def test_series_that_are_too_short_or_have_no_return() -> None:
    assert statistics.changes(np.array([])) == []
    assert statistics.changes(np.array([1.0])) == [None]
    assert statistics.changes(np.array([0.0, 1.0, 2.0])) == [None, None, 1.0]
    assert statistics.volatility(statistics.log_returns(np.array([1.0, 2.0]))) is None
    assert statistics.log_returns(np.array([1.0, 0.0, 1.0, math.e])).tolist() == [1.0]


def test_correlation_is_that_of_common_times() -> None:
    closes = [walk(seed, 40) for seed in (1, 2)]
    times = [list(range(40)), [t for t in range(40) if t % 7]]
    series = [
        ClosePrices(np.array(ts), np.array([close[t] for t in ts])) for ts, close in zip(times, closes, strict=True)
    ]
    flat = ClosePrices(np.arange(40), np.full(40, 5.0))
    matrix, counts = statistics.correlation([*series, flat])
    common = times[1]
    first, second = ([math.log(close[b] / close[a]) for a, b in pairwise(common)] for close in closes)
    assert matrix[0][1] == matrix[1][0] == pytest.approx(stdlib.correlation(first, second))
    assert [matrix[0][0], matrix[1][1]] == pytest.approx([1.0, 1.0])
    assert [row[2] for row in matrix] == [None, None, None]
    assert (counts[0][0], counts[0][1], counts[1][1]) == (39, len(common) - 1, len(common) - 1)
    lone = ClosePrices(np.array([100, 101]), np.array([1.0, 2.0]))
    assert statistics.correlation([series[0], lone]) == ([[pytest.approx(1.0), None], [None, None]], [[39, 0], [0, 1]])


def test_a_session_expects_no_bar_while_the_market_is_closed() -> None:
    monday, sunday = ms("2024-03-04T00:00"), ms("2024-03-03T00:00")
    minute, day = BAR_LENGTHS["1m"], BAR_LENGTHS["1d"]
    assert expected_bars(NEW_YORK, minute, monday, monday + DAY) == 390
    assert expected_bars(NEW_YORK, minute, sunday, sunday + DAY) == 0
    assert expected_bars(NEW_YORK, minute, ms("2024-03-04T20:59"), monday + DAY) == 1  # winter: 16:00 is 21:00 UTC
    assert expected_bars(NEW_YORK, day, sunday, sunday + 7 * DAY) == 5
    assert expected_bars(ALWAYS_OPEN, minute, monday, monday + DAY) == 1_440
    assert expected_bars(ALWAYS_OPEN, BAR_LENGTHS["1M"], ms("2024-01-01T00:00"), ms("2024-03-02T00:00")) == 3


def test_holes_are_cut_to_the_sessions() -> None:
    minute = BAR_LENGTHS["1m"]
    close, opened = ms("2024-03-01T21:00"), ms("2024-03-04T14:30")  # Friday's close, Monday's open in UTC
    assert session_parts(NEW_YORK, minute, [(close, opened)]) == []
    late, early = close - 10 * 60_000, opened + 5 * 60_000
    assert session_parts(NEW_YORK, minute, [(late, early)]) == [Hole(late, close), Hole(opened, early)]
    assert session_parts(ALWAYS_OPEN, minute, [(late, late), (late, early)]) == [Hole(late, early)]
    friday, monday = ms("2024-03-01T00:00"), ms("2024-03-04T00:00")
    assert session_parts(NEW_YORK, BAR_LENGTHS["1d"], [(friday + DAY, monday)]) == []
    assert session_parts(NEW_YORK, BAR_LENGTHS["1d"], [(friday, monday)]) == [Hole(friday, monday)]
