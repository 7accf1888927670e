"""Trades that are missing by ids that count up, against sets of ids."""

from __future__ import annotations

import random
import re
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_common.market import Trade
from tapedeck_common.trade_gaps import GAPS_MAX, TradeGapFinder, format_ids, missing_ranges


def trade(trade_id: str, ts: int) -> Trade:
    return Trade("x", "A/B", ts, trade_id, 1.0, 1.0, "buy")


def finder_of(trades: list[Trade]) -> TradeGapFinder:
    finder = TradeGapFinder()
    for each in trades:
        finder.add(each)
    return finder


def ids_of(text: str) -> set[int]:
    """The ids of ``5-7, 9``, with an en dash."""
    ranges = [re.fullmatch("([0-9]+)(?:\N{EN DASH}([0-9]+))?", part) for part in text.split(", ")]
    return {each for found in ranges if found for each in range(int(found[1]), int(found[2] or found[1]) + 1)}


@pytest.mark.parametrize("jitter", [0, 3])
def test_absent_ids_are_found_whatever_the_order_within_a_moment(jitter: int) -> None:
    """500 ids of which 40 are absent, most one by one; a clock that lags swaps neighbours."""
    rng = random.Random(jitter)
    absent = {11_025 + n for n in range(9)} | set(rng.sample(range(11_040, 11_480), 31))
    there = [n for n in range(11_000, 11_500) if n not in absent]
    trades = [trade(str(n), n * 10 + rng.randint(0, jitter * 10)) for n in there]
    trades.sort(key=lambda each: (each.ts, int(each.id)))
    finder = finder_of(trades)
    gaps = finder.gaps("x", "A/B", "open")
    assert finder.missing == sum(gap.trades for gap in gaps) == len(absent) == 40
    assert set().union(*(ids_of(gap.ids) for gap in gaps)) == absent
    assert all(gap.interval == "" and gap.start < gap.end and ids_of(gap.ids) for gap in gaps)
    if not jitter:
        assert (gaps[0].ids, gaps[0].start, gaps[0].end) == ("11025\N{EN DASH}11033", 110_240, 110_340)


def test_gaps_that_begin_in_one_moment_are_one() -> None:
    ids = [*range(1, 40), 45, 50, *range(51, 60)]
    (gap,) = finder_of([trade(str(n), 39 if 39 <= n <= 45 else n) for n in ids]).gaps("x", "A/B", "open")
    assert (gap.ids, gap.trades, gap.start, gap.end) == ("40\N{EN DASH}44, 46\N{EN DASH}49", 9, 39, 50)


@pytest.mark.parametrize(
    "ids",
    [
        [str(uuid.UUID(int=n)) for n in range(100)],
        [str(n * 3) for n in range(100)],  # numbers of all markets of an exchange
        [str(random.Random(n).getrandbits(63)) for n in range(100)],
        ["1", "3"],  # too few to say
        [*map(str, range(50)), "x", *map(str, range(90, 150))],
    ],
)
def test_ids_that_do_not_count_up_have_no_gaps(ids: list[str]) -> None:
    finder = finder_of([trade(each, n) for n, each in enumerate(ids)])
    assert (finder.missing, finder.gaps("x", "A/B", "open")) == (0, [])


def test_any_number_of_gaps_is_counted_in_bounded_memory() -> None:
    there = [n for n in range(5 * (GAPS_MAX + 100)) if n % 5]
    finder = finder_of([trade(str(n), n) for n in there])
    assert finder.missing == GAPS_MAX + 99
    assert len(finder.gaps("x", "A/B", "open")) == GAPS_MAX


def test_ranges_are_named() -> None:
    assert format_ids(missing_ranges([11_024, 11_056])) == "11025\N{EN DASH}11055"
    many = missing_ranges([1, 3, 7, 8, 10, 12, 14])
    assert format_ids(many) == "2, 4\N{EN DASH}6, 9 and 2 more ranges"


def test_refused_trades_are_not_missing() -> None:
    finder = finder_of([trade(str(n), n) for n in range(1, 101) if n not in (20, 21, 40, 41, 42)])
    finder.exclude([21, 41, 0, 50, 101])
    assert finder.missing == 3
    assert [gap.ids for gap in finder.gaps("x", "A/B", "open")] == ["20", "40, 42"]


@given(
    st.lists(st.lists(st.integers(1, 60) | st.integers(1, 400), min_size=1, max_size=25, unique=True).map(sorted)),
    st.sets(st.integers(1, 60), max_size=5),
)
def test_trades_in_columns_have_the_gaps_of_trades_one_by_one(parts: list[list[int]], refused: set[int]) -> None:
    together, single, ts = TradeGapFinder(), TradeGapFinder(), 0
    for number, ids in enumerate(parts):
        trades = [Trade("x", "A/B", ts + 7 * n, str(id), 1.0, 1.0, "buy") for n, id in enumerate(ids)]
        ts += 1_000
        if number % 3 == 2:
            for trade in trades:
                together.add(trade)
        else:
            together.add_all(np.array(ids), np.array([trade.ts for trade in trades]))
        for trade in trades:
            single.add(trade)
    for finder in (together, single):
        finder.exclude(refused)
    assert together.missing == single.missing
    assert together.gaps("x", "A/B", "open") == single.gaps("x", "A/B", "open")
