"""Fields about an exchange that several specs share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tapedeck_crds.base import Model, SymbolPattern
from tapedeck_crds.intervals import Interval
from tapedeck_crds.patterns import ADDRESS

Channel = Literal["trades", "bars", "ticker"]


class Endpoints(Model):
    """Hosts to use in place of an exchange's: a mirror, a proxy, or a test server."""

    rest: Annotated[str, Field(max_length=256, pattern=f"^https?{ADDRESS}")] | None = Field(
        default=None, description="Replaces scheme and host of every REST URL; the paths are kept."
    )
    websocket: Annotated[str, Field(max_length=256, pattern=f"^wss?{ADDRESS}")] | None = Field(
        default=None, description="Replaces scheme and host of every websocket URL; the paths are kept."
    )


def _once(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("expected each of them once")
    return values


_SET = {"x-kubernetes-list-type": "set"}
WantedSet = Annotated[
    list[SymbolPattern], AfterValidator(_once), Field(min_length=1, max_length=1000, json_schema_extra=_SET)
]
ChannelSet = Annotated[list[Channel], AfterValidator(_once), Field(min_length=1, max_length=3, json_schema_extra=_SET)]
IntervalSet = Annotated[
    list[Interval], AfterValidator(_once), Field(min_length=1, max_length=12, json_schema_extra=_SET)
]
