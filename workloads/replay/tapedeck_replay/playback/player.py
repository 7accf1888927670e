"""The player: publishes the records that the virtual clock releases, in transactions that contain the position.

Each iteration of the loop looks at the controls and at the clock, hands over every record up to the clock's limit, and
then either changes the epoch, ends the pass, commits, or sleeps. Invariants, beside those of the virtual clock:

==  ==========================================================================================================
1   The position in a transaction describes the partition up to and including that transaction: a successor
    that resumes from it neither loses nor repeats a record.
2   A new epoch begins when no transaction is open and every commit has succeeded; its first record is ``epoch``.
3   An anchor that took force is committed no later than the first record that it releases: a successor resumes
    with the anchor that released the last record.
4   ``end`` is the last record of a pass. The state is ENDED only after it is committed.
5   After an aborted transaction the clock and the cursor return to the base of the transactions, which is the
    last committed position, or the start of an epoch of which nothing is committed yet.
6   ``wake`` is cleared before anything is looked at, so no event between the look and the sleep is missed.
7   The wall clock is read before the controls are dequeued: an anchor that arrived before its w0 is known to every
    iteration that has reached its w0, however long the process stands still between the two.
==  ==========================================================================================================

States: WAITING → PLAYING when an anchor takes force, when the operator confirms a recovered one, or after
CONFIRM_SECONDS; PLAYING → ENDED when ``end`` is committed; ENDED → PLAYING by a seek.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

import msgspec
import numpy as np

from tapedeck_common import wire
from tapedeck_common.logs import log
from tapedeck_crds.base import format_ms
from tapedeck_replay import metrics
from tapedeck_replay.clock.controls import ControlQueue
from tapedeck_replay.clock.virtual_clock import HEARTBEAT_MS, EpochChange, TooManyPendingAnchors, VirtualClock
from tapedeck_replay.errors import TransactionAborted
from tapedeck_replay.output.partition_output import PartitionOutput
from tapedeck_replay.output.position import ReplayPosition, anchor_json
from tapedeck_replay.output.transactions import COMMIT_RECORDS, TransactionPipeline
from tapedeck_replay.playback.cursor import ReplayCursor
from tapedeck_replay.source.dataset import Dataset, RecordSource

ABORT_WAIT_SECONDS = 0.25
CONFIRM_SECONDS = 1.0


class PlayerState(Enum):
    """WAITING: for the first anchor, or for the confirmation of a recovered one. ENDED: ``end`` is committed."""

    WAITING = auto()
    PLAYING = auto()
    ENDED = auto()


def wall_ms() -> float:
    """The system clock, milliseconds UTC: the operator's anchors refer to it, and a successor continues with it.

    A change of it is followed: forwards by a burst, backwards by a pause, since virtual time never runs backwards.
    Sleeps use the monotonic clock and last at most HEARTBEAT_MS.
    """
    return time.time() * 1000


class Player:
    """Plays a dataset to an output until its end, or until ``stop``.

    ``start`` is the first record of the partition, None if it is on the log already. ``require_on_log`` raises
    Unavailable where the broker has lost what was committed, which may be why a transaction was aborted. A successor
    waits up to CONFIRM_SECONDS for the operator's current anchor, so that a change made while no pod ran applies to it
    too.
    """

    def __init__(
        self,
        source: RecordSource,
        dataset: Dataset,
        output: PartitionOutput,
        controls: ControlQueue,
        *,
        position: ReplayPosition,
        start: wire.ReplayStart | None,
        require_on_log: Callable[[ReplayPosition], None],
        skip: bool = False,
    ) -> None:
        self._controls = controls
        self._start = start
        self._require_on_log = require_on_log
        self._transactions = TransactionPipeline(output, position, dataset.lateness)
        self._cursor = ReplayCursor(source, dataset, controls.wake.set, position)
        self.clock = VirtualClock(
            dataset.virtual_start,
            dataset.last_event,
            reached=position.v,
            anchor=position.anchor_in_force,
            epoch=wire.Epoch.parse(position.epoch),
            skip=skip,
        )
        self.state = PlayerState.ENDED if position.ended else PlayerState.WAITING
        self.message = ""
        self.last_iteration = time.monotonic()
        self._late_ms = 0  # of the records since the last watermark
        self._confirm_until = math.inf if self.clock.anchor is None else self.last_iteration + CONFIRM_SECONDS
        self._stopping = False

    @property
    def committed(self) -> ReplayPosition:
        """The position that consumers see."""
        return self._transactions.committed

    @property
    def complete(self) -> bool:
        """Whether the end is committed and no seek can follow it."""
        held_open = self.clock.anchor is not None and self.clock.anchor.hold
        return self.state is PlayerState.ENDED and not held_open

    def stop(self) -> None:
        """Commit the open transaction and return from ``play``. Safe in a signal handler."""
        self._stopping = True
        self._controls.wake.set()

    def play(self) -> bool:
        """Play; True at the end, False if stopped. Raises Fenced, Unavailable, InvalidReplay."""
        try:
            while not self.complete and not self._stopping:
                self.last_iteration = time.monotonic()
                try:
                    self._iterate()
                except TransactionAborted as error:
                    self._recover_from_abort(error)
            with suppress(TransactionAborted):  # the successor publishes the records again
                self._commit_all()
            return self.complete
        finally:
            self._cursor.close()

    def _iterate(self) -> None:
        self._publish_start()
        self._controls.wake.clear()
        if not self._transactions.committing:
            self._transactions.wait_committed()
        wall = wall_ms()
        self._accept_controls()
        if self.clock.has_anchor_due(wall):
            self._activate_anchors(wall)
        if self.clock.anchor is None or self.state is PlayerState.WAITING:
            self._controls.wake.wait(min(self.clock.sleep_ms(wall, None) / 1000, CONFIRM_SECONDS / 4))
            return
        metrics.PLAYING.set(self.state is PlayerState.PLAYING and not self.clock.is_held(wall))
        metrics.MEASURED_SPEED.set(self._transactions.measured_speed)
        next_event = self._publish_released(wall)
        if self.clock.round_ended(wall, next_event):
            self._commit_all()
            self._begin_epoch(self.clock.next_round())
        elif next_event == math.inf and self.state is not PlayerState.ENDED and self.clock.may_end(wall):
            self._end()
        else:
            self._commit_or_sleep(next_event)

    # What an iteration does, in its order.

    def _publish_start(self) -> None:
        if self._start is not None:
            self._transactions.publish_start(self._start, self.committed)
            self._start = None

    def _accept_controls(self) -> None:
        for anchor in self._controls.dequeue():
            try:
                self.clock.schedule(anchor)
            except TooManyPendingAnchors as error:
                log.warning("control ignored", reason=str(error))
                continue
            if self.clock.anchor is not None:  # the operator is there: it has confirmed the recovered anchor
                self._leave_waiting()
        if time.monotonic() >= self._confirm_until:
            self._leave_waiting()

    def _activate_anchors(self, wall: float) -> None:
        self._commit_all()
        change = self.clock.activate(wall)
        self._leave_waiting()
        metrics.set_wanted_speed(self.clock.anchor)
        if change is not None:
            self._begin_epoch(change)
        self._commit()
        self._transactions.wait_committed()

    def _publish_released(self, wall: float) -> float | None:
        """Hand over the records up to the clock's limit; returns the next event, as ReplayCursor.next_event."""
        self.clock.detect_stall(wall, self._cursor.next_event())
        limit = self.clock.publish_limit(wall)
        self._hand_over(limit)
        next_event = self._cursor.next_event()
        last = self._cursor.last_event
        earliest = (last or self.clock.reached) if next_event is None else next_event
        self.clock.record_progress(limit, last, earliest)
        return next_event

    def _hand_over(self, limit: float) -> None:
        while not self._transactions.full and (chunk := self._cursor.chunk()) is not None:
            begin = self._cursor.index
            room = COMMIT_RECORDS - self._transactions.records
            end = bisect_right(chunk.events, limit, begin, min(len(chunk), begin + room))
            if end == begin:
                return
            self._transactions.add(chunk.keys[begin:end], chunk.values[begin:end])
            self._observe_lateness(chunk.events[begin:end])
            self._cursor.advance(end)

    def _observe_lateness(self, events: list[int]) -> None:
        anchor = self.clock.anchor
        if anchor is None or anchor.unpaced or anchor.paused:
            return
        unbroken = np.array(events) + anchor.ahead_of(self.clock.epoch.loop)
        publish_at = anchor.w0 + (unbroken - anchor.v0) / anchor.speed
        late_ms = np.maximum(wall_ms() - publish_at, 0.0)
        metrics.LATENESS.observe(late_ms)
        self._late_ms = max(self._late_ms, int(late_ms.max(initial=0.0)))

    def _end(self) -> None:
        self.clock.finish()
        self._transactions.commit(msgspec.structs.replace(self._position(), ended=True), self._clock_state(), end=True)
        self._transactions.wait_committed()
        self.state = PlayerState.ENDED  # only now: a report must not say so before the commit
        log.info("end committed", published=self._cursor.published)

    def _commit_or_sleep(self, next_event: float | None) -> None:
        sleep = self.clock.sleep_ms(wall_ms(), next_event) / 1000
        if self._transactions.open:
            unpaced = self.clock.anchor is not None and self.clock.anchor.free
            left = self._transactions.seconds_left(unpaced)
            # A transaction that no record can join in time need not wait.
            ready = left <= 0 or (next_event is not None and sleep > left)
            # While the previous one is being committed this one accepts more records; the end of that commit wakes us.
            if self._transactions.full or (ready and not self._transactions.committing):
                self._commit()
                return
            if not ready:
                sleep = min(sleep, left)
        elif self._watermark_is_due():
            self._commit()
            return
        if sleep > 0:
            self._controls.wake.wait(sleep)

    def _watermark_is_due(self) -> bool:
        """Whether virtual time has passed without records for long enough to publish a watermark."""
        silent = time.monotonic() - self._transactions.submitted_at
        return self.clock.reached > self._transactions.submitted.v and silent >= HEARTBEAT_MS / 1000

    # Epochs, commits and aborts.

    def _begin_epoch(self, change: EpochChange) -> None:
        """Continue in another epoch. No transaction may be open."""
        epoch = self.clock.epoch
        passed = self._cursor.count_before(change.v)
        base = ReplayPosition(v=change.v, epoch=str(epoch), passed=passed, published=self.committed.published)
        self._transactions.begin_epoch(epoch, wire.EpochStart(str(epoch), change.v, change.reason), base)
        if change.reason == "seek":
            self.message = _clamped_message(change) if change.clamped else ""
        self._return_to_base()

    def _commit(self) -> None:
        """Start to commit the open transaction, or an empty one."""
        self._transactions.commit(self._position(), self._clock_state())

    def _commit_all(self) -> None:
        """Commit the open transaction, if there is one, and wait until every commit has succeeded."""
        if self._transactions.open:
            self._commit()
        self._transactions.wait_committed()

    def _clock_state(self) -> wire.ClockState | None:
        """What the next watermark tells of the clock, and of the records since the last one."""
        late_ms, self._late_ms = self._late_ms, 0
        anchor = self.clock.anchor
        return None if anchor is None else wire.ClockState(anchor.speed, anchor.free, anchor.until, late_ms)

    def _position(self) -> ReplayPosition:
        return ReplayPosition(
            v=self.clock.reached,
            epoch=str(self.clock.epoch),
            last=self._cursor.last,
            passed=self._cursor.passed,
            published=self._cursor.published,
            anchor=anchor_json(self.clock.anchor),
            ended=self.state is PlayerState.ENDED,
        )

    def _recover_from_abort(self, error: TransactionAborted) -> None:
        aborts = self._transactions.abort(error)
        log.warning("transaction aborted", reason=str(error), consecutive=aborts)
        self._controls.wake.wait(ABORT_WAIT_SECONDS * 2**aborts)
        self._require_on_log(self.committed)
        self._return_to_base()

    def _return_to_base(self) -> None:
        """Everything after the base is read and published again."""
        base = self._transactions.base
        self.clock.rewind(base.v)
        if base.ended:
            self.state = PlayerState.ENDED
        elif self.state is PlayerState.ENDED:
            self.state = PlayerState.PLAYING
        self._cursor.move_to(base)

    def _leave_waiting(self) -> None:
        if self.state is PlayerState.WAITING:
            self.state = PlayerState.PLAYING


def _clamped_message(change: EpochChange) -> str:
    return f"seek: got {format_ms(change.requested)}, which is outside the range; went to {format_ms(change.v)}"
