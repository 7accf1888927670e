"""Parsing one field of a row. Each function raises ValueError with the field, the value and what was expected."""

from __future__ import annotations

from typing import cast

from tapedeck_common.market import Side
from tapedeck_crds.text import quoted


class InvalidTrade(ValueError):
    """A trade whose id could be read, and another field not."""

    def __init__(self, reason: str, id: str) -> None:
        super().__init__(reason)
        self.id = id


def number(name: str, text: str) -> float:
    """A decimal number, of any size: ``bar_problem`` and ``trade_problem`` check the range."""
    try:
        if "_" in text:  # Python accepts it, no other program writes it
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: got {quoted(text)}, expected a number") from None


def whole(name: str, text: str) -> int:
    """A decimal integer of at most 19 digits."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise ValueError(f"{name}: got {quoted(text)}, expected an integer")
    return int(text)


def side(name: str, text: str) -> Side:
    """buy or sell, in upper or lower case."""
    if (found := text.lower()) not in ("buy", "sell"):
        raise ValueError(f"{name}: got {quoted(text)}, expected buy or sell")
    return cast(Side, found)
