"""Rows of a series that are repeated, in conflict or out of order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tapedeck_common.files import InvalidRow, RowKey, format_key


class SourceRow(NamedTuple):
    """One row of a series: its sort key, its file and line, and its encoded record."""

    key: RowKey
    place: str
    value: bytes


def count_out_of_order(rows: Iterable[SourceRow], on_late: Callable[[], None]) -> Iterator[SourceRow]:
    """The rows unchanged; ``on_late`` is called for each whose key is less than that of an earlier row."""
    newest: RowKey | None = None
    for row in rows:
        if newest is None or row.key > newest:
            newest = row.key
        elif row.key < newest:
            on_late()
        yield row


def deduplicate(
    rows: Iterable[SourceRow], on_repeat: Callable[[], None], on_conflict: Callable[[InvalidRow], None]
) -> Iterator[SourceRow]:
    """The first row of each key, from sorted rows.

    Another row with the same value is a repeat, one with another value a conflict.
    """
    kept: SourceRow | None = None
    for row in rows:
        if kept is None or row.key != kept.key:
            kept = row
            yield row
        elif row.value == kept.value:
            on_repeat()
        else:
            reason = f"ts: {format_key(row.key)} has other values at {kept.place}, which were used; expected one row"
            on_conflict(InvalidRow(row.place, reason, row.value.decode()))
