"""What becomes of rows that stand twice or out of order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tapedeck_common.files import BadRow, Key, shown


class Entry(NamedTuple):
    """One row of a series: its key, where it stands, and its value as it goes onto the log."""

    key: Key
    place: str
    value: bytes


def watch_order(entries: Iterable[Entry], on_late: Callable[[], None]) -> Iterator[Entry]:
    """The entries as they come; ``on_late`` hears of each that belongs before one already seen."""
    newest: Key | None = None
    for entry in entries:
        if newest is None or entry.key > newest:
            newest = entry.key
        elif entry.key < newest:
            on_late()
        yield entry


def distinct(
    entries: Iterable[Entry], on_repeat: Callable[[], None], on_conflict: Callable[[BadRow], None]
) -> Iterator[Entry]:
    """One entry a key out of entries in order: the first.

    Another with the same value is a repeat, one with another value a conflict.
    """
    kept: Entry | None = None
    for entry in entries:
        if kept is None or entry.key != kept.key:
            kept = entry
            yield entry
        elif entry.value == kept.value:
            on_repeat()
        else:
            reason = f"ts: {shown(entry.key)} has other values at {kept.place}, which were taken; expected one row"
            on_conflict(BadRow(entry.place, reason, entry.value.decode()))
