"""The gateway's options: the JSON of ``TAPEDECK_SPEC``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tapedeck_crds.base import Model


class GatewayOptions(Model):
    """Limits, and the origins that may connect."""

    origins: list[str] = Field(
        default_factory=list,
        description="Origins whose pages may open the WebSocket, besides the gateway's own and those of loopback.",
    )
    max_sockets: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    max_subscriptions: Annotated[int, Field(ge=1, le=1_000)] = 32
    idle_seconds: Annotated[float, Field(gt=0)] = 300.0
