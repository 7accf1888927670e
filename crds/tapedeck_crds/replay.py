"""Replay: stored bars played onto a topic, with the controls of a tape deck."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, Rule, Time, immutable
from tapedeck_crds.clock import Anchor
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    TTL_FIELD,
    Column,
    Resource,
    Status,
)
from tapedeck_crds.scenario import Scenario
from tapedeck_crds.source import ReplaySource

SPEED_MIN, SPEED_MAX = 0.1, 1_000_000.0


class Seek(Model):
    """A jump in virtual time, done once for each new id."""

    to: Time = Field(description="Virtual time to go on from; the next bar is the first known later than this.")
    id: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Any text not used before: a new one asks for a new jump."
    )


class ReplaySpec(PodOptions):
    """What to play and how fast."""

    source: ReplaySource = Field(description="What is played.")
    scenario: Scenario | None = Field(
        default=None,
        description="Changes to the market, applied in order, then those to how it is published.",
    )
    speed: Annotated[float, Field(ge=SPEED_MIN, le=SPEED_MAX)] = Field(
        default=1.0, description="Virtual seconds a second, from 0.1 to 1000000."
    )
    unpaced: bool = Field(default=False, description="Play as fast as possible, whatever the speed.")
    paused: bool = Field(default=False, description="Hold virtual time still.")
    seek: Seek | None = Field(default=None, description="Jump to another virtual time.")
    at_end: Literal["finish", "hold"] = Field(
        default="finish", description="finish: the run is over at its end. hold: wait there for a seek."
    )
    ttl_seconds_after_finished: int | None = TTL_FIELD
    rules: ClassVar[tuple[Rule, ...]] = (*PodOptions.rules, immutable("source"), immutable("scenario"))


class ReplayStatus(Status):
    """Where a Replay is."""

    position: str | None = Field(
        default=None, description="Virtual time reached.", json_schema_extra={"format": "date-time"}
    )
    published: int | None = Field(default=None, description="Bars on the topic, all epochs together.")
    speed: str | None = Field(default=None, description="The speed in force: a number with x, paused or max.")
    topic: str | None = Field(default=None, description="The topic it plays to.")
    range_from: int | None = Field(default=None, description="Resolved start, milliseconds UTC.")
    range_to: int | None = Field(default=None, description="Resolved end, milliseconds UTC.")
    anchor: Anchor | None = Field(default=None, description="The anchor last given.")


class Replay(Resource):
    """Plays a range of bars onto a topic of its own."""

    kind: Literal["Replay"]
    spec: ReplaySpec
    status: ReplayStatus | None = None

    plural: ClassVar[str] = "replays"
    short_names: ClassVar[tuple[str, ...]] = ("rp",)
    about: ClassVar[str] = "A Replay plays stored bars onto a topic of its own at any speed, as if they were live."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        Column(name="Speed", type="string", json_path=".status.speed"),
        Column(name="Position", type="string", json_path=".status.position"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
