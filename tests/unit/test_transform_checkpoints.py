"""Checkpoints of published points: which are kept, and which one the points are published again from."""

from __future__ import annotations

import random

import pytest

from tapedeck_common.log_positions import LogPosition, Partition
from tapedeck_transform.checkpoints import (
    Checkpoint,
    extended,
    from_text,
    last_intact,
    newest_positions,
    to_text,
)

POINTS: Partition = ("tapedeck.points.u", 3)
COPIES: Partition = ("market.points", 3)


@pytest.mark.parametrize("seed", range(5))
def test_checkpoints_are_few_and_none_is_far_from_what_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    offsets = [0]
    trail = extended((), Checkpoint(0))
    for _ in range(3_000):
        offsets.append(offsets[-1] + rng.randrange(1, 2_000))
        trail = extended(trail, Checkpoint(offsets[-1], (LogPosition(offsets[-1], 12), LogPosition(offsets[-1], 12))))
        assert len(to_text(trail)) < 2_000
    kept = [each.offset for each in trail]
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, offsets[-1])
    # Of each offset that was ever committed, a kept one is at most four times as far back, or its neighbour.
    for lost in offsets[:-1]:
        before = max(offset for offset in kept if offset <= lost)
        following = offsets[offsets.index(before) + 1]
        assert following >= lost or offsets[-1] - before <= 4 * (offsets[-1] - lost)


def test_the_last_intact_checkpoint_is_before_all_missing_points() -> None:
    outputs = [POINTS, COPIES]
    trail = (
        Checkpoint(100),
        Checkpoint(200, (LogPosition(40, 1), LogPosition(9, 2))),
        Checkpoint(300, (LogPosition(80, 1), LogPosition(17, 2))),
    )
    assert last_intact(trail, outputs, {}) == trail[2]
    assert last_intact(trail, outputs, {POINTS: 80}) == trail[2]
    assert last_intact(trail, outputs, {POINTS: 79}) == trail[1]
    assert last_intact(trail, outputs, {COPIES: 16}) == trail[1]
    assert last_intact(trail, outputs, {POINTS: 79, COPIES: 8}) == trail[0]
    assert last_intact(trail[1:], outputs, {POINTS: 0}) is None
    assert last_intact((), outputs, {}) is None


def test_the_newest_position_of_an_output_is_that_of_the_latest_leader() -> None:
    """Trades and bars of one symbol have their points on one partition."""
    trades = (Checkpoint(7, (LogPosition(90, 1),)),)
    bars = (Checkpoint(5, (LogPosition(50, 2),)),)
    known = newest_positions({("market.trades", 3): (trades, [POINTS]), ("market.bars", 3): (bars, [POINTS])})
    assert known == {POINTS: LogPosition(50, 2)}
    assert newest_positions({("market.bars", 3): ((Checkpoint(1),), [POINTS])}) == {}


def test_a_trail_is_read_as_it_was_written() -> None:
    trail = (Checkpoint(0), Checkpoint(12, (LogPosition(3, 4), LogPosition())), Checkpoint(99, (LogPosition(5, None),)))
    assert from_text(to_text(trail)) == trail
    assert from_text(to_text(())) == ()
