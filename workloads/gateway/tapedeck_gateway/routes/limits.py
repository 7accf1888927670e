"""The parameter ``future`` of every route that gives out what belongs to a replay."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Query

from tapedeck_gateway.context import Context
from tapedeck_gateway.future import FutureLimits


async def _limits(
    context: Context,
    future: Annotated[bool, Query(description="1: also what lies beyond the positions of replays.")] = False,
) -> FutureLimits:
    return FutureLimits(context.replays, context.reader, future)


Limits: TypeAlias = Annotated[FutureLimits, Depends(_limits)]
