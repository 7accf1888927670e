"""Rows that a Feed refused: the reasons as a status shows them, and the share that makes a Feed Degraded."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import Field

from tapedeck_crds.base import Model, ShownText

REASONS_MAX = 3
"""How many distinct reasons a report and a status have."""
REFUSED_PERCENT_MAX = 1.0
"""The default of ``spec.maxRefusedPercent``."""
_VALUES = re.compile(r"got (?:'[^']*'|.*?)(?=[,;] expected|$)|'[^']*'|\"[^\"]*\"|`[^`]*`|\S*\d\S*", re.DOTALL)


class RefusedRows(Model):
    """Rows that were refused for one reason."""

    reason: ShownText = Field(description="Why the first of them was refused.")
    place: ShownText = Field(description="File and line of the first, or its stream.")
    rows: int = Field(description="Their number.")

    def __str__(self) -> str:
        return f"{self.reason} ({self.place}; {self.rows} {'row' if self.rows == 1 else 'rows'})"


def reason_kind(reason: str) -> str:
    """The reason without the values that it quotes: rows with the same fault have the same."""
    return _VALUES.sub("…", reason)


def merge_refused(shards: Iterable[Iterable[RefusedRows]]) -> list[RefusedRows]:
    """The first REASONS_MAX distinct reasons of several pods."""
    merged: dict[str, RefusedRows] = {}
    for shard in shards:
        for refused in shard:
            kind = reason_kind(refused.reason)
            if kind in merged:
                refused = merged[kind].model_copy(update={"rows": merged[kind].rows + refused.rows})
            merged[kind] = refused
    return list(merged.values())[:REASONS_MAX]


def describe_refused(rows: int, taken: int, reasons: Iterable[RefusedRows]) -> str:
    """A sentence: how many of all rows were refused, and why."""
    share = 100 * rows / (rows + taken)
    return f"{rows} of {rows + taken} rows ({share:.3g} %) refused: {'; '.join(map(str, reasons))}"


def is_degraded(rows: int, taken: int, max_percent: float | None) -> bool:
    """Whether more than the permitted share of all rows was refused."""
    limit = REFUSED_PERCENT_MAX if max_percent is None else max_percent
    return 100 * rows > limit * (rows + taken)
