"""Sorts a series of any length with bounded memory: on disk once it exceeds a few megabytes.

Most files are in order, or are when each part of them is sorted and the parts are read in another order: their rows are
written to a file and read again. Only others are sorted by SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import NamedTuple

from tapedeck_common.files.part_store import PartStore
from tapedeck_common.files.source_rows import Part, SourceItem, SourceRow, ValidBlock, in_parts, items_of, single_rows
from tapedeck_common.files.temporary_disk import no_space_as_error, temporary_database
from tapedeck_common.files.valid_trades import ValidTrades

PART_ROWS = 2_000
DIGITS_MAX = 18  # of an id that SQLite can compare as a number

# Whether an id of a millisecond is not greater than one of an earlier millisecond.
_FALLING_IDS = """
SELECT 1 FROM (
    SELECT lowest, lag(highest) OVER (ORDER BY ms) AS before FROM (
        SELECT us / 1000 AS ms, min(CAST(id AS INTEGER)) AS lowest, max(CAST(id AS INTEGER)) AS highest
        FROM source_rows GROUP BY us / 1000
    )
) WHERE lowest <= before LIMIT 1
"""
_BY_ID = "SELECT us, id, place, value FROM source_rows ORDER BY us / 1000, length(id), id, rowid"
_BY_LINE = "SELECT us, id, place, value FROM source_rows ORDER BY us, rowid"


def external_sort(items: Iterable[SourceItem]) -> Iterator[SourceItem]:
    """The rows by time: those of one millisecond by their ids where these count up, else by microsecond and line.

    Ids count up where all are numbers and each is greater than those of earlier milliseconds. Raises CannotSort where
    the disk is full.
    """
    ids = _IdsSeen()
    parts = in_parts(ids.watched(items), PART_ROWS)
    spans: list[_Span] = []
    with closing(PartStore()) as store:
        for part in parts:
            if ids.are_numbers and not ids.rise:
                yield from _sorted(chain(_read(store, spans), [part], parts), ids)
                return
            part = _in_order(part)
            spans.append(_Span(*_first_and_last(part), len(spans), store.write(part)))
        by_time = sorted(spans)
        if all(map(_is_before, by_time, by_time[1:])):
            yield from chain.from_iterable(map(items_of, _read(store, by_time)))
        else:
            yield from _sorted(_read(store, spans), ids)


class _Span(NamedTuple):
    """The first and last time of a part in microseconds, its number in the files, and its place in the store."""

    first: int
    last: int
    number: int
    place: int


def _in_order(part: Part) -> Part:
    """The rows of a part by time, those of the same time in their order."""
    if isinstance(part, ValidBlock):
        times = part.us
        return part if (times[1:] >= times[:-1]).all() else part.part(times.argsort(kind="stable"))
    return sorted(part, key=lambda row: row.us)


def _first_and_last(part: Part) -> tuple[int, int]:
    if isinstance(part, ValidBlock):
        return int(part.us[0]), int(part.us[-1])
    return part[0].us, part[-1].us


def _is_before(span: _Span, following: _Span) -> bool:
    """Whether no row of a part belongs behind one of another: of two of the same time the files' first is the first."""
    return span.last < following.first or (span.last == following.first and span.number < following.number)


def _read(store: PartStore, spans: list[_Span]) -> Iterator[Part]:
    return (store.read(span.place) for span in spans)


def _sorted(parts: Iterable[Part], ids: _IdsSeen) -> Iterator[SourceRow]:
    with temporary_database() as database:
        with no_space_as_error():
            database.execute("CREATE TABLE source_rows (us INTEGER, id TEXT, place TEXT, value BLOB)")
            database.execute("BEGIN")
            database.executemany(
                "INSERT INTO source_rows VALUES (?, ?, ?, ?)",
                single_rows(chain.from_iterable(map(items_of, parts))),
            )
            by_id = ids.are_numbers and (ids.rise or not database.execute(_FALLING_IDS).fetchone())
            ordered = database.execute(_BY_ID if by_id else _BY_LINE)
        yield from map(SourceRow._make, ordered)


class _IdsSeen:
    """What the ids are like, in the order of the rows.

    - ``are_numbers``: each is a number.
    - ``rise``: the times never fall, and each id is greater than the one before: they count up without a doubt.
    """

    def __init__(self) -> None:
        self.are_numbers = self.rise = True
        self._last = (-1, -1)

    def watched(self, items: Iterable[SourceItem]) -> Iterator[SourceItem]:
        for item in items:
            if self.are_numbers:
                if isinstance(item, ValidBlock):
                    self._look_at_block(item)
                else:
                    self._look_at(item)
            yield item

    def _look_at(self, row: SourceRow) -> None:
        self.are_numbers = row.id.isascii() and row.id.isdigit() and len(row.id) <= DIGITS_MAX
        if self.are_numbers and self.rise:
            us, number = row.us, int(row.id)
            self.rise = us >= self._last[0] and number > self._last[1]
            self._last = (us, number)

    def _look_at_block(self, block: ValidBlock) -> None:
        self.are_numbers = isinstance(block, ValidTrades)
        if isinstance(block, ValidTrades) and self.rise:
            us, number = int(block.us[0]), int(block.id_numbers[0])
            self.rise = us >= self._last[0] and number > self._last[1] and block.rises()
            self._last = (int(block.us[-1]), int(block.id_numbers[-1]))
