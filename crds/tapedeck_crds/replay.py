"""Replay: stored market data published to a topic in virtual time, with the controls of a tape deck."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Rule, Time, immutable
from tapedeck_crds.clock import Anchor, ClockPosition
from tapedeck_crds.controls import CHANNEL_RULES, FOLLOW_RULE, STEP_RULE, ClockOptions, Rounds, Seek, Step, Target
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    ActiveDeadline,
    Column,
    Resource,
    Status,
    TimeToLive,
)
from tapedeck_crds.scenario import SHUFFLE_RULE, Scenario
from tapedeck_crds.source import ReplaySource
from tapedeck_crds.transforms import NAMES_RULE, OptionalTransforms, TransformProgress, channels_rule

SPEED_MIN, SPEED_MAX = 0.1, 1_000_000.0
SHARDS_MAX = 64


class ReplaySpec(PodOptions):
    """The data, the clock and the controls of a Replay."""

    source: ReplaySource = Field(description="The data to play.")
    scenario: Scenario | None = Field(
        default=None,
        description="Changes to the market data, applied in order, then changes to its publication.",
    )
    speed: Annotated[float, Field(ge=SPEED_MIN, le=SPEED_MAX)] = Field(
        default=1.0, description="Virtual seconds per second, from 0.1 to 1000000."
    )
    unpaced: bool = Field(default=False, description="Play as fast as possible, whatever the speed.")
    paused: bool = Field(default=False, description="Stop virtual time.")
    seek: Seek | None = Field(default=None, description="Jump to another virtual time.")
    step: Step | None = Field(default=None, description="Advance by some intervals and stay paused.")
    loop: Rounds | None = Field(
        default=None, description="How many times to play the range: a number, or forever; once if omitted."
    )
    until: Time | None = Field(
        default=None,
        description="Virtual time at which to pause; at once where it has passed. Playing continues when this is "
        "changed or removed, or after a seek to an earlier time.",
    )
    at_end: Literal["finish", "hold"] = Field(
        default="finish", description="At the end of the range. finish: the run is complete. hold: wait for a seek."
    )
    clock: ClockOptions | None = Field(
        default=None, description="The source of virtual time; the wall clock if omitted."
    )
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = Field(
        default=1,
        description="Number of pods, and of partitions of the topic. A symbol is in shard crc32(exchange:symbol) mod "
        "shards.",
    )
    record: bool = Field(
        default=False,
        description="Also record what is played in the store, under the exchange id replay.<name of this resource>.",
    )
    target: Target | None = Field(default=None, description="Another topic to which the bars are published as well.")
    transforms: OptionalTransforms = None
    active_deadline_seconds: ActiveDeadline = None
    ttl_seconds_after_finished: TimeToLive = None
    rules: ClassVar[tuple[Rule, ...]] = (
        *PodOptions.rules,
        *(immutable(name) for name in ("source", "scenario", "clock", "shards", "record", "target", "transforms")),
        FOLLOW_RULE,
        *CHANNEL_RULES,
        STEP_RULE,
        NAMES_RULE,
        channels_rule("[self.source.channel]", "that of source", lambda new: (new.source.channel,)),
        SHUFFLE_RULE,
    )


class ReplayStatus(Status):
    """The state and the position of a Replay."""

    position: str | None = Field(
        default=None, description="Virtual time reached.", json_schema_extra={"format": "date-time"}
    )
    epoch: str | None = Field(
        default=None, description="The current pass: number of seeks, a dot, number of completed rounds."
    )
    published: int | None = Field(default=None, description="Bars on the topic, over all epochs and shards.")
    speed: str | None = Field(default=None, description="The current speed: a number with x, paused or max.")
    topic: str | None = Field(default=None, description="The topic of the stream.")
    range_from: int | None = Field(default=None, description="Resolved start, milliseconds UTC.")
    range_to: int | None = Field(default=None, description="Resolved end, milliseconds UTC.")
    anchor: Anchor | None = Field(
        default=None, description="The last anchor: the controls in effect, with the ids of the last seek and step."
    )
    stalled: bool | None = Field(
        default=None, description="Whether virtual time is stopped after a stall, with catchUp: skip."
    )
    ahead: ClockPosition | None = Field(
        default=None,
        description="The position of the furthest shard that a late control left ahead of the clock; the next anchor "
        "continues from there.",
    )
    transforms: list[TransformProgress] | None = Field(default=None, description="The results of each transform.")


class Replay(Resource[ReplaySpec, ReplayStatus]):
    """Plays a range of market data to a topic of its own."""

    kind: Literal["Replay"]

    status_type: ClassVar[type[Status]] = ReplayStatus
    plural: ClassVar[str] = "replays"
    short_names: ClassVar[tuple[str, ...]] = ("rp",)
    about: ClassVar[str] = "A Replay plays stored bars to a topic of its own at any speed, as if they were live."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        Column(name="Speed", type="string", json_path=".status.speed"),
        Column(name="Position", type="string", json_path=".status.position"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
