"""Checks single values of an exchange's messages. ValueError names the field, the value and what was expected."""

from __future__ import annotations

import math
from typing import Any

TS_END = 4_102_444_800_000  # 2100, milliseconds UTC
_DERIVED = "derived:"


def parse_timestamp(ts: Any) -> int:
    """A time in milliseconds UTC."""
    if type(ts) is not int or not 0 <= ts < TS_END:
        raise ValueError(f"timestamp: got {ts!r}, expected milliseconds UTC between 1970 and 2100")
    return ts


def parse_number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name}: got {value!r}, expected a number")
    return float(value)


def derived_trade_id(ts: Any, side: Any, price: Any, amount: Any) -> str:
    """The id of a trade that has none: the same whenever it is sent again, and of another trade with equal values."""
    return f"{_DERIVED}{ts}:{side}:{price}:{amount}"


def is_derived(trade_id: str) -> bool:
    """Whether the exchange sent the trade without an id."""
    return trade_id.startswith(_DERIVED)


def optional_number(value: Any) -> float | None:
    """A finite number, None for any other value."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
