"""The deck: what is due, when to wake up, when the tape is over. Pure apart from its own state: wall times come in.

All times are milliseconds UTC. Virtual time follows the anchor in force; in one epoch it never runs
backwards. The stream of an epoch is complete up to and with ``reached``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tapedeck_common.wire import Epoch
from tapedeck_crds.clock import Anchor

PENDING_MAX = 64
HEARTBEAT_MS = 1_000.0  # how often consumers hear of virtual time in which there are no bars
STALL_MS = 1_000.0  # a bar that is so late says that the machine, the broker or the store stood still


class TooManyControls(ValueError):
    """More anchors wait for their time than anyone asks for in earnest."""


@dataclass(frozen=True)
class Jump:
    """The stream goes on in another epoch with the first bar later than ``v``; ``asked`` is before clamping."""

    v: int
    asked: int
    reason: Literal["seek", "loop"] = "seek"

    @property
    def clamped(self) -> bool:
        return self.v != self.asked


class Deck:
    """Virtual time over a tape from ``start`` to ``last_event``, under the anchors it is given.

    With ``skip`` it stands still after a stall until there is a new anchor.
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
        self._skip = skip
        self._pending: list[Anchor] = []

    def offer(self, anchor: Anchor) -> bool:
        """Take an anchor for its time; False for one that is not newer than what is known.

        Raises TooManyControls.
        """
        known = [self.anchor, *self._pending]
        if any(a is not None and a.number >= anchor.number for a in known):
            return False
        waiting = [a for a in self._pending if a.w0 < anchor.w0]
        if len(waiting) >= PENDING_MAX:
            raise TooManyControls(f"number: got {anchor.number} while {PENDING_MAX} anchors wait, expected to wait")
        self._pending = [*waiting, anchor]
        return True

    def turning(self, wall: float) -> bool:
        """Whether an anchor's time has come."""
        return bool(self._pending) and self._pending[0].w0 <= wall

    def turn(self, wall: float) -> Jump | None:
        """Put the anchors in force whose time has come; the jump that this made, if any."""
        jump = None
        while self.turning(wall):
            jump = self._adopt(self._pending.pop(0)) or jump
        return jump

    def due(self, wall: float) -> float:
        """Bars of this round up to and with this event time are due; infinity when nothing holds them back."""
        if self.anchor is None or self.stalled:
            return self.reached
        loop_round, v = self.anchor.place(wall)
        round_end = self.anchor.loop_to if self._goes_on and self.anchor.loop_to is not None else math.inf
        if self.anchor.free:
            v = min(v, round_end)
        elif loop_round > self.epoch.loop:
            v = round_end
        elif loop_round < self.epoch.loop:
            v = self.reached
        return max(self.reached, v)

    def position(self, wall: float) -> int:
        """Virtual time for people: within the tape, and what was published where nothing paces it."""
        due = self.due(wall)
        if math.isinf(due) or (self.anchor is not None and self.anchor.free):
            return self.reached
        return min(int(due), max(self.last_event, self.reached))

    def settle(self, due: float, last: int | None, following: float) -> None:
        """Note what was published: all up to ``due`` before ``following``, the last bar at ``last``.

        ``following`` is the next bar's event time, or a lower bound of it; infinity after the last bar.
        """
        if math.isinf(due):
            due = self.reached if last is None else last
        complete = min(due, following - 1, max(self.last_event, self.reached))
        self.reached = max(self.reached, math.floor(complete))

    def round_over(self, wall: float, following: float | None) -> bool:
        """Whether the loop's next round is due, and nothing of this one any more."""
        anchor = self.anchor
        if anchor is None or anchor.loop_to is None or self.stalled or not self._goes_on:
            return False
        if following is None or following <= anchor.loop_to:
            return False
        return self.due(wall) >= anchor.loop_to if anchor.free else anchor.place(wall)[0] > self.epoch.loop

    def next_round(self) -> Jump:
        """Begin the next round of the loop; only where the one before is over."""
        begin = self.start if self.anchor is None or self.anchor.loop_from is None else self.anchor.loop_from
        self.epoch = Epoch(self.epoch.control, self.epoch.loop + 1)
        self.reached = self._within(begin)
        return Jump(self.reached, self.reached, "loop")

    def check_stall(self, wall: float, following: float | None) -> None:
        """Stand still from here on where the next bar is far too late."""
        anchor = self.anchor
        if not self._skip or anchor is None or anchor.unpaced or anchor.paused or following is None:
            return
        if wall - anchor.wall_of(following, self.epoch.loop) > STALL_MS:
            self.stalled = True

    def wait_ms(self, wall: float, following: float | None) -> float:
        """How long nothing is to be done, at most a heartbeat; ``following`` as for settle, None if not known yet."""
        waits = [HEARTBEAT_MS]
        if self._pending:
            waits.append(self._pending[0].w0 - wall)
        if self.anchor is not None and not self.stalled and following is not None:
            if self._goes_on and self.anchor.loop_to is not None:
                following = min(following, self.anchor.loop_to + 1)
            if math.isfinite(following):
                waits.append(self.anchor.wall_of(following, self.epoch.loop) - wall)
        return max(0.0, min(waits))

    def held(self, wall: float) -> bool:
        """Whether virtual time stands still: paused, or where ``until`` is."""
        anchor = self.anchor
        if anchor is None or anchor.paused or self.stalled:
            return True
        return anchor.until is not None and anchor.until < self.last_event and anchor.at(wall) >= anchor.until

    def over(self, wall: float) -> bool:
        """Whether the tape ends once no bar is left: it does not while it is held still or another round follows."""
        return self.anchor is not None and not self.held(wall) and not self._goes_on and wall >= self.anchor.w0

    def run_out(self) -> None:
        """No bar is left: the stream is complete up to the tape's end, also where that lies behind the last bar."""
        self.reached = max(self.reached, self.last_event)

    def rewind(self, v: int) -> None:
        """Take back what was noted since ``v``: it has to be published again."""
        self.reached = v

    @property
    def _goes_on(self) -> bool:
        return self.anchor is not None and self.anchor.goes_on(self.epoch.loop)

    def _within(self, v: int) -> int:
        return min(max(v, self.start), max(self.last_event, self.start))

    def _adopt(self, anchor: Anchor) -> Jump | None:
        self.anchor, self.stalled = anchor, False
        if anchor.epoch <= self.epoch.control:
            return None
        loop_round, to = (
            (anchor.loop_round, anchor.v0) if anchor.seek_to is None else (anchor.seek_round, anchor.seek_to)
        )
        self.epoch, self.reached = Epoch(anchor.epoch, loop_round), self._within(to)
        return Jump(self.reached, to)
