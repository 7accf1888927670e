"""Field types that several answers share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

TIME = {"time": True}
"""Marks a time, which Arrow and Parquet have as a timestamp."""

Ms: TypeAlias = Annotated[int, msgspec.Meta(description="Milliseconds UTC.", extra=TIME)]
Next: TypeAlias = Annotated[
    str | None, msgspec.Meta(description="The cursor of the next page; null where there is nothing more.")
]
