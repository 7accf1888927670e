"""Parsing one field of a row. Each function raises ValueError with the field, the value and what was expected."""

from __future__ import annotations

from typing import cast

from tapedeck_common.market import Side
from tapedeck_crds.base import time_ms

TS_END = 4_102_444_800_000  # 2100: a later time is in microseconds, or wrong
VALUE_MAX = 80  # characters of a value in a message


def number(name: str, text: str) -> float:
    """A decimal number, of any size: ``bar_problem`` and ``trade_problem`` check the range."""
    try:
        if "_" in text:  # Python accepts it, no other program writes it
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: got {text[:VALUE_MAX]!r}, expected a number") from None


def whole(name: str, text: str) -> int:
    """A decimal integer of at most 18 digits."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ValueError(f"{name}: got {text[:VALUE_MAX]!r}, expected an integer")
    return int(text)


def moment(name: str, text: str) -> int:
    """Integer milliseconds UTC, or an RFC 3339 time with an offset → milliseconds UTC."""
    if text.removeprefix("-").isdigit():
        return in_range(name, whole(name, text))
    try:
        ts = time_ms(text)
    except ValueError as error:
        raise ValueError(f"{name}: got {text[:VALUE_MAX]!r}, {error} (or integer milliseconds UTC)") from None
    return in_range(name, ts)


def side(name: str, text: str) -> Side:
    """buy or sell, in upper or lower case."""
    if (found := text.lower()) not in ("buy", "sell"):
        raise ValueError(f"{name}: got {text[:VALUE_MAX]!r}, expected buy or sell")
    return cast(Side, found)


def in_range(name: str, ts: int) -> int:
    """The time, if it is between 1970 and 2100."""
    if not 0 <= ts < TS_END:
        raise ValueError(f"{name}: got {ts}, expected milliseconds UTC between 1970 and 2100")
    return ts
