"""Planner and virtual clock compared with a model: both publish the same records under any controls and kills."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand.replay_controls import change_model, spec_patch
from by_hand.replay_model import Pass, ReplayModel
from tapedeck_common.wire import Epoch
from tapedeck_crds.clock import Anchor
from tapedeck_crds.kinds import ReplaySpec
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.controls import LEAD_MS, next_anchor
from tapedeck_operator.plan.replay_shards import ReplayShards
from tapedeck_replay.clock.virtual_clock import HEARTBEAT_MS, VirtualClock

pytestmark = pytest.mark.slow

START, END, STEP = 1_522_800_000_000, 1_522_800_030_000, 1_000
W0 = 1_700_000_000_000


@dataclass(frozen=True)
class CommittedState:
    """What a transaction commits: the clock's progress, and the event time of the last record."""

    reached: int = START
    last_event: int = START
    anchor: Anchor | None = None
    epoch: Epoch = field(default_factory=Epoch)


class SimulatedReplay:
    """A planner and the virtual clock of one pod, used as by operator and player. Each ``iterate`` is a transaction."""

    def __init__(self, events: list[int]) -> None:
        self.events = events
        self.spec: dict[str, Any] = {"source": {"synthetic": {"symbols": [{"symbol": "A/B"}], "bars": 1}}}
        self.anchor: Anchor | None = None
        self.committed = self.committed_before = CommittedState()
        self.clock = VirtualClock(START, END)
        self.last_event = START
        self.published: dict[Pass, list[int]] = {}
        self.published_before: dict[Pass, list[int]] = {}
        self.seeked = False

    def control(self, now: int, **change: Any) -> int:
        """Change the spec; returns the wall time at which the change takes effect."""
        self.spec = {name: value for name, value in (self.spec | change).items() if value is not None}
        report = ReplayReport(range_from=START, last_event=END, interval="1s")
        spec = ReplaySpec.model_validate(self.spec)
        self.anchor = next_anchor(spec, self.anchor, ReplayShards(1, (report,), ()), now, None)
        assert self.anchor is not None
        self.clock.schedule(self.anchor)
        return self.anchor.w0

    def iterate(self, wall: int) -> None:
        """What the player's loop does until nothing is left to do."""
        self.committed_before, self.seeked = self.committed, False
        self.published_before = {which: list(events) for which, events in self.published.items()}
        if (change := self.clock.activate(wall)) is not None:
            self.last_event, self.seeked = change.v, True
        while True:
            limit = self.clock.publish_limit(wall)
            now = [event for event in self.events if self.last_event < event <= limit]
            epoch = self.clock.epoch
            self.published.setdefault((epoch.control, epoch.loop), []).extend(now)
            self.last_event = max([self.last_event, *now])
            self.clock.record_progress(limit, now[-1] if now else None, self.next_event)
            assert self.clock.reached < self.next_event
            if not self.clock.round_ended(wall, self.next_event):
                break
            self.last_event = self.clock.next_round().v
        self._check_sleep(wall)
        self.committed = CommittedState(self.clock.reached, self.last_event, self.clock.anchor, self.clock.epoch)

    def kill(self, *, in_transaction: bool) -> None:
        """Replace the pod by a successor, which resumes from the last commit or, if it was aborted, the one before."""
        if in_transaction and not self.seeked:
            self.committed, self.published = self.committed_before, self.published_before
        state = self.committed
        self.clock = VirtualClock(START, END, reached=state.reached, anchor=state.anchor, epoch=state.epoch)
        self.last_event = max(state.last_event, state.reached)
        if self.anchor is not None:
            self.clock.schedule(self.anchor)

    @property
    def next_event(self) -> float:
        return min((event for event in self.events if event > self.last_event), default=math.inf)

    def _check_sleep(self, wall: int) -> None:
        """The clock sleeps no longer than until there is something to do."""
        sleep = self.clock.sleep_ms(wall, self.next_event)
        assert 0 <= sleep <= HEARTBEAT_MS
        before = wall + sleep - 1
        if before > wall:
            assert not self.clock.has_anchor_due(before)
            assert self.clock.publish_limit(before) < self.next_event
            assert not self.clock.round_ended(before, self.next_event)
        if sleep == 0:
            assert self.clock.has_anchor_due(wall) or self.clock.publish_limit(wall) >= self.next_event


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
@given(events=st.sets(st.integers(START + 1, END), max_size=40), steps=operations)
def test_publishes_what_the_model_publishes(events: set[int], steps: list[tuple[str, Any]]) -> None:
    ordered = sorted(events)
    replay, model = SimulatedReplay(ordered), ReplayModel(ordered, START, END, STEP, W0)
    wall = W0
    model.changes.setdefault(replay.control(wall), []).append(("speed", 1))
    for what, value in steps:
        if what in ("wait", "kill"):
            # A successor gets only the newest anchor: kills happen when that one is in force.
            wall += value if what == "wait" else LEAD_MS
            model.advance(wall)
            model.publish()
            replay.iterate(wall)
            if what == "kill":
                replay.kill(in_transaction=value)
                replay.iterate(wall)
        else:
            change_model(model, replay.control(wall, **spec_patch(what, value)), what, value)
    wall += LEAD_MS + 100
    model.advance(wall)
    model.publish()
    replay.iterate(wall)
    assert {k: v for k, v in replay.published.items() if v} == {k: v for k, v in model.published.items() if v}
    assert replay.clock.epoch == Epoch(model.seeks, model.round)


def test_the_comparison_detects_a_repeated_record() -> None:
    """The comparison can fail."""
    events = [START + 500, START + 900]
    replay, model = SimulatedReplay(events), ReplayModel(events, START, END, STEP, W0)
    model.changes[replay.control(W0)] = [("speed", 1)]
    model.advance(W0 + 5_000)
    model.publish()
    replay.iterate(W0 + 5_000)
    assert replay.published == model.published == {(0, 0): events}
    replay.committed = replace(replay.committed, reached=START, last_event=START)
    replay.kill(in_transaction=False)
    replay.iterate(W0 + 5_000)
    assert replay.published != model.published
