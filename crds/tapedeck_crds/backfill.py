"""Backfills: historical bars of a live Feed's exchange."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tapedeck_crds.base import RANGE_RULE, Model, Rule, Time, parse_time
from tapedeck_crds.exchange import IntervalSet


class Backfill(Model):
    """Historical bars, downloaded from the newest to the oldest. Stored bars are not downloaded again."""

    from_: Time = Field(alias="from", description="First open time.")
    to: Time | None = Field(
        default=None, description="Open time to stop before; the creation time of the Feed if omitted."
    )
    intervals: IntervalSet | None = Field(
        default=None, description="Intervals that the exchange offers; those of spec.intervals, or 1m, if omitted."
    )
    shards: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Number of pods. Each downloads its part of the range at its part of the rate limit."
    )
    only: bool = Field(
        default=False,
        description="Only backfill: the Feed does not ingest live data, and is complete with the backfill.",
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
    """The progress of one pod of a backfill."""

    shard: int = Field(description="Number of the pod, from 0.")
    from_: Time | None = Field(default=None, alias="from", description="Earliest open time of its part.")
    to: Time | None = Field(default=None, description="Open time before which its part ends.")
    done: int = Field(default=0, description="Bars downloaded or already stored.")
    total: int = Field(default=0, description="Bars of its part in all.")
    rows: int = Field(default=0, description="Bars published since the start of the pod.")
    missing: int = Field(default=0, description="Bars that the exchange does not have; see the table gaps.")
    rate: float = Field(default=0, description="Bars per second, on average.")
    retries: int = Field(default=0, description="Retried requests.")
    eta_seconds: int | None = Field(default=None, description="Seconds until its end, at the average rate.")
    last_error: str | None = Field(default=None, description="The last error of the exchange.")
