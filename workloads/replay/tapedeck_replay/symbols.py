"""Symbols by name or by pattern."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def matching_symbols(known: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Those that some pattern matches, in their order; * is any text, ? any character."""
    return [symbol for symbol in known if any(fnmatchcase(symbol, pattern) for pattern in patterns)]
