"""Virtual time: a pure function of the wall clock, and part of a Replay's status."""

from __future__ import annotations

import math

from pydantic import Field

from tapedeck_crds.base import Model


class ClockPosition(Model):
    """A position of the clock."""

    loop_round: int = Field(description="The round of the loop, from 0.")
    virtual_ms: int = Field(description="Virtual time in that round, milliseconds UTC.")


class Anchor(Model):
    """v = v0 + (wall - w0) x speed from w0, and v0 before: a change of a control replaces the anchor.

    In a loop, virtual time restarts at ``loop_from`` after ``loop_to``, until the last round.
    """

    number: int = Field(description="Number of the anchor; each change increments it.")
    v0: int = Field(description="Virtual time at the anchor, milliseconds UTC.")
    w0: int = Field(description="Wall clock at the anchor, milliseconds UTC; the anchor is in effect from then.")
    speed: float = Field(description="Virtual seconds per second; 0 while paused.")
    unpaced: bool = Field(default=False, description="Whether records are published as fast as possible.")
    epoch: int = Field(default=0, description="Number of seeks so far.")
    seek_id: str | None = Field(default=None, description="The id of the last seek.")
    seek_to: int | None = Field(
        default=None,
        description="Target of the last seek, milliseconds UTC: a pod that missed the seek continues from it.",
    )
    seek_round: int = Field(default=0, description="The round of the loop of the last seek's target.")
    step_id: str | None = Field(default=None, description="The id of the last step.")
    until: int | None = Field(default=None, description="Virtual time at which to pause, milliseconds UTC.")
    loop_round: int = Field(default=0, description="The round of the loop at v0, from 0.")
    loop_rounds: int = Field(default=1, description="Number of rounds; 0 is unlimited.")
    loop_from: int | None = Field(default=None, description="Start of a round, milliseconds UTC.")
    loop_to: int | None = Field(default=None, description="End of a round, milliseconds UTC.")
    hold: bool = Field(default=False, description="Wait for a seek at the end of the last round.")
    settling: bool = Field(
        default=False,
        description="Whether the anchor only ends unpaced playing; the next anchor continues from there.",
    )
    moved_ms: int = Field(
        default=0,
        description="How far virtual time was moved on, milliseconds, because an earlier control reached a pod after "
        "its w0: all pods continue where the furthest was by then.",
    )

    @property
    def paused(self) -> bool:
        """Whether virtual time is stopped."""
        return self.speed == 0

    @property
    def free(self) -> bool:
        """Whether virtual time runs unpaced, limited by the throughput alone."""
        return self.unpaced and not self.paused

    def at(self, wall_ms: float) -> float:
        """Virtual time at a wall time, both milliseconds UTC, over all rounds; infinity when unpaced.

        It does not pass ``until``, and does not advance where v0 is already past it.
        """
        if self.paused or wall_ms < self.w0:
            return self.v0
        v = math.inf if self.unpaced else self.v0 + (wall_ms - self.w0) * self.speed
        return v if self.until is None else max(self.v0, min(v, self.until))

    def has_next_round(self, loop_round: int) -> bool:
        """Whether another round follows ``loop_round``. Rounds up to that of v0 always have a next one."""
        last = self.loop_rounds and max(self.loop_rounds - 1, self.loop_round)
        return self.round_length > 0 and (self.loop_rounds == 0 or loop_round < last)

    @property
    def round_length(self) -> int:
        """Virtual length of a round, milliseconds; 0 where it is not known."""
        return 0 if self.loop_from is None or self.loop_to is None else max(self.loop_to - self.loop_from, 0)

    def place(self, wall_ms: float) -> tuple[int, float]:
        """The round, and the virtual time within it. Unpaced, the round of v0: only reaching its last bar ends it."""
        v = self.at(wall_ms)
        if self.free or self.loop_to is None or v <= self.loop_to or not self.has_next_round(self.loop_round):
            return self.loop_round, v
        rounds = math.ceil((v - self.loop_to) / self.round_length)
        if self.loop_rounds:
            rounds = min(rounds, max(self.loop_rounds - 1 - self.loop_round, 0))
        return self.loop_round + rounds, v - rounds * self.round_length

    def ahead_of(self, loop_round: int) -> int:
        """Offset of the virtual times of a round from those of v0's round, milliseconds."""
        return (loop_round - self.loop_round) * self.round_length

    def wall_of(self, virtual_ms: float, loop_round: int | None = None) -> float:
        """The first wall time, from w0, at which virtual time has reached a value; infinity for never."""
        if loop_round is not None:
            virtual_ms += self.ahead_of(loop_round)
        if virtual_ms <= self.v0:
            return self.w0
        if self.paused or (self.until is not None and virtual_ms > self.until):
            return math.inf
        if self.unpaced:
            return self.w0
        return self.w0 + (virtual_ms - self.v0) / self.speed
