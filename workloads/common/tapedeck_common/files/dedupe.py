"""Rows of a series that are repeated, in conflict or out of order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tapedeck_common.files.source_files import InvalidRow
from tapedeck_common.files.source_rows import SourceItem, SourceRow, ValidBlock
from tapedeck_crds.base import described_ms


def count_out_of_order(items: Iterable[SourceItem], on_late: Callable[[int], None]) -> Iterator[SourceItem]:
    """The rows unchanged; ``on_late`` is called with how many of them have a time before that of an earlier row."""
    newest: int | None = None
    for item in items:
        if isinstance(item, ValidBlock):
            late, newest = _late(item, newest)
            if late:
                on_late(late)
        elif newest is None or item.us > newest:
            newest = item.us
        elif item.us < newest:
            on_late(1)
        yield item


def _late(block: ValidBlock, newest: int | None) -> tuple[int, int]:
    """How many rows are late, and the newest time after them."""
    import numpy as np

    times = block.us
    reached = np.maximum.accumulate(times if newest is None else np.maximum(times, newest))
    return int((times < reached).sum()), int(reached[-1])


def deduplicate(
    items: Iterable[SourceItem], on_repeat: Callable[[], None], on_conflict: Callable[[InvalidRow], None]
) -> Iterator[SourceItem]:
    """The first row of each millisecond and id, from rows in order of time.

    Another row with the same value is a repeat, one with another value a conflict. The rows of a block that remains
    one rise, and are of later milliseconds than all before.
    """
    seen = _Seen(on_repeat, on_conflict)
    for item in items:
        if not isinstance(item, ValidBlock):
            yield from seen.first_of((item,))
        elif not item.rises():
            yield from seen.first_of(item.rows())
        else:
            known = int((item.us // 1_000).searchsorted(seen.ms, "right"))
            if known:
                yield from seen.first_of(item.part(slice(known)).rows())
            if known < len(item):
                later = item.part(slice(known, None))
                seen.follow(later)
                yield later


@dataclass
class _Seen:
    """The rows of the last millisecond."""

    on_repeat: Callable[[], None]
    on_conflict: Callable[[InvalidRow], None]
    ms: int = -1
    by_id: dict[str, SourceRow] = field(default_factory=dict)

    def first_of(self, rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
        """Those of the next rows that are the first of their millisecond and id."""
        for row in rows:
            if row.us // 1_000 != self.ms:
                self.ms = row.us // 1_000
                self.by_id.clear()
            first = self.by_id.setdefault(row.id, row)
            if first is row:
                yield row
            elif row.value == first.value:
                self.on_repeat()
            else:
                self.on_conflict(InvalidRow(row.place, _conflict(row, first), row.value.decode()))

    def follow(self, block: ValidBlock) -> None:
        """Remember the last millisecond of a block of rows that rise."""
        times = block.us // 1_000
        self.ms = int(times[-1])
        last = block.part(slice(int(times.searchsorted(self.ms)), None))
        self.by_id = {row.id: row for row in last.rows()}


def _conflict(row: SourceRow, first: SourceRow) -> str:
    at = described_ms(row.us // 1_000)
    what = f"{at} (id {row.id})" if row.id else at
    return f"ts: {what} has other values than at {first.place}; expected one row, the first is taken"
