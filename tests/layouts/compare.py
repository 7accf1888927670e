"""Compares what was read of a layout with the rows that it should give."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

Row = list[Any]
BAR, TRADE = ("ts", "open", "high", "low", "close", "volume"), ("ts", "id", "price", "amount", "side")


def same(name: str, expected: Any, got: Any) -> bool:
    """What the file does not say (null) may be stored as nothing, of a volume as 0, of a side as any other word."""
    if expected is None:
        return got not in ("buy", "sell") if name == "side" else got in (None, 0) if name == "volume" else True
    if isinstance(expected, float) or name in ("price", "amount", "volume"):
        return isinstance(got, int | float) and math.isclose(expected, got, rel_tol=1e-12)
    return bool(str(got) == str(expected))


def shown(row: Sequence[Any]) -> str:
    time = datetime.fromtimestamp(row[0] / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return f"{time}Z ({row[0]}) " + " ".join(map(str, row[1:]))


def difference(fields: Sequence[str], expected: Sequence[Row], got: Sequence[Row]) -> str | None:
    for n, (wanted, found) in enumerate(zip(expected, got, strict=False), 1):
        wrong = [name for name, a, b in zip(fields, wanted, found, strict=True) if not same(name, a, b)]
        if wrong:
            return f"row {n}, {', '.join(wrong)}: expected {shown(wanted)}, got {shown(found)}"
    if len(got) < len(expected):
        return f"expected {len(expected)} rows, got {len(got)}; missing: {shown(expected[len(got)])}"
    if len(got) > len(expected):
        return f"expected {len(expected)} rows, got {len(got)}; more: {shown(got[len(expected)])}"
    return None


def names(said: str, word: str) -> bool:
    """Whether the word, or one of those between |, stands in it by itself, not in another or in a file's name."""
    without_files = re.sub(r"\S+\.(csv|zip)\b", "", said.lower())
    return re.search(rf"\b(?:{word})s?\b", without_files) is not None


def of_trades(expected: list[Row], got: list[Row]) -> str | None:
    """First the rows, in whatever order those of one millisecond are; then their order."""
    plain = [name for n, name in enumerate(TRADE) if n != 1 or expected[0][1] is not None]
    places = [TRADE.index(name) for name in plain]

    def key(row: Row) -> tuple[Any, ...]:
        return tuple(str(row[n]) if n in (1, 4) else row[n] for n in places if n != 4 or expected[0][4] is not None)

    if problem := difference(TRADE, sorted(expected, key=key), sorted(got, key=key)):
        return problem
    ids = Counter(row[1] for row in got if row[1] is not None)
    if doubled := [id for id, count in ids.items() if count > 1]:
        return f"id {doubled[0]} is that of {ids[doubled[0]]} trades"
    if problem := difference(TRADE, expected, got):
        return f"order: {problem}"
    return None


def of_built(expected: list[Row], got: list[Row]) -> str | None:
    """Bars made of the trades; the last may not be closed yet."""
    loose = [[*row[:5], None] for row in expected]
    problem = difference(BAR, loose[: max(len(got), len(loose) - 1)], [[*row[:5], None] for row in got])
    return f"bars of the trades: {problem}" if problem else None
