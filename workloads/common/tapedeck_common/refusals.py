"""Rows that were refused, counted by reason: one record says how many rows of a file or stream have the same fault."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from tapedeck_common.records import IngestError
from tapedeck_crds.refusals import REASONS_MAX, RefusedRows, reason_kind

GROUPS_MAX = 1_000  # kept before they have to be published
TEXT_MAX = 500  # characters of a reason, and of a row, in a record
REPORTED_TEXT_MAX = 200  # characters of a reason in a report


@dataclass
class RefusedInput:
    """``rows`` rows of one symbol and source that were refused for one reason; the rest is of the first of them."""

    symbol: str
    place: str
    reason: str
    payload: str
    rows: int = 0

    def record(self, feed: str, exchange: str) -> IngestError:
        """The ingest record."""
        at = time.time_ns() // 1_000_000
        return IngestError(feed, exchange, self.symbol, self.place, self.reason, self.payload, at, self.rows)


class Refusals:
    """Counts refused rows by (symbol, source, reason). ``rows`` is their number since the start."""

    def __init__(self) -> None:
        self.rows = 0
        self._groups: dict[tuple[str, str, str], RefusedInput] = {}
        self._reasons: dict[str, tuple[str, str]] = {}
        self._rows_by_reason: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether the groups should be taken before more rows are added."""
        return len(self._groups) >= GROUPS_MAX

    def add(self, symbol: str, source: str, place: str, reason: str, payload: str) -> None:
        """Count a row. ``source`` is its file or stream, ``place`` where in it the row is."""
        kind = reason_kind(reason)
        group = self._groups.get((symbol, source, kind))
        if group is None:
            group = RefusedInput(symbol, place, reason[:TEXT_MAX], payload[:TEXT_MAX])
            self._groups[symbol, source, kind] = group
        group.rows += 1
        self.rows += 1
        if len(self._reasons) < REASONS_MAX:
            self._reasons.setdefault(kind, (reason[:REPORTED_TEXT_MAX], place))
        if kind in self._reasons:
            self._rows_by_reason[kind] += 1

    def take(self) -> list[RefusedInput]:
        """The groups since the last call, to be published."""
        groups, self._groups = self._groups, {}
        return list(groups.values())

    def reasons(self) -> tuple[RefusedRows, ...]:
        """The first distinct reasons since the start."""
        return tuple(
            RefusedRows(reason=reason, place=place, rows=self._rows_by_reason[kind])
            for kind, (reason, place) in list(self._reasons.items())
        )
