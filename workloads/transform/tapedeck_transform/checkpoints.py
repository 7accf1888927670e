"""Checkpoints: from where on points must be published again where the broker has lost the end of their topic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from tapedeck_common.log_positions import LogPosition, Partition

SPACING = 4  # points are published again from at most so many times as far back as the first lost one


class Checkpoint(NamedTuple):
    """All points of a partition's records before ``offset`` are on the log before these positions.

    ``written`` has one for each partition that the points are published to, in their order.
    """

    offset: int
    written: tuple[LogPosition, ...] = ()


Trail = tuple[Checkpoint, ...]
"""The checkpoints of a partition, oldest first. A commit has all of them, so they are few."""


def extended(trail: Trail, newest: Checkpoint) -> Trail:
    """The trail with one more checkpoint. Earlier ones are the sparser the farther back they are; the first is kept."""
    kept = [newest]
    older = [each for each in reversed(trail) if each.offset < newest.offset]
    for each, before in zip_longest(older, older[1:]):
        if before is None or newest.offset - before.offset > SPACING * (newest.offset - kept[-1].offset):
            kept.append(each)
    return tuple(reversed(kept))


def newest_positions(trails: Mapping[Partition, tuple[Trail, Sequence[Partition]]]) -> dict[Partition, LogPosition]:
    """The last known position on each partition that points are published to.

    ``trails`` has, by the partition of the records, its trail and the partitions of its points.
    """
    found: dict[Partition, LogPosition] = {}
    for trail, outputs in trails.values():
        for output, position in zip(outputs, trail[-1].written if trail else (), strict=False):
            if _age(position) > _age(found.get(output, LogPosition())):
                found[output] = position
    return found


def last_intact(trail: Trail, outputs: Iterable[Partition], missing: Mapping[Partition, int]) -> Checkpoint | None:
    """The last checkpoint before which no point is missing; ``missing`` has where the log of a partition now ends."""
    ends = [missing.get(output, math.inf) for output in outputs]
    for checkpoint in reversed(trail):
        if all(position.offset <= end for position, end in zip(checkpoint.written, ends, strict=False)):
            return checkpoint
    return None


def to_text(trail: Trail) -> str:
    """``offset:end.epoch:end.epoch`` of each checkpoint."""
    return ",".join(":".join([str(each.offset), *map(_position_text, each.written)]) for each in trail)


def from_text(text: str) -> Trail:
    """What ``to_text`` wrote. Raises ValueError for other text."""
    return tuple(map(_checkpoint, text.split(","))) if text else ()


def _checkpoint(text: str) -> Checkpoint:
    offset, *written = text.split(":")
    return Checkpoint(int(offset), tuple(map(_position, written)))


def _position_text(position: LogPosition) -> str:
    return f"{position.offset}.{'' if position.leader_epoch is None else position.leader_epoch}"


def _position(text: str) -> LogPosition:
    offset, _, epoch = text.partition(".")
    return LogPosition(int(offset), int(epoch) if epoch else None)


def _age(position: LogPosition) -> tuple[int, int]:
    return (-1 if position.leader_epoch is None else position.leader_epoch, position.offset)
