"""Rows of a series that are repeated, in conflict or out of order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tapedeck_common.files.source_files import InvalidRow
from tapedeck_crds.base import described_ms


class SourceRow(NamedTuple):
    """One row of a series: its time in microseconds UTC, a trade's id, its file and line, and its encoded record."""

    us: int
    id: str
    place: str
    value: bytes


def count_out_of_order(rows: Iterable[SourceRow], on_late: Callable[[], None]) -> Iterator[SourceRow]:
    """The rows unchanged; ``on_late`` is called for each whose time is before that of an earlier row."""
    newest: int | None = None
    for row in rows:
        if newest is None or row.us > newest:
            newest = row.us
        elif row.us < newest:
            on_late()
        yield row


def deduplicate(
    rows: Iterable[SourceRow], on_repeat: Callable[[], None], on_conflict: Callable[[InvalidRow], None]
) -> Iterator[SourceRow]:
    """The first row of each millisecond and id, from rows in order of time.

    Another row with the same value is a repeat, one with another value a conflict.
    """
    ms: int | None = None
    seen: dict[str, SourceRow] = {}
    for row in rows:
        if row.us // 1_000 != ms:
            ms = row.us // 1_000
            seen.clear()
        first = seen.setdefault(row.id, row)
        if first is row:
            yield row
        elif row.value == first.value:
            on_repeat()
        else:
            on_conflict(InvalidRow(row.place, _conflict(row, first), row.value.decode()))


def _conflict(row: SourceRow, first: SourceRow) -> str:
    at = described_ms(row.us // 1_000)
    what = f"{at} (id {row.id})" if row.id else at
    return f"ts: {what} has other values than at {first.place}; expected one row, the first is taken"
