"""The virtual clock: how far to publish, when to wake up, when the pass ends.

Pure but for its own state: wall times are parameters. All times are milliseconds, UTC.

Invariants, which the player relies on:

==  ==========================================================================================================
1   At most one anchor is in force. Anchors take force in the order of their numbers, each at its ``w0``. An
    anchor whose number is not the highest so far is ignored.
2   ``reached`` never decreases within an epoch: an anchor with an earlier v0 only makes the clock wait until
    virtual time is past ``reached`` again. The one exception is ``rewind``, after an aborted transaction.
3   Every record of the epoch that is to be published at or before ``reached`` was handed to the producer.
4   The epoch only grows, by ``activate`` (a seek) and by ``next_round`` (a loop); both set ``reached`` to where
    the new epoch begins.
5   ``publish_limit`` is never less than ``reached``. While another round follows it is never past this one's end.
6   A round ends, and the pass ends, only when no record up to its end is left.
7   While the clock is stalled its limit is ``reached``; only a new anchor ends the stall.
8   An anchor that takes force in time is never behind ``reached``, unless it ends unpaced playing or a stall. One
    that arrives after its w0 can be: the clock then waits, and reports that it is ahead.
==  ==========================================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tapedeck_common.wire import Epoch
from tapedeck_crds.clock import Anchor
from tapedeck_crds.errors import Conflict

PENDING_MAX = 64
HEARTBEAT_MS = 1_000.0  # how often a watermark is published while virtual time passes without records
STALL_MS = 1_000.0  # a record that is later than this shows that the machine, the broker or the store stopped


class TooManyPendingAnchors(Conflict):
    """More anchors are waiting for their w0 than any operator sends."""


@dataclass(frozen=True)
class EpochChange:
    """The stream continues in a new epoch with the first record later than ``v``.

    ``requested`` is the position of the control before it was limited to the dataset's range.
    """

    v: int
    requested: int
    reason: Literal["seek", "loop"] = "seek"

    @property
    def clamped(self) -> bool:
        return self.v != self.requested


class VirtualClock:
    """Virtual time over a dataset from ``start`` to ``last_event``, driven by anchors.

    With ``skip`` it stops after a stall until a new anchor takes force.
    """

    def __init__(
        self,
        start: int,
        last_event: int,
        *,
        reached: int | None = None,
        anchor: Anchor | None = None,
        epoch: Epoch | None = None,
        skip: bool = False,
    ) -> None:
        self.start = start
        self.last_event = last_event
        self.reached = start if reached is None else reached
        self.anchor = anchor
        self.epoch = epoch or Epoch()
        self.stalled = False
        self._played_past = False  # the anchor in force arrived after records beyond it had been published
        self._skip = skip
        self._pending: list[Anchor] = []

    def schedule(self, anchor: Anchor) -> bool:
        """Queue an anchor until its w0; pending anchors with a later w0 are dropped, since this one is newer.

        Returns False for an anchor that is not newer than every one seen. Raises TooManyPendingAnchors.
        """
        seen = [self.anchor, *self._pending]
        if any(each is not None and each.number >= anchor.number for each in seen):
            return False
        earlier = [each for each in self._pending if each.w0 < anchor.w0]
        if len(earlier) >= PENDING_MAX:
            raise TooManyPendingAnchors(f"number: got {anchor.number} while {PENDING_MAX} anchors are pending")
        self._pending = [*earlier, anchor]
        return True

    def has_anchor_due(self, wall: float) -> bool:
        """Whether the w0 of a pending anchor has passed."""
        return bool(self._pending) and self._pending[0].w0 <= wall

    def activate(self, wall: float) -> EpochChange | None:
        """Put every pending anchor whose w0 has passed in force; returns the last epoch change, if there was one."""
        change = None
        while self.has_anchor_due(wall):
            change = self._activate_one(self._pending.pop(0)) or change
        return change

    def publish_limit(self, wall: float) -> float:
        """Publish the records of this round up to and including this event time; infinity if nothing limits them."""
        if self.anchor is None or self.stalled:
            return self.reached
        loop_round, v = self.anchor.place(wall)
        round_end = self.anchor.loop_to if self._another_round and self.anchor.loop_to is not None else math.inf
        if self.anchor.free:
            v = min(v, round_end)
        elif loop_round > self.epoch.loop:
            v = round_end
        elif loop_round < self.epoch.loop:
            v = self.reached
        return max(self.reached, v)

    def position(self, wall: float) -> int:
        """Virtual time to report: within the dataset; when unpaced, how far records were published."""
        limit = self.publish_limit(wall)
        if math.isinf(limit) or (self.anchor is not None and self.anchor.free):
            return self.reached
        return min(int(limit), max(self.last_event, self.reached))

    def record_progress(self, limit: float, last: int | None, next_event: float) -> None:
        """Advance ``reached``: all records up to ``limit`` that are earlier than ``next_event`` were handed over.

        ``last`` is the event time of the last one. ``next_event`` is that of the next one, or a lower bound of it;
        infinity after the last record.
        """
        if math.isinf(limit):
            limit = self.reached if last is None else last
        complete = min(limit, next_event - 1, max(self.last_event, self.reached))
        self.reached = max(self.reached, math.floor(complete))

    def round_ended(self, wall: float, next_event: float | None) -> bool:
        """Whether the next round of the loop begins: virtual time is past this one, and no record of it is left."""
        anchor = self.anchor
        if anchor is None or anchor.loop_to is None or self.stalled or not self._another_round:
            return False
        if next_event is None or next_event <= anchor.loop_to:
            return False
        return self.publish_limit(wall) >= anchor.loop_to if anchor.free else anchor.place(wall)[0] > self.epoch.loop

    def next_round(self) -> EpochChange:
        """Begin the next round of the loop. Call it only when ``round_ended``."""
        begin = self.start if self.anchor is None or self.anchor.loop_from is None else self.anchor.loop_from
        self.epoch = Epoch(self.epoch.control, self.epoch.loop + 1)
        self.reached = self._clamped(begin)
        return EpochChange(self.reached, self.reached, "loop")

    def detect_stall(self, wall: float, next_event: float | None) -> None:
        """Stop the clock here if the next record is later than STALL_MS. Does nothing without ``skip``."""
        anchor = self.anchor
        if not self._skip or anchor is None or anchor.unpaced or anchor.paused or next_event is None:
            return
        if wall - anchor.wall_of(next_event, self.epoch.loop) > STALL_MS:
            self.stalled = True

    def is_ahead(self, wall: float) -> bool:
        """Whether a control that arrived late left this shard ahead of the virtual time that all shards share."""
        anchor = self.anchor
        return self._played_past and anchor is not None and self._place > anchor.place(wall)

    def sleep_ms(self, wall: float, next_event: float | None) -> float:
        """How long nothing has to be done, at most HEARTBEAT_MS.

        ``next_event`` as for ``record_progress``; None if it is not read yet.
        """
        waits = [HEARTBEAT_MS]
        if self._pending:
            waits.append(self._pending[0].w0 - wall)
        if self.anchor is not None and not self.stalled and next_event is not None:
            if self._another_round and self.anchor.loop_to is not None:
                next_event = min(next_event, self.anchor.loop_to + 1)
            if math.isfinite(next_event):
                waits.append(self.anchor.wall_of(next_event, self.epoch.loop) - wall)
        return max(0.0, min(waits))

    def is_held(self, wall: float) -> bool:
        """Whether virtual time stands still: paused, stalled, or at the anchor's ``until``."""
        anchor = self.anchor
        if anchor is None or anchor.paused or self.stalled:
            return True
        return anchor.until is not None and anchor.until < self.last_event and anchor.at(wall) >= anchor.until

    def may_end(self, wall: float) -> bool:
        """Whether the pass ends once no record is left: not while the clock is held, nor before another round."""
        return self.anchor is not None and not self.is_held(wall) and not self._another_round and wall >= self.anchor.w0

    def finish(self) -> None:
        """No record is left: the epoch is complete up to the end of the dataset, even if that is after the last."""
        self.reached = max(self.reached, self.last_event)

    def rewind(self, v: int) -> None:
        """Undo progress after ``v``, which must be published again."""
        self.reached = v

    @property
    def _another_round(self) -> bool:
        return self.anchor is not None and self.anchor.has_next_round(self.epoch.loop)

    def _clamped(self, v: int) -> int:
        return min(max(v, self.start), max(self.last_event, self.start))

    @property
    def _place(self) -> tuple[int, int]:
        return self.epoch.loop, self.reached

    def _plays_past(self, anchor: Anchor) -> bool:
        """Whether records beyond those of the anchor in force at the w0 of its successor were published."""
        before = self.anchor
        if before is None or anchor.settling or anchor.epoch > self.epoch.control:
            return False
        missed_one = anchor.number > before.number + 1
        return missed_one or self._place > before.place(anchor.w0)

    def _activate_one(self, anchor: Anchor) -> EpochChange | None:
        self._played_past = self._plays_past(anchor)
        self.anchor, self.stalled = anchor, False
        if anchor.epoch <= self.epoch.control:
            return None
        loop_round, to = (
            (anchor.loop_round, anchor.v0) if anchor.seek_to is None else (anchor.seek_round, anchor.seek_to)
        )
        self.epoch, self.reached = Epoch(anchor.epoch, loop_round), self._clamped(to)
        return EpochChange(self.reached, to)
