"""Replay: stored bars played onto a topic, with the controls of a tape deck."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Rule, Time, immutable
from tapedeck_crds.clock import Anchor
from tapedeck_crds.controls import CHANNEL_RULES, FOLLOW_RULE, STEP_RULE, ClockOptions, Loop, Seek, Step, Target
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
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
    step: Step | None = Field(default=None, description="Move on by some intervals, and stay paused there.")
    loop: Loop | None = Field(default=None, description="Play the range more than once; once if left out.")
    until: Time | None = Field(
        default=None,
        description="Virtual time to pause at: it stands still there, or at once where it is later already, until "
        "this is changed or taken away or a seek goes before it.",
    )
    at_end: Literal["finish", "hold"] = Field(
        default="finish", description="finish: the run is over at its end. hold: wait there for a seek."
    )
    clock: ClockOptions | None = Field(
        default=None, description="What virtual time goes by; the wall clock if left out."
    )
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = Field(
        default=1,
        description="Pods that share the symbols, and partitions of the topic: a symbol belongs to the one that "
        "crc32(exchange:symbol) mod shards names.",
    )
    record: bool = Field(
        default=False,
        description="Keep what is played in the store too, under the exchange id replay.<name of this resource>.",
    )
    target: Target | None = Field(default=None, description="Another topic that gets the bars as well.")
    transforms: OptionalTransforms = None
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
    """Where a Replay is."""

    position: str | None = Field(
        default=None, description="Virtual time reached.", json_schema_extra={"format": "date-time"}
    )
    epoch: str | None = Field(default=None, description="Which pass it is in: jumps so far, a dot, rounds so far.")
    published: int | None = Field(default=None, description="Bars on the topic, all epochs and shards together.")
    speed: str | None = Field(default=None, description="The speed in force: a number with x, paused or max.")
    topic: str | None = Field(default=None, description="The topic it plays to.")
    range_from: int | None = Field(default=None, description="Resolved start, milliseconds UTC.")
    range_to: int | None = Field(default=None, description="Resolved end, milliseconds UTC.")
    anchor: Anchor | None = Field(
        default=None, description="The anchor last given: what the controls came to, with the ids done last."
    )
    stalled: bool | None = Field(
        default=None, description="Whether virtual time stands still after a stall, by catchUp: skip."
    )
    transforms: list[TransformProgress] | None = Field(default=None, description="What each transform has come to.")


class Replay(Resource[ReplaySpec, ReplayStatus]):
    """Plays a range of bars onto a topic of its own."""

    kind: Literal["Replay"]

    status_type: ClassVar[type[Status]] = ReplayStatus
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
