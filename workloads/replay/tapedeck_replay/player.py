"""The loop that turns the deck: what is due goes into a transaction, the position with it."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from contextlib import suppress

import msgspec
import numpy as np

from tapedeck_common import wire
from tapedeck_common.logs import log
from tapedeck_crds.base import format_ms
from tapedeck_replay import metrics
from tapedeck_replay.controls import Controls
from tapedeck_replay.deck import HEARTBEAT_MS, Deck, Jump, TooManyControls
from tapedeck_replay.output import Output
from tapedeck_replay.playhead import Playhead
from tapedeck_replay.position import Position, anchor_json
from tapedeck_replay.tape import Source, Tape
from tapedeck_replay.transactions import COMMIT_BARS, Transactions
from tapedeck_replay.writer import Aborted

ABORT_WAIT_SECONDS = 0.25
CONFIRM_SECONDS = 1.0


def wall_ms() -> float:
    """The system's clock, which the operator's anchors are made by and a successor goes on with.

    Where it is set in mid-run it is followed: forward by a burst, backward by a pause, since virtual
    time never runs back. Sleeps end by the monotonic clock and are at most a heartbeat long.
    """
    return time.time() * 1000


class Player:
    """Plays a tape to an output until its end, or until ``stop``. ``start`` is the first record, where it is owed.

    A successor waits for the operator's word before it goes on, for CONFIRM_SECONDS at most: what was changed
    while there was no pod holds for it too.
    """

    def __init__(
        self,
        source: Source,
        tape: Tape,
        output: Output,
        controls: Controls,
        *,
        position: Position,
        start: wire.Start | None,
        skip: bool = False,
    ) -> None:
        self._tape, self._output, self._controls = tape, output, controls
        self._start = start
        self._transactions = Transactions(output, position, tape.lateness)
        self._head = Playhead(source, tape, controls.wake.set, position)
        self.deck = Deck(
            tape.begin,
            tape.last_event,
            reached=position.v,
            anchor=position.anchor_in_force,
            epoch=wire.Epoch.parse(position.epoch),
            skip=skip,
        )
        self.message = ""
        self.ticked = time.monotonic()
        self.ended = position.ended
        self.waiting = not position.ended  # for the first anchor, or for its confirmation
        self._wait_until = math.inf if self.deck.anchor is None else self.ticked + CONFIRM_SECONDS
        self._stopping = False

    @property
    def committed(self) -> Position:
        """What consumers can see."""
        return self._transactions.committed

    @property
    def over(self) -> bool:
        """Whether the end is committed and nothing is to come behind it."""
        return self.ended and not (self.deck.anchor is not None and self.deck.anchor.hold)

    def stop(self) -> None:
        """Commit what is open and leave ``play``. Safe in a signal handler."""
        self._stopping = True
        self._controls.wake.set()

    def play(self) -> bool:
        """Play on; True at the end, False if stopped. Raises Fenced, Unavailable, BadInput."""
        try:
            while not self.over and not self._stopping:
                self.ticked = time.monotonic()
                try:
                    self._turn_and_publish()
                except Aborted as error:
                    self._start_over(error)
            with suppress(Aborted):  # the successor publishes it again
                self._settle()
            return self.over
        finally:
            self._head.close()

    def _turn_and_publish(self) -> None:
        if self._start is not None:
            self._transactions.announce(self._start, self.committed)
            self._start = None
        self._controls.wake.clear()
        if not self._transactions.committing:
            self._transactions.settle()
        self._take_controls()
        wall = wall_ms()
        if self.deck.turning(wall):
            self._turn(wall)
        if self.deck.anchor is None or self.waiting:
            self._controls.wake.wait(min(self.deck.wait_ms(wall, None) / 1000, CONFIRM_SECONDS / 4))
            return
        self.deck.check_stall(wall, self._head.following())
        due = self.deck.due(wall)
        self._publish(due)
        following = self._head.following()
        last = self._head.last_event
        at_least = (last or self.deck.reached) if following is None else following
        self.deck.settle(due, last, at_least)
        if self.deck.round_over(wall, following):
            self._settle()
            self._jump(self.deck.next_round())
            return
        if following == math.inf and not self.ended and self.deck.over(wall):
            self._end()
            return
        self._commit_or_wait(following)

    def _take_controls(self) -> None:
        for anchor in self._controls.taken():
            try:
                self.deck.offer(anchor)
                self.waiting = self.waiting and self.deck.anchor is None
            except TooManyControls as error:
                log.warning("control ignored", reason=str(error))
        if time.monotonic() >= self._wait_until:
            self.waiting = False

    def _turn(self, wall: float) -> None:
        self._settle()
        jump = self.deck.turn(wall)
        self.waiting = False
        metrics.note_speed(self.deck.anchor)
        if jump is not None:
            self._jump(jump)
        self._commit()
        self._transactions.settle()

    def _jump(self, jump: Jump) -> None:
        """Go on in another epoch. Nothing may be open."""
        epoch = self.deck.epoch
        passed = self._head.passed_before(jump.v)
        base = Position(v=jump.v, epoch=str(epoch), passed=passed, published=self.committed.published)
        self._transactions.enter(epoch, wire.EpochStart(str(epoch), jump.v, jump.reason), base)
        if jump.reason == "seek":
            self.message = _jump_message(jump) if jump.clamped else ""
        self._go_back()

    def _publish(self, due: float) -> None:
        while not self._transactions.full and (chunk := self._head.chunk()) is not None:
            begin = self._head.index
            end = bisect_right(chunk.events, due, begin, min(len(chunk), begin + COMMIT_BARS - self._transactions.bars))
            if end == begin:
                return
            self._transactions.add(chunk.keys[begin:end], chunk.values[begin:end])
            self._note_lateness(chunk.events[begin:end])
            self._head.advance(end)

    def _note_lateness(self, events: list[int]) -> None:
        anchor = self.deck.anchor
        if anchor is None or anchor.unpaced or anchor.paused:
            return
        unbroken = np.array(events) + anchor.ahead_of(self.deck.epoch.loop)
        due_at = anchor.w0 + (unbroken - anchor.v0) / anchor.speed
        metrics.LATENESS.observe(np.maximum(wall_ms() - due_at, 0.0))

    def _commit_or_wait(self, following: float | None) -> None:
        wait = self.deck.wait_ms(wall_ms(), following) / 1000
        if self._transactions.open:
            left = self._transactions.seconds_left(self.deck.anchor is not None and self.deck.anchor.free)
            # What nothing will follow in time need not wait for company.
            ready = left <= 0 or (following is not None and wait > left)
            # While the one before is being committed it takes in what comes due; the end of that wakes us.
            if self._transactions.full or (ready and not self._transactions.committing):
                self._commit()
                return
            if not ready:
                wait = min(wait, left)
        elif self.deck.reached > self._transactions.handed.v and self._quiet():
            self._commit()
            return
        if wait > 0:
            self._controls.wake.wait(wait)

    def _quiet(self) -> bool:
        return time.monotonic() - self._transactions.handed_at >= HEARTBEAT_MS / 1000

    def _end(self) -> None:
        self.deck.run_out()
        self._transactions.commit(msgspec.structs.replace(self._position(), ended=True), end=True)
        self._transactions.settle()
        self.ended = True  # now, for a report must not say so of what is not committed
        log.info("end committed", published=self._head.published)

    def _commit(self) -> None:
        self._transactions.commit(self._position())

    def _settle(self) -> None:
        """Commit what is open, and wait until all is."""
        if self._transactions.open:
            self._commit()
        self._transactions.settle()

    def _position(self) -> Position:
        return Position(
            v=self.deck.reached,
            epoch=str(self.deck.epoch),
            last=self._head.last,
            passed=self._head.passed,
            published=self._head.published,
            anchor=anchor_json(self.deck.anchor),
            ended=self.ended,
        )

    def _start_over(self, error: Aborted) -> None:
        """Go back to the last commit after a transaction that came to nothing."""
        times = self._transactions.abort(error)
        log.warning("transaction aborted", reason=str(error), time=times)
        self._controls.wake.wait(ABORT_WAIT_SECONDS * 2**times)
        self._go_back()

    def _go_back(self) -> None:
        """Everything behind the base is to be read and published again."""
        base = self._transactions.base
        self.deck.rewind(base.v)
        self.ended = base.ended
        self._head.go_to(base)


def _jump_message(jump: Jump) -> str:
    return f"seek: got {format_ms(jump.asked)}, which is outside the range; went to {format_ms(jump.v)}"
