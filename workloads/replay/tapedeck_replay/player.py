"""The loop that turns the deck: what is due goes into a transaction, the position with it."""

from __future__ import annotations

import math
import time
from bisect import bisect_right

import numpy as np

from tapedeck import wire
from tapedeck.logs import log
from tapedeck.wire import Epoch
from tapedeck_crds.base import format_ms
from tapedeck_replay import metrics
from tapedeck_replay.chunks import Chunk
from tapedeck_replay.controls import Controls
from tapedeck_replay.deck import HEARTBEAT_MS, Deck, TooManyControls
from tapedeck_replay.output import Aborted, Output
from tapedeck_replay.position import Position, anchor_json
from tapedeck_replay.reader import ReadAhead
from tapedeck_replay.tape import Source, Tape, Unavailable

COMMIT_BARS = 20_000
COMMIT_SECONDS = 0.020
UNPACED_COMMIT_SECONDS = 0.200  # nobody waits for a bar's time there: whole transactions are worth more
ABORTS_MAX = 6  # in a row without a commit
ABORT_WAIT_SECONDS = 0.25


def wall_ms() -> float:
    """The system's clock, which the operator's anchors are made by and a successor goes on with.

    Where it is set in mid-run it is followed: forward by a burst, backward by a pause, since virtual
    time never runs back. Sleeps end by the monotonic clock and are at most a heartbeat long.
    """
    return time.time() * 1000


class Player:
    """Plays a tape to an output until its end, or until ``stop``."""

    def __init__(
        self,
        source: Source,
        tape: Tape,
        output: Output,
        controls: Controls,
        *,
        position: Position,
        start: wire.Start | None,
        hold: bool,
    ) -> None:
        self._source, self._tape, self._output, self._controls = source, tape, output, controls
        self._owed_start = start
        self._owed_epoch: wire.EpochStart | None = None
        self.hold = hold
        self._base = position  # what to go back to when a transaction is aborted
        self.deck = Deck(
            tape.start,
            tape.last_event,
            reached=position.v,
            anchor=position.anchor_in_force,
            epoch=position.control_epoch,
        )
        self.committed = position
        self.message = ""
        self.ticked = time.monotonic()
        self.ended = position.ended
        self._last = position.last
        self._passed = position.passed or 0
        self._published = position.published
        self._opened = 0.0  # when the transaction was begun, monotonic seconds
        self._bars = 0  # in the open transaction
        self._committed_at = time.monotonic()
        self._aborts = 0
        self._stopping = False
        self._chunk: Chunk | None = None
        self._index = 0
        self._reader = self._read_on()
        output.set_epoch(Epoch.parse(position.epoch))

    def stop(self) -> None:
        """Commit what is open and leave ``play``. Safe in a signal handler."""
        self._stopping = True
        self._controls.wake.set()

    def play(self) -> bool:
        """Play on; True at the end, False if stopped. Raises Fenced, Unavailable, BadInput."""
        try:
            while not (self.ended and not self.hold) and not self._stopping:
                self.ticked = time.monotonic()
                try:
                    self._turn_and_publish()
                except Aborted as error:
                    self._start_over(error)
            if self._output.in_transaction:
                self._commit()
            return self.ended and not self.hold
        finally:
            self._reader.close()

    def _turn_and_publish(self) -> None:
        self._controls.wake.clear()
        self._take_controls()
        wall = wall_ms()
        if self.deck.turning(wall):
            self._turn(wall)
        if self.deck.anchor is None:
            self._controls.wake.wait(self.deck.wait_ms(wall, None) / 1000)
            return
        due = self.deck.due(wall)
        self._publish(due)
        following = self._following()
        last = self._last[0] if self._last is not None else None
        at_least = (last or self.deck.reached) if following is None else following
        self.deck.settle(due, last, at_least)
        if following == math.inf and not self.ended and self.deck.over(wall):
            self._end()
            return
        self._commit_or_wait(following)

    def _take_controls(self) -> None:
        for anchor in self._controls.taken():
            try:
                self.deck.offer(anchor)
            except TooManyControls as error:
                log.warning("control ignored", reason=str(error))

    def _turn(self, wall: float) -> None:
        if self._output.in_transaction:
            self._commit()
        jump = self.deck.turn(wall)
        metrics.note_speed(self.deck.anchor)
        if jump is not None:
            epoch = Epoch(self.deck.epoch)
            self._base = Position(
                v=jump.v,
                epoch=str(epoch),
                passed=self._source.count(self._tape, jump.v),
                published=self._published,
            )
            self._output.set_epoch(epoch)
            # Before anything is on the topic there is nothing to forget: the stream just begins there.
            self._owed_epoch = wire.EpochStart(str(epoch), jump.v, "seek") if self._owed_start is None else None
            self.message = _jump_message(jump.asked, jump.v) if jump.clamped else ""
            self._go_back()
        self._commit()

    def _publish(self, due: float) -> None:
        while self._bars < COMMIT_BARS and (chunk := self._current()) is not None:
            begin = self._index
            end = bisect_right(chunk.events, due, begin, min(len(chunk), begin + COMMIT_BARS - self._bars))
            if end == begin:
                return
            self._begin()
            self._output.bars(chunk.keys[begin:end], chunk.values[begin:end])
            self._note_lateness(chunk.events[begin:end])
            self._bars += end - begin
            self._passed += end - begin
            self._published += end - begin
            self._last = chunk.order_key(end - 1)
            self._index = end

    def _note_lateness(self, events: list[int]) -> None:
        anchor = self.deck.anchor
        if anchor is None or anchor.unpaced or anchor.paused:
            return
        due_at = anchor.w0 + (np.array(events) - anchor.v0) / anchor.speed
        metrics.LATENESS.observe(np.maximum(wall_ms() - due_at, 0.0))

    def _current(self) -> Chunk | None:
        """The chunk with the next bar; None if it is not there yet or there is none."""
        if self._chunk is None or self._index >= len(self._chunk):
            self._chunk, self._index = self._reader.take(), 0
        return self._chunk

    def _following(self) -> float | None:
        """Event time of the next bar: infinity behind the last, None if it is not read yet."""
        chunk = self._current()
        if chunk is not None:
            return chunk.events[self._index]
        return math.inf if self._reader.exhausted else None

    def _commit_or_wait(self, following: float | None) -> None:
        wall = wall_ms()
        now = time.monotonic()
        wait = self.deck.wait_ms(wall, following) / 1000
        if self._output.in_transaction:
            unpaced = self.deck.anchor is not None and self.deck.anchor.unpaced
            left = self._opened + (UNPACED_COMMIT_SECONDS if unpaced else COMMIT_SECONDS) - now
            # What nothing will follow in time need not wait for company.
            if self._bars >= COMMIT_BARS or left <= 0 or (following is not None and wait > left):
                self._commit()
                return
            wait = min(wait, left)
        elif self.deck.reached > self.committed.v and now - self._committed_at >= HEARTBEAT_MS / 1000:
            self._commit()
            return
        if wait > 0:
            self._controls.wake.wait(wait)

    def _begin(self) -> None:
        if self._output.in_transaction:
            return
        self._output.begin()
        self._opened = time.monotonic()
        if self._owed_start is not None:
            self._output.control(self._owed_start)
        if self._owed_epoch is not None:
            self._output.control(self._owed_epoch)

    def _end(self) -> None:
        self.deck.run_out()
        self._commit(ended=True)
        self.ended = True
        log.info("end committed", published=self._published)

    def _commit(self, *, ended: bool = False) -> None:
        self._begin()
        position = Position(
            v=self.deck.reached,
            epoch=str(Epoch(self.deck.epoch)),
            last=self._last,
            passed=self._passed,
            published=self._published,
            anchor=anchor_json(self.deck.anchor),
            ended=ended or self.ended,
        )
        self._output.control(position.watermark(self._tape.lateness))
        if ended:
            self._output.control(wire.End(position.epoch, position.v, position.published))
        self._output.commit(position)
        metrics.PUBLISHED.inc(self._bars)
        metrics.TRANSACTIONS.inc()
        self.committed = self._base = position
        self._owed_start = self._owed_epoch = None
        self._bars = self._aborts = 0
        self._committed_at = time.monotonic()

    def _start_over(self, error: Aborted) -> None:
        """Go back to the last commit after a transaction that came to nothing."""
        self._aborts += 1
        metrics.ABORTED.inc()
        log.warning("transaction aborted", reason=str(error), time=self._aborts)
        if self._aborts >= ABORTS_MAX:
            raise Unavailable(f"{ABORTS_MAX} transactions in a row came to nothing: {error}") from error
        self._output.abort()
        self._controls.wake.wait(ABORT_WAIT_SECONDS * 2**self._aborts)
        self._go_back()

    def _go_back(self) -> None:
        """Everything behind ``_base`` is to be read and published again."""
        base = self._base
        self.deck.rewind(base.v)
        self._last, self._passed, self._published = base.last, base.passed or 0, base.published
        self.ended = base.ended
        self._bars = 0
        self._reader.close()
        self._reader = self._read_on()

    def _read_on(self) -> ReadAhead:
        base = self._base
        self._chunk, self._index = None, 0
        after = self._tape.after_bar(base.last) if base.last is not None else self._tape.after_event(base.v)
        return ReadAhead(self._source, self._tape, after, self._controls.wake.set)


def _jump_message(asked: int, v: int) -> str:
    return f"seek: got {format_ms(asked)}, which is outside the range; went to {format_ms(v)}"
