"""The deck, case by case; test_replay_model has it against a model."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tapedeck_common.wire import Epoch
from tapedeck_crds.clock import Anchor
from tapedeck_replay.deck import PENDING_MAX, STALL_MS, Deck, TooManyControls

START, LAST = 10_000, 40_000
W0 = 1_000_000


def test_first_anchor_starts_the_clock() -> None:
    deck = Deck(START, LAST)
    assert deck.turn(W0) is None
    assert (deck.due(W0), deck.over(W0)) == (START, False)
    deck.offer(Anchor(number=1, v0=START, w0=W0 + 50, speed=2))
    assert not deck.turning(W0 + 49)
    assert deck.wait_ms(W0 + 40, None) == 10
    deck.turn(W0 + 50)
    assert deck.due(W0 + 60) == START + 20


def test_old_numbers_change_nothing() -> None:
    deck = Deck(START, LAST, anchor=Anchor(number=3, v0=START, w0=W0, speed=1))
    assert not deck.offer(Anchor(number=3, v0=START, w0=W0, speed=9))
    assert not deck.offer(Anchor(number=2, v0=LAST, w0=W0, speed=9, epoch=5))
    assert deck.offer(Anchor(number=5, v0=START, w0=W0 + 10, speed=4))
    assert not deck.offer(Anchor(number=4, v0=START, w0=W0 + 20, speed=7))
    deck.turn(W0 + 100)
    assert deck.anchor is not None
    assert deck.anchor.number == 5


def test_a_newer_anchor_for_an_earlier_time_drops_the_one_that_waits() -> None:
    deck = Deck(START, LAST)
    deck.offer(Anchor(number=1, v0=START, w0=W0, speed=1))
    deck.offer(Anchor(number=2, v0=START, w0=W0 + 500, speed=50))
    deck.offer(Anchor(number=3, v0=START, w0=W0 + 100, speed=3))
    deck.turn(W0 + 1_000)
    assert deck.anchor is not None
    assert (deck.anchor.number, deck.due(W0 + 1_000)) == (3, START + 2_700)


def test_what_was_unpaced_stands_until_virtual_time_has_come_to_it() -> None:
    deck = Deck(START, LAST)
    deck.offer(Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True))
    deck.turn(W0)
    assert math.isinf(deck.due(W0 + 1))
    deck.settle(math.inf, 30_000, 30_060)
    assert (deck.reached, deck.position(W0 + 1)) == (30_000, 30_000)
    deck.offer(Anchor(number=2, v0=29_900, w0=W0 + 100, speed=1))  # another shard was less far
    deck.turn(W0 + 130)
    assert deck.due(W0 + 190) == 30_000
    assert deck.due(W0 + 260) == 30_060


def test_unpaced_rounds_end_with_their_bars_and_until_holds_them() -> None:
    loop: dict[str, Any] = {"loop_rounds": 2, "loop_from": START, "loop_to": LAST}
    deck = Deck(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True, **loop))
    assert deck.due(W0 + 1) == LAST
    assert not deck.round_over(W0 + 1, 20_000)
    assert deck.round_over(W0 + 1, math.inf)
    assert (deck.next_round().v, deck.epoch) == (START, Epoch(0, 1))
    assert math.isinf(deck.due(W0 + 1))
    assert not deck.round_over(W0 + 1, math.inf)
    deck.offer(Anchor(number=2, v0=START, w0=W0 + 2, speed=1, unpaced=True, until=20_000))
    deck.turn(W0 + 2)
    assert (deck.due(W0 + 3), deck.held(W0 + 3), deck.over(W0 + 3)) == (20_000, True, False)


def test_after_a_stall_it_stands_still_until_there_is_a_new_anchor() -> None:
    for skip in (False, True):
        deck = Deck(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=2), skip=skip)
        deck.check_stall(W0 + STALL_MS, START + 1)
        assert not deck.stalled
        late = W0 + STALL_MS + 1
        deck.check_stall(late, START + 1)
        assert deck.stalled == skip
        assert deck.due(late) == (START if skip else START + 2 * (STALL_MS + 1))
    deck.offer(Anchor(number=2, v0=START, w0=W0 + 5_000, speed=2))
    deck.turn(W0 + 5_000)
    assert not deck.stalled
    assert deck.due(W0 + 5_010) == START + 20


def test_a_transaction_that_ends_within_an_event_time_is_not_complete_up_to_it() -> None:
    deck = Deck(START, LAST)
    deck.offer(Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True))
    deck.turn(W0)
    deck.settle(math.inf, 20_000, 20_000)
    assert deck.reached == 19_999


def test_the_tape_does_not_end_while_it_is_held() -> None:
    deck = Deck(START, LAST, anchor=Anchor(number=1, v0=LAST, w0=W0, speed=0))
    assert not deck.over(W0 + 10)
    deck.offer(Anchor(number=2, v0=LAST, w0=W0 + 20, speed=1))
    deck.turn(W0 + 20)
    assert deck.over(W0 + 20)


@pytest.mark.parametrize(("asked", "reached"), [(START - 1, START), (LAST + 1, LAST), (25_000, 25_000)])
def test_seeks_stay_within_the_tape(asked: int, reached: int) -> None:
    deck = Deck(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=1))
    deck.offer(Anchor(number=2, v0=asked, w0=W0 + 1, speed=1, epoch=1, seek_id="a"))
    jump = deck.turn(W0 + 1)
    assert jump is not None
    assert (jump.v, jump.clamped, deck.reached, deck.epoch) == (reached, asked != reached, reached, Epoch(1))


def test_controls_are_bounded() -> None:
    deck = Deck(START, LAST)
    for number in range(1, PENDING_MAX + 1):
        deck.offer(Anchor(number=number, v0=START, w0=W0 + number, speed=1))
    with pytest.raises(TooManyControls):
        deck.offer(Anchor(number=PENDING_MAX + 1, v0=START, w0=W0 + PENDING_MAX + 1, speed=1))
