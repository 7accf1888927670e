"""One field of a row: text → value, or ValueError that names field, value and expectation."""

from __future__ import annotations

from typing import cast

from tapedeck_common.market import Side
from tapedeck_crds.base import time_ms

TS_END = 4_102_444_800_000  # 2100: later times are microseconds, or nonsense
SHOWN = 80  # characters of a wrong value that a message repeats


def number(name: str, text: str) -> float:
    """A decimal number; whether it makes sense is for the market types to say."""
    try:
        if "_" in text:  # Python's own notation, nobody else's
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: got {text[:SHOWN]!r}, expected a number") from None


def whole(name: str, text: str) -> int:
    """A decimal integer of at most 18 digits."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ValueError(f"{name}: got {text[:SHOWN]!r}, expected an integer")
    return int(text)


def moment(name: str, text: str) -> int:
    """Milliseconds UTC as an integer, or a time of RFC 3339 with an offset → milliseconds UTC."""
    if text.removeprefix("-").isdigit():
        return in_range(name, whole(name, text))
    try:
        ts = time_ms(text)
    except ValueError as error:
        raise ValueError(f"{name}: got {text[:SHOWN]!r}, {error} (or integer milliseconds UTC)") from None
    return in_range(name, ts)


def side(name: str, text: str) -> Side:
    """buy or sell, in letters of either case."""
    if (found := text.lower()) not in ("buy", "sell"):
        raise ValueError(f"{name}: got {text[:SHOWN]!r}, expected buy or sell")
    return cast(Side, found)


def in_range(name: str, ts: int) -> int:
    """The time itself, if it lies between 1970 and 2100."""
    if not 0 <= ts < TS_END:
        raise ValueError(f"{name}: got {ts}, expected milliseconds UTC between 1970 and 2100")
    return ts
