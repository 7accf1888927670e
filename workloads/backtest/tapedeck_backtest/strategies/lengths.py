"""Checks of the built-in strategies' params."""

from __future__ import annotations


def check_whole(**lengths: float) -> None:
    """Raises ValueError if one of these params, which count bars, is no whole number."""
    for name, value in lengths.items():
        if not isinstance(value, int):
            raise ValueError(f"{name}: got {value}, expected a whole number of bars")
