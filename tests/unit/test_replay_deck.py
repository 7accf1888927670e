"""The deck against a model that steps through time by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_crds.clock import Anchor
from tapedeck_replay.deck import HEARTBEAT_MS, PENDING_MAX, Deck, TooManyControls

START, LAST = 10_000, 40_000
W0 = 1_000_000


@dataclass
class Playing:
    """What a player does with a deck, over a list of event times."""

    events: list[int]
    deck: Deck = field(default_factory=lambda: Deck(START, LAST))
    published: dict[int, list[int]] = field(default_factory=dict)
    floor: int = START

    def step(self, wall: int) -> None:
        if (jump := self.deck.turn(wall)) is not None:
            self.floor = jump.v
        due = self.deck.due(wall)
        now = [e for e in self.events if self.floor < e <= due]
        self.published.setdefault(self.deck.epoch, []).extend(now)
        self.floor = max([self.floor, *now])
        self.deck.settle(due, now[-1] if now else None, self.following)

    @property
    def following(self) -> float:
        return min((e for e in self.events if e > self.floor), default=math.inf)


@dataclass
class Model:
    """Virtual time moved on millisecond by millisecond; exact, since speeds are whole."""

    events: list[int]
    v: int = START
    speed: int = 0
    epoch: int = 0
    wall: int = W0
    changes: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    published: dict[int, list[int]] = field(default_factory=dict)
    shown: int = START

    def step(self, wall: int) -> None:
        while self.wall < wall:
            self.wall += 1
            self.v += self.speed
            for what, value in self.changes.pop(self.wall, []):
                if what == "speed":
                    self.speed = value
                else:
                    self.v = self.shown = min(max(value, START), LAST)
                    self.epoch += 1
        now = [e for e in self.events if self.shown < e <= self.v]
        self.published.setdefault(self.epoch, []).extend(now)
        self.shown = max(self.shown, self.v)


Operation = tuple[str, int, int]
operations = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(1, 400), st.just(0)),
        st.tuples(st.just("speed"), st.integers(1, 40), st.integers(0, 60)),
        st.tuples(st.just("speed"), st.just(0), st.integers(0, 60)),
        st.tuples(st.just("seek"), st.integers(START - 2_000, LAST + 2_000), st.integers(0, 60)),
    ),
    max_size=25,
)


@given(events=st.sets(st.integers(START + 1, LAST), max_size=60), todo=operations)
def test_publishes_what_the_model_does(events: set[int], todo: list[Operation]) -> None:
    ordered = sorted(events)
    playing, model = Playing(ordered), Model(ordered)
    wall = W0
    anchor = Anchor(number=1, v0=START, w0=W0, speed=0)
    playing.deck.offer(anchor)
    playing.step(wall)
    for what, value, lead in todo:
        if what == "step":
            wall += value
            model.step(wall)
            playing.step(wall)
            check_bounds(playing, wall)
            continue
        # The planner: a change that takes effect after the one before it.
        w0 = max(wall, anchor.w0) + lead + 1
        seek = what == "seek"
        speed = anchor.speed if seek else float(value)
        v0 = value if seek else round(anchor.at(w0))
        anchor = Anchor(number=anchor.number + 1, v0=v0, w0=w0, speed=speed, epoch=anchor.epoch + seek)
        assert playing.deck.offer(anchor)
        model.changes.setdefault(w0, []).append((what, value))
        if seek:  # what the deck makes of it
            anchor = anchor.model_copy(update={"v0": min(max(value, START), LAST)})
    model.step(wall + 100)
    playing.step(wall + 100)
    assert {e: p for e, p in playing.published.items() if p} == {e: p for e, p in model.published.items() if p}


def check_bounds(playing: Playing, wall: int) -> None:
    """Complete up to ``reached``, and asleep for no longer than until there is something to do."""
    deck, following = playing.deck, playing.following
    assert deck.reached < following
    assert deck.reached <= max(deck.due(wall), LAST)
    wait = deck.wait_ms(wall, following)
    assert 0 <= wait <= HEARTBEAT_MS
    before = wall + wait - 1
    if before > wall:
        assert not deck.turning(before)
        assert deck.due(before) < following
    if wait < HEARTBEAT_MS:
        assert deck.turning(wall + wait + 0.01) or deck.due(wall + wait + 0.01) >= following


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


def test_going_on_from_unpaced_does_not_stand_still() -> None:
    deck = Deck(START, LAST)
    deck.offer(Anchor(number=1, v0=START, w0=W0, speed=1, unpaced=True))
    deck.turn(W0)
    assert math.isinf(deck.due(W0 + 1))
    deck.settle(math.inf, 30_000, 30_060)
    assert (deck.reached, deck.position(W0 + 1)) == (30_000, 30_000)
    deck.offer(Anchor(number=2, v0=20_000, w0=W0 + 100, speed=1))  # the planner saw an older position
    deck.turn(W0 + 130)
    assert deck.due(W0 + 190) == 30_060


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
    assert (jump.v, jump.clamped, deck.reached, deck.epoch) == (reached, asked != reached, reached, 1)


def test_controls_are_bounded() -> None:
    deck = Deck(START, LAST)
    for number in range(1, PENDING_MAX + 1):
        deck.offer(Anchor(number=number, v0=START, w0=W0 + number, speed=1))
    with pytest.raises(TooManyControls):
        deck.offer(Anchor(number=PENDING_MAX + 1, v0=START, w0=W0 + PENDING_MAX + 1, speed=1))
