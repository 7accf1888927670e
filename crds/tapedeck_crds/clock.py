"""Virtual time: a pure function of the wall clock, and part of a Replay's status."""

from __future__ import annotations

import math

from pydantic import Field

from tapedeck_crds.base import Model


class Anchor(Model):
    """v = v0 + (wall - w0) x speed from w0 on, and v0 before: changing a control replaces the anchor.

    Where it loops, virtual time begins again at ``loop_from`` once it is past ``loop_to``, until the last round.
    """

    number: int = Field(description="Raised by one with each change.")
    v0: int = Field(description="Virtual time at the anchor, milliseconds UTC.")
    w0: int = Field(description="Wall clock at the anchor, milliseconds UTC; the anchor holds from then on.")
    speed: float = Field(description="Virtual seconds a second; 0 while paused.")
    unpaced: bool = Field(default=False, description="Virtual time holds nothing back.")
    epoch: int = Field(default=0, description="How many jumps there were.")
    seek_id: str | None = Field(default=None, description="The id of the last jump.")
    seek_to: int | None = Field(
        default=None, description="Where the last jump went, milliseconds UTC: who missed it goes on from there."
    )
    seek_round: int = Field(default=0, description="The round of the loop that the last jump went to.")
    step_id: str | None = Field(default=None, description="The id of the last step.")
    until: int | None = Field(default=None, description="Virtual time that it stands still at, milliseconds UTC.")
    loop_round: int = Field(default=0, description="The round of the loop that v0 is in, from 0.")
    loop_rounds: int = Field(default=1, description="Rounds in all; 0 for ever.")
    loop_from: int | None = Field(default=None, description="Where a round begins, milliseconds UTC.")
    loop_to: int | None = Field(default=None, description="Where a round ends, milliseconds UTC.")
    hold: bool = Field(default=False, description="Wait for a jump at the end of the last round.")
    settling: bool = Field(
        default=False, description="It stops what was unpaced; the next goes on from where that has come to."
    )

    @property
    def paused(self) -> bool:
        """Whether virtual time stands still."""
        return self.speed == 0

    @property
    def free(self) -> bool:
        """Whether nothing but the bars' number says how fast it goes."""
        return self.unpaced and not self.paused

    def at(self, wall_ms: float) -> float:
        """Virtual time at a wall time, milliseconds UTC both, rounds not taken off; infinity when unpaced.

        It does not pass ``until``, and stands still where it is past it already.
        """
        if self.paused or wall_ms < self.w0:
            return self.v0
        v = math.inf if self.unpaced else self.v0 + (wall_ms - self.w0) * self.speed
        return v if self.until is None else max(self.v0, min(v, self.until))

    def goes_on(self, loop_round: int) -> bool:
        """Whether another round follows a round; always one behind v0's, whatever was asked for since."""
        last = self.loop_rounds and max(self.loop_rounds - 1, self.loop_round)
        return self.round_length > 0 and (self.loop_rounds == 0 or loop_round < last)

    @property
    def round_length(self) -> int:
        """Milliseconds of virtual time; 0 where it is not known."""
        return 0 if self.loop_from is None or self.loop_to is None else max(self.loop_to - self.loop_from, 0)

    def place(self, wall_ms: float) -> tuple[int, float]:
        """Round, and virtual time within it. When unpaced the round of v0: bars alone end it then."""
        v = self.at(wall_ms)
        if self.free or self.loop_to is None or v <= self.loop_to or not self.goes_on(self.loop_round):
            return self.loop_round, v
        rounds = math.ceil((v - self.loop_to) / self.round_length)
        if self.loop_rounds:
            rounds = min(rounds, max(self.loop_rounds - 1 - self.loop_round, 0))
        return self.loop_round + rounds, v - rounds * self.round_length

    def ahead_of(self, loop_round: int) -> int:
        """What virtual times of a round are earlier than those of v0's round in unbroken time, milliseconds."""
        return (loop_round - self.loop_round) * self.round_length

    def wall_of(self, virtual_ms: float, loop_round: int | None = None) -> float:
        """The first wall time from w0 on at which virtual time has reached a value; infinity for never."""
        if loop_round is not None:
            virtual_ms += self.ahead_of(loop_round)
        if virtual_ms <= self.v0:
            return self.w0
        if self.paused or (self.until is not None and virtual_ms > self.until):
            return math.inf
        if self.unpaced:
            return self.w0
        return self.w0 + (virtual_ms - self.v0) / self.speed
