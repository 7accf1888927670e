"""The controls of a Replay in its spec, and its additional target."""

from __future__ import annotations

import uuid
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from tapedeck_crds.base import Model, Rule, Time
from tapedeck_crds.json import Json
from tapedeck_crds.resource import NAME_MAX, NAME_PATTERN

ControlId = Annotated[str, Field(min_length=1, max_length=64)]
_ID_TEXT = "Any text not used before: a new id requests a new"


class Seek(Model):
    """A jump in virtual time, executed once for each new id."""

    to: Time = Field(
        description="Virtual time to continue from; the next bar is the first that is known later. A time outside the "
        "range is moved to the nearer end, and the status says so."
    )
    id: ControlId = Field(description=f"{_ID_TEXT} seek.")


class Step(Model):
    """Advances virtual time by some intervals at once, executed once for each new id."""

    intervals: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Number of intervals of the bars; at most to the end of the range."
    )
    id: ControlId = Field(description=f"{_ID_TEXT} step.")


FOREVER: Literal["forever"] = "forever"
_ROUNDS_MAX = 1_000_000


def _checked_rounds(value: object) -> int | str:
    if value == FOREVER or (type(value) is int and 1 <= value <= _ROUNDS_MAX):
        return value
    raise ValueError(f"expected a number of rounds from 1 to {_ROUNDS_MAX}, or {FOREVER}")


Rounds = Annotated[
    int | Literal["forever"],
    PlainValidator(_checked_rounds),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": _ROUNDS_MAX,
            "pattern": f"^{FOREVER}$",
            "maxLength": len(FOREVER),
        }
    ),
]
"""How often the range is played; each round has an epoch of its own."""


class Unchanged(Enum):
    """The value of a control that stays as it is, where None removes it."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


def control_patch(
    *,
    speed: float | None = None,
    unpaced: bool | None = None,
    paused: bool | None = None,
    seek: str | None = None,
    step: int | None = None,
    loop: int | str | Unchanged | None = UNCHANGED,
    until: str | Unchanged | None = UNCHANGED,
) -> Json:
    """The merge patch of a Replay's spec for its controls; empty without one.

    A speed ends `unpaced`, a step pauses. ``seek`` and ``until`` are times as in the spec. Seek and step get new ids,
    since they take effect once for each.
    """
    spec: Json = {}
    if speed is not None:
        spec |= {"speed": speed, "unpaced": False}
    if unpaced is not None:
        spec["unpaced"] = unpaced
    if paused is not None:
        spec["paused"] = paused
    if seek is not None:
        spec["seek"] = {"to": seek, "id": _new_id()}
    if step is not None:
        spec |= {"paused": True, "step": {"intervals": step, "id": _new_id()}}
    if loop is not UNCHANGED:
        spec["loop"] = loop
    if until is not UNCHANGED:
        spec["until"] = until
    return {"spec": spec} if spec else {}


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


class ClockOptions(Model):
    """The source of virtual time."""

    follow: Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)] | None = Field(
        default=None,
        description="Name of a Replay of the same namespace whose clock and controls this one follows.",
    )
    catch_up: Literal["burst", "skip"] = Field(
        default="burst",
        description="After a stall of more than a second. burst: overdue records are published at once. skip: virtual "
        "time continues from the position reached, for all that share this clock; no record is left out.",
    )


class Target(Model):
    """A topic to publish to, beside the replay's own."""

    topic: Literal["market.bars", "market.trades"] = Field(
        description="The topic of live bars or, with channel: trades, of live trades."
    )
    shared: bool = Field(
        default=False, description="Must be true: only the header distinguishes live and replayed bars."
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
