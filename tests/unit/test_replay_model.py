"""Planner and deck against a model: published = model, whatever the controls, and whoever is killed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand.controls import change_of, tell
from by_hand.deck import Model, Pass
from tapedeck_common.wire import Epoch
from tapedeck_crds.clock import Anchor
from tapedeck_crds.kinds import ReplaySpec
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.controls import LEAD_MS, next_anchor
from tapedeck_operator.plan.replay_shards import ReplayShards
from tapedeck_replay.deck import HEARTBEAT_MS, Deck

START, END, STEP = 1_522_800_000_000, 1_522_800_030_000, 1_000
W0 = 1_700_000_000_000


@dataclass(frozen=True)
class Kept:
    """What a transaction holds."""

    reached: int = START
    floor: int = START
    anchor: Anchor | None = None
    epoch: Epoch = field(default_factory=Epoch)


class Playing:
    """A planner and the deck of one pod, as player and operator use them. Each look is a transaction."""

    def __init__(self, events: list[int]) -> None:
        self.events = events
        self.spec: dict[str, Any] = {"source": {"synthetic": {"symbols": [{"symbol": "A/B"}], "bars": 1}}}
        self.anchor: Anchor | None = None
        self.kept = self.before = Kept()
        self.deck = Deck(START, END)
        self.floor = START
        self.published: dict[Pass, list[int]] = {}
        self.told: dict[Pass, list[int]] = {}
        self.jumped = False

    def control(self, now: int, **change: Any) -> int:
        """Change the spec; when that takes effect."""
        self.spec = {name: value for name, value in (self.spec | change).items() if value is not None}
        report = ReplayReport(range_from=START, last_event=END, interval_ms=STEP)
        spec = ReplaySpec.model_validate(self.spec)
        self.anchor = next_anchor(spec, self.anchor, ReplayShards(1, (report,), ()), now, None)
        assert self.anchor is not None
        self.deck.offer(self.anchor)
        return self.anchor.w0

    def look(self, wall: int) -> None:
        """What the player's loop does until nothing is left to do."""
        self.before, self.told, self.jumped = self.kept, {k: list(v) for k, v in self.published.items()}, False
        if (jump := self.deck.turn(wall)) is not None:
            self.floor, self.jumped = jump.v, True
        while True:
            due = self.deck.due(wall)
            now = [event for event in self.events if self.floor < event <= due]
            epoch = self.deck.epoch
            self.published.setdefault((epoch.control, epoch.loop), []).extend(now)
            self.floor = max([self.floor, *now])
            self.deck.settle(due, now[-1] if now else None, self.following)
            assert self.deck.reached < self.following
            if not self.deck.round_over(wall, self.following):
                break
            self.floor = self.deck.next_round().v
        self._check_wait(wall)
        self.kept = Kept(self.deck.reached, self.floor, self.deck.anchor, self.deck.epoch)

    def kill(self, *, in_transaction: bool) -> None:
        """A successor goes on from the last commit, or where that came to nothing from the one before."""
        if in_transaction and not self.jumped:
            self.kept, self.published = self.before, self.told
        kept = self.kept
        self.deck = Deck(START, END, reached=kept.reached, anchor=kept.anchor, epoch=kept.epoch)
        self.floor = max(kept.floor, kept.reached)
        if self.anchor is not None:
            self.deck.offer(self.anchor)

    @property
    def following(self) -> float:
        return min((event for event in self.events if event > self.floor), default=math.inf)

    def _check_wait(self, wall: int) -> None:
        """It sleeps for no longer than until there is something to do."""
        wait = self.deck.wait_ms(wall, self.following)
        assert 0 <= wait <= HEARTBEAT_MS
        before = wall + wait - 1
        if before > wall:
            assert not self.deck.turning(before)
            assert self.deck.due(before) < self.following
            assert not self.deck.round_over(before, self.following)
        if wait == 0:
            assert self.deck.turning(wall) or self.deck.due(wall) >= self.following


times = st.integers(START - 2_000, END + 2_000)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 400)),
        st.tuples(st.just("speed"), st.integers(1, 80)),
        st.tuples(st.just("pause"), st.just(0)),
        st.tuples(st.just("seek"), times),
        st.tuples(st.just("step"), st.integers(1, 40)),
        st.tuples(st.just("loop"), st.integers(0, 4)),
        st.tuples(st.just("until"), st.one_of(st.none(), times)),
        st.tuples(st.just("kill"), st.booleans()),
    ),
    max_size=12,
)


@settings(max_examples=2_000, deadline=None)
@given(events=st.sets(st.integers(START + 1, END), max_size=40), todo=operations)
def test_published_is_what_the_model_says(events: set[int], todo: list[tuple[str, Any]]) -> None:
    ordered = sorted(events)
    playing, model = Playing(ordered), Model(ordered, START, END, STEP, W0)
    wall = W0
    model.changes.setdefault(playing.control(wall), []).append(("speed", 1))
    for what, value in todo:
        if what in ("wait", "kill"):
            # A successor is told the newest anchor alone: kills come when that one holds.
            wall += value if what == "wait" else LEAD_MS
            model.run(wall)
            model.look()
            playing.look(wall)
            if what == "kill":
                playing.kill(in_transaction=value)
                playing.look(wall)
        else:
            tell(model, playing.control(wall, **change_of(what, value)), what, value)
    wall += LEAD_MS + 100
    model.run(wall)
    model.look()
    playing.look(wall)
    assert {k: v for k, v in playing.published.items() if v} == {k: v for k, v in model.published.items() if v}
    assert playing.deck.epoch == Epoch(model.jumps, model.round)


def test_the_model_tells_a_loss_from_a_double() -> None:
    """The comparison can fail: a deck that forgets or repeats a bar is found."""
    playing, model = Playing([START + 500, START + 900]), Model([START + 500, START + 900], START, END, STEP, W0)
    model.changes[playing.control(W0)] = [("speed", 1)]
    model.run(W0 + 5_000)
    model.look()
    playing.look(W0 + 5_000)
    assert playing.published == model.published == {(0, 0): [START + 500, START + 900]}
    playing.kept = replace(playing.kept, reached=START, floor=START)
    playing.kill(in_transaction=False)
    playing.look(W0 + 5_000)
    assert playing.published != model.published
