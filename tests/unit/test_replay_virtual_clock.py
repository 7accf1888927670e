"""The virtual clock, case by case; test_replay_model compares it with a model."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tapedeck_common.wire import Epoch
from tapedeck_crds.clock import Anchor
from tapedeck_replay.clock.virtual_clock import PENDING_MAX, STALL_MS, TooManyPendingAnchors, VirtualClock

START, LAST = 10_000, 40_000
W0 = 1_000_000


def test_first_anchor_starts_the_clock() -> None:
    clock = VirtualClock(START, LAST)
    assert clock.activate(W0) is None
    assert (clock.publish_limit(W0), clock.may_end(W0)) == (START, False)
    clock.schedule(Anchor(number=1, v0=START, w0=W0 + 50, speed=2))
    assert not clock.has_anchor_due(W0 + 49)
    assert clock.sleep_ms(W0 + 40, None) == 10
    clock.activate(W0 + 50)
    assert clock.publish_limit(W0 + 60) == START + 20


def test_anchors_with_older_numbers_are_ignored() -> None:
    clock = VirtualClock(START, LAST, anchor=Anchor(number=3, v0=START, w0=W0, speed=1))
    assert not clock.schedule(Anchor(number=3, v0=START, w0=W0, speed=9))
    assert not clock.schedule(Anchor(number=2, v0=LAST, w0=W0, speed=9, epoch=5))
    assert clock.schedule(Anchor(number=5, v0=START, w0=W0 + 10, speed=4))
    assert not clock.schedule(Anchor(number=4, v0=START, w0=W0 + 20, speed=7))
    clock.activate(W0 + 100)
    assert clock.anchor is not None
    assert clock.anchor.number == 5


def test_a_newer_anchor_with_an_earlier_w0_replaces_a_pending_one() -> None:
    clock = VirtualClock(START, LAST)
    clock.schedule(Anchor(number=1, v0=START, w0=W0, speed=1))
    clock.schedule(Anchor(number=2, v0=START, w0=W0 + 500, speed=50))
    clock.schedule(Anchor(number=3, v0=START, w0=W0 + 100, speed=3))
    clock.activate(W0 + 1_000)
    assert clock.anchor is not None
    assert (clock.anchor.number, clock.publish_limit(W0 + 1_000)) == (3, START + 2_700)


def test_after_unpaced_the_clock_waits_until_virtual_time_catches_up() -> None:
    clock = VirtualClock(START, LAST)
    clock.schedule(Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True))
    clock.activate(W0)
    assert math.isinf(clock.publish_limit(W0 + 1))
    clock.record_progress(math.inf, 30_000, 30_060)
    assert (clock.reached, clock.position(W0 + 1)) == (30_000, 30_000)
    clock.schedule(Anchor(number=2, v0=29_900, w0=W0 + 100, speed=1))  # another shard has published less
    clock.activate(W0 + 130)
    assert clock.publish_limit(W0 + 190) == 30_000
    assert clock.publish_limit(W0 + 260) == 30_060


def test_unpaced_rounds_end_with_their_last_bar_and_until_holds_them() -> None:
    loop: dict[str, Any] = {"loop_rounds": 2, "loop_from": START, "loop_to": LAST}
    clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True, **loop))
    assert clock.publish_limit(W0 + 1) == LAST
    assert not clock.round_ended(W0 + 1, 20_000)
    assert clock.round_ended(W0 + 1, math.inf)
    assert (clock.next_round().v, clock.epoch) == (START, Epoch(0, 1))
    assert math.isinf(clock.publish_limit(W0 + 1))
    assert not clock.round_ended(W0 + 1, math.inf)
    clock.schedule(Anchor(number=2, v0=START, w0=W0 + 2, speed=1, unpaced=True, until=20_000))
    clock.activate(W0 + 2)
    assert (clock.publish_limit(W0 + 3), clock.is_held(W0 + 3), clock.may_end(W0 + 3)) == (20_000, True, False)


def test_after_a_stall_the_clock_stops_until_a_new_anchor() -> None:
    for skip in (False, True):
        clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=2), skip=skip)
        clock.detect_stall(W0 + STALL_MS, START + 1)
        assert not clock.stalled
        late = W0 + STALL_MS + 1
        clock.detect_stall(late, START + 1)
        assert clock.stalled == skip
        assert clock.publish_limit(late) == (START if skip else START + 2 * (STALL_MS + 1))
    clock.schedule(Anchor(number=2, v0=START, w0=W0 + 5_000, speed=2))
    clock.activate(W0 + 5_000)
    assert not clock.stalled
    assert clock.publish_limit(W0 + 5_010) == START + 20


def test_a_transaction_that_ends_between_records_of_one_event_time_is_not_complete_up_to_it() -> None:
    clock = VirtualClock(START, LAST)
    clock.schedule(Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True))
    clock.activate(W0)
    clock.record_progress(math.inf, 20_000, 20_000)
    assert clock.reached == 19_999


def test_the_pass_does_not_end_while_the_clock_is_held() -> None:
    clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=LAST, w0=W0, speed=0))
    assert not clock.may_end(W0 + 10)
    clock.schedule(Anchor(number=2, v0=LAST, w0=W0 + 20, speed=1))
    clock.activate(W0 + 20)
    assert clock.may_end(W0 + 20)


@pytest.mark.parametrize(("requested", "reached"), [(START - 1, START), (LAST + 1, LAST), (25_000, 25_000)])
def test_seeks_are_clamped_to_the_dataset(requested: int, reached: int) -> None:
    clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=1))
    clock.schedule(Anchor(number=2, v0=requested, w0=W0 + 1, speed=1, epoch=1, seek_id="a"))
    change = clock.activate(W0 + 1)
    assert change is not None
    assert (change.v, change.clamped, clock.reached, clock.epoch) == (reached, requested != reached, reached, Epoch(1))


def test_pending_anchors_are_bounded() -> None:
    clock = VirtualClock(START, LAST)
    for number in range(1, PENDING_MAX + 1):
        clock.schedule(Anchor(number=number, v0=START, w0=W0 + number, speed=1))
    with pytest.raises(TooManyPendingAnchors):
        clock.schedule(Anchor(number=PENDING_MAX + 1, v0=START, w0=W0 + PENDING_MAX + 1, speed=1))


@pytest.mark.parametrize(
    ("late", "ahead", "until_passed"),
    [
        ({"speed": 0.0}, True, False),
        ({"speed": 1.0}, True, True),
        ({"speed": 20.0}, False, True),
        ({"speed": 10.0, "until": START + 1_000}, True, False),
        ({"speed": 0.0, "epoch": 1, "seek_to": START}, False, False),
        ({"speed": 0.0, "settling": True}, False, False),
    ],
    ids=["pause", "slower", "faster", "until", "seek", "settling"],
)
def test_an_anchor_that_arrives_late_leaves_the_clock_ahead(
    late: dict[str, Any], ahead: bool, until_passed: bool
) -> None:
    clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=10))
    clock.record_progress(clock.publish_limit(W0 + 300), START + 3_000, START + 3_001)  # past the next anchor's w0
    clock.schedule(Anchor(number=2, v0=START + 1_000, w0=W0 + 100, **late))
    clock.activate(W0 + 300)
    assert clock.is_ahead(W0 + 300) == ahead
    if ahead:
        assert clock.publish_limit(W0 + 300) == START + 3_000  # nothing is published twice
        assert clock.is_ahead(W0 + 2_101) != until_passed  # virtual time has caught up: nothing is left to correct
        clock.schedule(Anchor(number=3, v0=START + 3_000, w0=W0 + 2_500, speed=1))
        clock.activate(W0 + 2_500)
        assert not clock.is_ahead(W0 + 2_500)


def test_an_anchor_that_was_missed_leaves_the_clock_ahead_although_the_next_is_in_time() -> None:
    clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=10))
    clock.schedule(Anchor(number=3, v0=START + 1_000, w0=W0 + 300, speed=1))  # number 2 paused at W0 + 100
    clock.record_progress(clock.publish_limit(W0 + 299), START + 2_990, START + 2_991)
    clock.activate(W0 + 300)
    assert clock.is_ahead(W0 + 300)


def test_an_anchor_in_time_that_goes_back_to_a_stalled_shard_is_no_late_control() -> None:
    clock = VirtualClock(START, LAST, anchor=Anchor(number=1, v0=START, w0=W0, speed=10))
    clock.schedule(Anchor(number=2, v0=START + 500, w0=W0 + 300, speed=10))  # another shard stalled there
    clock.record_progress(clock.publish_limit(W0 + 299), START + 2_990, START + 2_991)
    clock.activate(W0 + 300)
    assert (clock.is_ahead(W0 + 300), clock.publish_limit(W0 + 300)) == (False, START + 2_990)
