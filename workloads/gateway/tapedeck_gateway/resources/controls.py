"""The controls of a Replay in a request: its fields, and the patch of the Replay's spec that they mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, PlainValidator, ValidationError, WithJsonSchema, model_validator

from tapedeck_crds.base import Model, format_ms
from tapedeck_crds.controls import FOREVER, UNCHANGED, Rounds, Step, control_patch
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_crds.replay import SPEED_MAX, SPEED_MIN
from tapedeck_crds.validation import validation_problems

_MOMENT_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "maxLength": 40}]}


def _moment(value: object) -> str:
    """The time as a spec has it."""
    try:
        if type(value) is int and value >= 0:
            return format_ms(value)
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return format_ms(round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError("expected milliseconds UTC or a time like 2018-04-04T00:00:00Z")


def _target(value: object) -> str:
    return _moment(value["to"] if isinstance(value, dict) and value.keys() == {"to"} else value)


def _intervals(value: object) -> int:
    given = value["intervals"] if isinstance(value, dict) and value.keys() == {"intervals"} else value
    if type(given) is not int:
        raise ValueError("expected a number of intervals")
    return Step(intervals=given, id="checked").intervals


Moment = Annotated[str, PlainValidator(_moment), WithJsonSchema(_MOMENT_SCHEMA)]
SeekTarget = Annotated[
    str,
    PlainValidator(_target),
    WithJsonSchema({"anyOf": [*_MOMENT_SCHEMA["anyOf"], {"type": "object", "properties": {"to": _MOMENT_SCHEMA}}]}),
]
Intervals = Annotated[
    int,
    PlainValidator(_intervals),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "object", "properties": {"intervals": {"minimum": 1}}}]}
    ),
]


class ReplayControls(Model):
    """Controls, all of them optional. Times are milliseconds UTC or ISO 8601 (UTC without an offset)."""

    paused: bool | None = Field(default=None, description="true stops virtual time, false lets it run.")
    speed: Annotated[float, Field(ge=SPEED_MIN, le=SPEED_MAX)] | None = Field(
        default=None, description="Virtual seconds per second; it ends unpaced."
    )
    unpaced: bool | None = Field(default=None, description="true plays as fast as possible.")
    seek: SeekTarget | None = Field(default=None, description="The virtual time to continue from.")
    step: Intervals | None = Field(default=None, description="Advances virtual time by so many intervals, and pauses.")
    loop: Rounds | None = Field(default=None, description=f"How often to play the range, or {FOREVER}; null for once.")
    until: Moment | None = Field(default=None, description="The virtual time to pause at; null removes it.")

    @model_validator(mode="after")
    def _consistent(self) -> ReplayControls:
        if not self.model_fields_set:
            raise ValueError("expected at least one control, such as paused")
        if self.speed is not None and self.unpaced:
            raise ValueError("expected speed or unpaced: true, not both")
        if self.step is not None and self.paused is False:
            raise ValueError("expected no paused: false beside step: a step ends paused")
        return self


def parse_controls(body: bytes) -> ReplayControls:
    """The controls in JSON. Raises InvalidInput with every problem found."""
    try:
        return ReplayControls.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise InvalidInput("\n".join(validation_problems(error))) from None


def patch_of(controls: ReplayControls) -> Json:
    """The merge patch of the Replay's spec, with new ids of seek and step."""
    given = controls.model_fields_set
    return control_patch(
        speed=controls.speed,
        unpaced=controls.unpaced,
        paused=controls.paused,
        seek=controls.seek,
        step=controls.step,
        loop=controls.loop if "loop" in given else UNCHANGED,
        until=controls.until if "until" in given else UNCHANGED,
    )
