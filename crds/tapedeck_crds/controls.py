"""The controls of a Replay, as its spec holds them, and where its bars go beside its own topic."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, Rule, Time
from tapedeck_crds.resource import NAME_MAX, NAME_PATTERN

ControlId = Annotated[str, Field(min_length=1, max_length=64)]
_ID_TEXT = "Any text not used before: a new one asks for a new"


class Seek(Model):
    """A jump in virtual time, done once for each new id."""

    to: Time = Field(
        description="Virtual time to go on from; the next bar is the first known later than this. Outside the range "
        "its nearer end is taken, and the status says so."
    )
    id: ControlId = Field(description=f"{_ID_TEXT} jump.")


class Step(Model):
    """Virtual time moves on by some bars' length at once, done once for each new id."""

    intervals: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="How far, in intervals of the bars played; at most to the end of the range."
    )
    id: ControlId = Field(description=f"{_ID_TEXT} step.")


class Loop(Model):
    """The range again from its beginning when its end is reached; each round has an epoch of its own."""

    times: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="How often the range is played in all; for ever if left out."
    )


class ClockOptions(Model):
    """What virtual time goes by."""

    follow: Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)] | None = Field(
        default=None,
        description="Name of a Replay of the same namespace whose clock and controls hold for this one too.",
    )
    catch_up: Literal["burst", "skip"] = Field(
        default="burst",
        description="After a stall of more than a second. burst: what was due meanwhile is published at once. skip: "
        "virtual time goes on from where it stood, for all that share this clock; no bar is left out.",
    )


class Target(Model):
    """Where the bars go beside the replay's own topic."""

    topic: Literal["market.bars", "market.trades"] = Field(
        description="The topic of the live market's bars or, with channel: trades, of its trades."
    )
    shared: bool = Field(
        default=False, description="Has to be true: live and replayed bars are then told apart by their header alone."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.shared",
            message="expected shared: true, because live and replayed bars are then on one topic",
            holds=lambda new, _old: new.shared,
        ),
    )


def _uncontrolled(spec: Any) -> bool:
    controls = (spec.seek, spec.step, spec.loop, spec.until)
    return spec.speed == 1 and not spec.unpaced and not spec.paused and all(each is None for each in controls)


# The API server says __loop__ for loop, which is a word of CEL's.
FOLLOW_RULE = Rule(
    cel="!has(self.clock) || !has(self.clock.follow) || (self.speed == 1.0 && !self.unpaced && !self.paused && "
    "!has(self.seek) && !has(self.step) && !has(self.__loop__) && !has(self.until))",
    message="expected no speed, unpaced, paused, seek, step, loop or until beside clock.follow",
    holds=lambda new, _old: new.clock is None or new.clock.follow is None or _uncontrolled(new),
)
CHANNEL_RULES = (
    Rule(
        cel="self.source.channel == 'bars' || !has(self.scenario)",
        message="expected no scenario with channel: trades: it changes bars",
        holds=lambda new, _old: new.source.channel == "bars" or new.scenario is None,
    ),
    Rule(
        cel="!has(self.target) || self.target.topic == 'market.' + self.source.channel",
        message="expected target.topic to be that of what is played: market.bars, or market.trades",
        holds=lambda new, _old: new.target is None or new.target.topic == f"market.{new.source.channel}",
    ),
)
STEP_RULE = Rule(
    cel="!has(self.step) || self.paused || (has(oldSelf.step) && oldSelf.step.id == self.step.id)",
    message="expected paused: true with a new step",
    holds=lambda new, old: new.step is None or new.paused or (old.step is not None and old.step.id == new.step.id),
    transition=True,
)
