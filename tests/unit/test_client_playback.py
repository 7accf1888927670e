"""The order of a replay's bars, whatever the answers of its symbols are cut into, and what a seek changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.playback import PlaybackOrder, PlayedBar
from tapedeck.times import close_of

MINUTE = 60_000
A, B = "replay/default/r:A/USD", "replay/default/r:B/USD"


def bar(ts: int) -> dict[str, float]:
    return {"ts": ts, "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 3.0}


def answer(
    opens: list[int],
    position: int | None,
    epoch: str = "0.0",
    start: int | None = None,
    *,
    more: bool = False,
    ended: bool = False,
) -> dict[str, Any]:
    replay = {"position": position, "epoch": epoch, "epoch_start": start, "ended": ended}
    return {"bars": [bar(ts) for ts in opens], "next": "more" if more else None, "replay": replay}


def seen(bars: list[PlayedBar]) -> list[tuple[str, int]]:
    return [(each.symbol, each.ts // MINUTE) for each in bars]


def test_a_bar_waits_until_every_symbol_is_complete_up_to_its_close() -> None:
    order = PlaybackOrder([A, B], "1m", 0)
    order.add(A, answer([0, MINUTE, 2 * MINUTE], 3 * MINUTE))
    assert order.take() == []
    order.add(B, answer([0], 2 * MINUTE))
    assert seen(order.take()) == [(A, 0), (B, 0), (A, 1)]
    assert (order.following(A), order.following(B)) == (2 * MINUTE + 1, 1)
    order.add(B, answer([2 * MINUTE], 3 * MINUTE))
    assert seen(order.take()) == [(A, 2), (B, 2)]


def test_a_page_that_is_full_is_complete_up_to_its_last_bar_alone() -> None:
    order = PlaybackOrder([A, B], "1m", 0)
    assert order.add(A, answer([0], 9 * MINUTE, more=True))
    order.add(B, answer([0, MINUTE], 9 * MINUTE))
    assert seen(order.take()) == [(A, 0), (B, 0)]


def test_it_continues_after_a_seek_with_the_first_bar_that_is_known_later() -> None:
    order = PlaybackOrder([A], "1m", 0)
    order.add(A, answer([0, MINUTE], 2 * MINUTE))
    assert seen(order.take()) == [(A, 0), (A, 1)]
    back = MINUTE + 1  # within the second bar, which is known at 2 minutes
    assert order.add(A, answer([], 2 * MINUTE, "1.0", back))  # it asks again from the seek
    assert order.following(A) <= MINUTE
    order.add(A, answer([0, MINUTE, 2 * MINUTE], 3 * MINUTE, "1.0", back))
    assert seen(order.take()) == [(A, 1), (A, 2)]


def test_bars_before_a_seek_that_were_not_taken_are_left_out() -> None:
    order = PlaybackOrder([A, B], "1m", 0)
    order.add(A, answer([0, MINUTE], 2 * MINUTE))
    order.add(B, answer([0], 2 * MINUTE, "1.0", 5 * MINUTE))
    order.add(A, answer([5 * MINUTE], 6 * MINUTE, "1.0", 5 * MINUTE))
    order.add(B, answer([5 * MINUTE], 6 * MINUTE, "1.0", 5 * MINUTE))
    assert seen(order.take()) == [(A, 5), (B, 5)]


def test_an_answer_of_an_earlier_epoch_is_ignored() -> None:
    order = PlaybackOrder([A], "1m", 0)
    order.add(A, answer([], 5 * MINUTE, "10.0", 5 * MINUTE))
    order.add(A, answer([0], 9 * MINUTE, "9.0", 0))
    assert order.take() == []


def test_it_ends_when_all_bars_of_an_ended_replay_are_taken() -> None:
    order = PlaybackOrder([A, B], "1m", 0)
    order.add(A, answer([0], MINUTE, ended=True))
    assert not order.ended
    order.add(B, answer([0], MINUTE, ended=True))
    assert not order.ended
    assert len(order.take()) == 2
    assert order.ended


@given(
    opens=st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 30)), unique=True, max_size=40),
    seed=st.integers(0, 1_000),
)
def test_the_order_is_that_of_all_bars_however_they_arrive(opens: list[tuple[str, int]], seed: int) -> None:
    """A gateway that reads a topic, asked at random moments for pages of random sizes."""
    chance = random.Random(seed)
    whole = sorted(opens, key=lambda each: (each[1], each[0]))  # bars of one length: by open is by close
    order, taken = PlaybackOrder([A, B], "1m", 0), list[PlayedBar]()
    position = 0
    while not order.ended:
        for symbol in (A, B):
            position = min(position + chance.randint(0, 3), 31)
            known = [n for name, n in sorted(whole) if name == symbol and n + 1 <= position]
            asked = [n for n in known if n * MINUTE >= order.following(symbol)]
            page = asked[: chance.randint(1, 4)]
            more = len(page) < len(asked)
            opens_ms = [n * MINUTE for n in page]
            order.add(symbol, answer(opens_ms, position * MINUTE, more=more, ended=position == 31))
        taken += order.take()
    assert seen(taken) == whole


@pytest.mark.parametrize(
    ("ts", "interval", "close"),
    [
        (0, "1m", 60_000),
        (0, "4h", 14_400_000),
        (1_704_067_200_000, "1M", 1_706_745_600_000),  # January 2024 → 1 February
        (1_701_388_800_000, "1M", 1_704_067_200_000),  # December 2023 → 1 January
    ],
)
def test_the_close_of_a_bar(ts: int, interval: str, close: int) -> None:
    assert close_of(ts, interval) == close
