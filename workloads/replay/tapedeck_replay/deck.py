"""The deck: what is due, when to wake up, when the tape is over. Pure apart from its own state: wall times come in.

All times are milliseconds UTC. Virtual time follows the anchor in force; in one epoch it never runs
backwards. The stream of an epoch is complete up to and with ``reached``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tapedeck_crds.clock import Anchor

PENDING_MAX = 64
HEARTBEAT_MS = 1_000.0  # how often consumers hear of virtual time in which there are no bars


class TooManyControls(ValueError):
    """More anchors wait for their time than anyone asks for in earnest."""


@dataclass(frozen=True)
class Jump:
    """A seek took effect: the stream goes on with the first bar later than ``v``; ``asked`` is before clamping."""

    v: int
    asked: int

    @property
    def clamped(self) -> bool:
        return self.v != self.asked


class Deck:
    """Virtual time over a tape from ``start`` to ``last_event``, under the anchors it is given."""

    def __init__(
        self, start: int, last_event: int, *, reached: int | None = None, anchor: Anchor | None = None, epoch: int = 0
    ) -> None:
        self.start = start
        self.last_event = last_event
        self.reached = start if reached is None else reached
        self.anchor = anchor
        self.epoch = epoch
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
            jump = self._adopt(self._pending.pop(0), wall) or jump
        return jump

    def due(self, wall: float) -> float:
        """Bars up to and with this event time are due; infinity when unpaced."""
        return self.reached if self.anchor is None else max(self.reached, self.anchor.at(wall))

    def position(self, wall: float) -> int:
        """Virtual time for people: within the tape, and what was published where nothing paces it."""
        due = self.due(wall)
        return self.reached if math.isinf(due) else min(int(due), max(self.last_event, self.reached))

    def settle(self, due: float, last: int | None, following: float) -> None:
        """Note what was published: all up to ``due`` before ``following``, the last bar at ``last``.

        ``following`` is the next bar's event time, or a lower bound of it; infinity after the last bar.
        """
        if math.isinf(due):
            due = self.reached if last is None else last
        complete = min(due, following - 1, max(self.last_event, self.reached))
        self.reached = max(self.reached, math.floor(complete))

    def wait_ms(self, wall: float, following: float | None) -> float:
        """How long nothing is to be done, at most a heartbeat; ``following`` as for settle, None if not known yet."""
        waits = [HEARTBEAT_MS]
        if self._pending:
            waits.append(self._pending[0].w0 - wall)
        if self.anchor is not None and following is not None and math.isfinite(following):
            waits.append(self.anchor.wall_of(following) - wall)
        return max(0.0, min(waits))

    def over(self, wall: float) -> bool:
        """Whether the tape ends once no bar is left: it does not while it is held still."""
        return self.anchor is not None and not self.anchor.paused and wall >= self.anchor.w0

    def run_out(self) -> None:
        """No bar is left: the stream is complete up to the tape's end, also where that lies behind the last bar."""
        self.reached = max(self.reached, self.last_event)

    def rewind(self, v: int) -> None:
        """Take back what was noted since ``v``: it has to be published again."""
        self.reached = v

    def _adopt(self, anchor: Anchor, wall: float) -> Jump | None:
        before, self.anchor = self.anchor, anchor
        if anchor.epoch > self.epoch:
            v = min(max(anchor.v0, self.start), max(self.last_event, self.start))
            self.epoch, self.reached = anchor.epoch, v
            self.anchor = anchor.model_copy(update={"v0": v})
            return Jump(v, anchor.v0)
        if before is not None and before.unpaced and anchor.v0 < self.reached:
            # An unpaced tape ran on after the planner looked: go on from where it is, don't stand until v0 is there.
            self.anchor = anchor.model_copy(update={"v0": self.reached, "w0": round(max(wall, anchor.w0))})
        return None
