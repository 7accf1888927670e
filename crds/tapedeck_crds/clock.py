"""Virtual time: a pure function of the wall clock, and part of a Replay's status."""

from __future__ import annotations

import math

from pydantic import Field

from tapedeck_crds.base import Model


class Anchor(Model):
    """v = v0 + (wall - w0) x speed from w0 on, and v0 before: changing a control replaces the anchor."""

    number: int = Field(description="Raised by one with each change.")
    v0: int = Field(description="Virtual time at the anchor, milliseconds UTC.")
    w0: int = Field(description="Wall clock at the anchor, milliseconds UTC; the anchor holds from then on.")
    speed: float = Field(description="Virtual seconds a second; 0 while paused.")
    unpaced: bool = Field(default=False, description="Virtual time holds nothing back.")
    epoch: int = Field(default=0, description="How many jumps there were.")
    seek_id: str | None = Field(default=None, description="The id of the last jump.")

    @property
    def paused(self) -> bool:
        """Whether virtual time stands still."""
        return self.speed == 0

    def at(self, wall_ms: float) -> float:
        """Virtual time at a wall time, milliseconds UTC both; infinity when unpaced and not paused."""
        if self.paused or wall_ms < self.w0:
            return self.v0
        if self.unpaced:
            return math.inf
        return self.v0 + (wall_ms - self.w0) * self.speed

    def wall_of(self, virtual_ms: float) -> float:
        """The first wall time from w0 on at which virtual time has reached a value; infinity for never."""
        if virtual_ms <= self.v0:
            return self.w0
        if self.paused:
            return math.inf
        if self.unpaced:
            return self.w0
        return self.w0 + (virtual_ms - self.v0) / self.speed
