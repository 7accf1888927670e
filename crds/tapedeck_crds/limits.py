"""What a strategy may take of the machine that it runs on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tapedeck_crds.base import Model


class StrategyLimits(Model):
    """What a strategy may take. A run that takes more fails, with the place in the strategy where it did; in a sweep
    the trial does, and the others are made.

    Memory is limited by resources.limits.memory, and always by what the machine has free when the run starts.
    """

    bar_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        default=300.0,
        description="The longest that the strategy may work on a bar, or on its indicators before the first, seconds.",
    )
    output_bytes: Annotated[int, Field(ge=0, le=1_073_741_824)] = Field(
        default=1_048_576,
        description="How much of what the strategy prints is kept in the pod's log, bytes, and how much of what "
        "others print for it: libraries in C, and processes that it starts.",
    )
