"""The values that one transform passes to the next."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from tapedeck_common.market import Bar, Ticker, Trade

Record: TypeAlias = Bar | Trade | Ticker


class TransformValue(msgspec.Struct, frozen=True):
    """A number at ``ts``, milliseconds UTC (the open time of a bar), and the bar that it is the close of, if any.

    ``since`` is the offset of the first record that it depends on. ``rev`` is the sum of the revisions of all records
    that it depends on, so that a correction of any of them increases it. ``seq`` is that of the trade.
    """

    ts: int
    id: str
    interval: str
    value: float
    since: int
    rev: int = 0
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: float | None = None
    record: Record | None = None
    seq: int = 0

    @property
    def key(self) -> tuple[int, str, str]:
        """What values of the same record have in common."""
        return (self.ts, self.id, self.interval)


def value_of(record: Record, field: str | None, offset: int) -> TransformValue | None:
    """A field of a record as a value, by default its close or price; None if the record has no such field."""
    if isinstance(record, Bar):
        number = getattr(record, field or "close")
        value = TransformValue(record.ts, "", record.interval, number, offset, record.rev, record=record)
        if field not in (None, "close"):
            return value
        return msgspec.structs.replace(value, open=record.open, high=record.high, low=record.low, volume=record.volume)
    number = getattr(record, field or "price")
    if number is None:
        return None
    if isinstance(record, Trade):
        return TransformValue(
            record.ts, record.id, "", number, offset, volume=record.amount, record=record, seq=record.seq
        )
    return TransformValue(record.ts, "", "", number, offset, record=record)


def function_argument(value: TransformValue) -> dict[str, Any]:
    """The dictionary that a user's function gets for a value: the record, or ts, value and the bar's other fields."""
    if value.record is not None:
        return dict(msgspec.structs.asdict(value.record))
    bar = {name: number for name in ("open", "high", "low", "volume") if (number := getattr(value, name)) is not None}
    return {"ts": value.ts, "value": value.value, **bar}
