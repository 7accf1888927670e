"""What a Feed says of an exchange's past, and how far the pods are that bring it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tapedeck_crds.base import RANGE_RULE, Model, Rule, Time, parse_time
from tapedeck_crds.exchange import IntervalSet


class Backfill(Model):
    """Bars of the past, asked of the exchange from the newest to the oldest. What the store has is not asked for."""

    from_: Time = Field(alias="from", description="First open time to bring.")
    to: Time | None = Field(
        default=None, description="Open time to stop before; the time at which the Feed was made if left out."
    )
    intervals: IntervalSet | None = Field(
        default=None, description="Lengths of the bars, which the exchange must keep; those of spec.intervals, or 1m."
    )
    shards: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Number of pods. Each brings its part of the range, at its part of the allowed rate."
    )
    only: bool = Field(
        default=False, description="Do nothing else: the Feed does not listen live, and is complete with its past."
    )
    rules: ClassVar[tuple[Rule, ...]] = (RANGE_RULE,)

    def __eq__(self, other: object) -> bool:
        """As in CEL: intervals are a set, and a point in time is the same in every offset."""
        return isinstance(other, Backfill) and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        to = None if self.to is None else parse_time(self.to)
        intervals = None if self.intervals is None else frozenset(self.intervals)
        return (parse_time(self.from_), to, intervals, self.shards, self.only)


class BackfillProgress(Model):
    """How far one pod of a backfill is."""

    shard: int = Field(description="Number of the pod, from 0.")
    from_: Time | None = Field(default=None, alias="from", description="Earliest open time of its part.")
    to: Time | None = Field(default=None, description="Open time before which its part ends.")
    done: int = Field(default=0, description="Bars asked for, or known before.")
    total: int = Field(default=0, description="Bars that its part can have.")
    rows: int = Field(default=0, description="Bars published since the pod was started.")
    missing: int = Field(default=0, description="Bars that the exchange does not have; see the table gaps.")
    rate: float = Field(default=0, description="Bars a second, on average.")
    retries: int = Field(default=0, description="Requests that were made again.")
    eta_seconds: int | None = Field(default=None, description="Seconds until its end, at the average rate.")
    last_error: str | None = Field(default=None, description="What the exchange last answered instead of bars.")
