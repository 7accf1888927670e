"""What goes from one transform to the next."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from tapedeck_common.market import Bar, Ticker, Trade

Record: TypeAlias = Bar | Trade | Ticker


class Value(msgspec.Struct, frozen=True):
    """A number at ``ts`` (of bars the open), and the bar around it where it is one.

    ``since`` is the place on the log of the first record that it depends on, ``rev`` the sum of the revisions of all
    that it depends on: a correction of any of them makes it greater.
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

    @property
    def place(self) -> tuple[int, str, str]:
        """What values of the same record have in common."""
        return (self.ts, self.id, self.interval)


def value_of(record: Record, field: str | None, offset: int) -> Value | None:
    """A record's field as a value, its price or close by default; None where the record does not have it."""
    if isinstance(record, Bar):
        chosen = getattr(record, field or "close")
        value = Value(record.ts, "", record.interval, chosen, offset, record.rev, record=record)
        if field not in (None, "close"):
            return value
        return msgspec.structs.replace(value, open=record.open, high=record.high, low=record.low, volume=record.volume)
    chosen = getattr(record, field or "price")
    if chosen is None:
        return None
    if isinstance(record, Trade):
        return Value(record.ts, record.id, "", chosen, offset, volume=record.amount, record=record)
    return Value(record.ts, "", "", chosen, offset, record=record)


def described(value: Value) -> dict[str, Any]:
    """What a function of the user's is told of a value."""
    if value.record is not None:
        return dict(msgspec.structs.asdict(value.record))
    around = {name: given for name in ("open", "high", "low", "volume") if (given := getattr(value, name)) is not None}
    return {"ts": value.ts, "value": value.value, **around}
