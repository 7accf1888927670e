"""The values of a table's rows: times, numbers and texts, by columns, with what is wrong with each that has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import number
from tapedeck_common.files.layouts.fields import Field
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.tables.table import ColumnBatch
from tapedeck_common.files.timestamps import TIME_END, FileTimes, Stamp
from tapedeck_crds.text import quoted

Value: TypeAlias = Any
"""A float, a text or a stamp, None for an empty cell, or a ValueError that tells what is wrong with it."""
EMPTY = frozenset(("", "null", "none", "na", "-"))
"""Texts that programs write where there is no number, in lower case, beside nan. Not n/a: people write that."""
CURRENCIES = "$€£¥"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Columns:
    """Reads the columns of one table by its reading."""

    def __init__(self, reading: Reading, times: FileTimes, decimal: str, thousands: str) -> None:
        self._reading = reading
        self.times = times
        self._decimal = decimal
        self._thousands = thousands

    @property
    def are_plain(self) -> bool:
        """Whether numbers are written with a point alone, as programs read them."""
        return self._decimal == "." and not self._thousands

    def values(self, batch: ColumnBatch) -> dict[Field, list[Value]]:
        """The values of each field that the table has, in the order of the rows."""
        reading = self._reading
        found: dict[Field, list[Value]] = {"ts": self._stamps([batch.columns[n] for n in reading.time.columns])}
        for field, place in reading.columns.items():
            if field != "ts":
                column = batch.columns[place]
                found[field] = self._numbers(field, column) if field in _NUMBERS else _texts(column)
        return found

    def adjusted(self, batch: ColumnBatch) -> list[Value] | None:
        """The adjusted closes, where the reading takes them."""
        place = self._reading.adjusted
        return None if place is None else self._numbers("close", batch.columns[place])

    def _stamps(self, columns: Sequence[Any]) -> list[Value]:
        import pyarrow as pa

        first = columns[0]
        if len(columns) == 1 and not pa.types.is_string(first.type):
            return self._typed_stamps(first)
        texts = [_texts(column) for column in columns]
        joined = texts[0] if len(texts) == 1 else [" ".join(filter(None, parts)) for parts in zip(*texts, strict=True)]
        return [_tried(self.times.of_text, text) for text in joined]

    def _typed_stamps(self, column: Any) -> list[Value]:
        import pyarrow as pa

        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            zone = _zone(column.type)
            column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
            return [None if us is None else self._of_us(us, zone) for us in column.cast(pa.int64()).to_pylist()]
        return [_tried(self.times.of_text, text) for text in _texts(column)]

    def _of_us(self, us: int, zone: tzinfo | None) -> Value:
        """``us`` is microseconds UTC, or local ones where the column has no zone."""
        if not 0 <= us < TIME_END * 1_000_000:
            return ValueError(f"ts: got a timestamp of {us} microseconds, expected a time between 1970 and 2100")
        moment = _EPOCH + timedelta(microseconds=us)
        try:
            return self.times.of_moment("ts", moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone))
        except ValueError as error:
            return error

    def _numbers(self, field: Field, column: Any) -> list[Value]:
        """The numbers of a column; all at once where each is one in the usual notation."""
        import pyarrow as pa

        if not pa.types.is_string(column.type):
            if (
                pa.types.is_decimal(column.type)
                or pa.types.is_floating(column.type)
                or pa.types.is_integer(column.type)
            ):
                return list(column.cast(pa.float64(), safe=False).to_pylist())
            column = pa.array(_texts(column), pa.string())
        if self.are_plain:
            try:
                return list(column.cast(pa.float64()).to_pylist())
            except pa.ArrowInvalid:
                pass  # find out which
        return [self._number(field, text) for text in column.to_pylist()]

    def _number(self, field: Field, text: str | None) -> Value:
        if text is None or (stripped := text.strip().lstrip(CURRENCIES)).lower() in EMPTY:
            return None
        plain = stripped.replace(self._thousands, "") if self._thousands else stripped
        if self._decimal == "," and "." in plain:
            return ValueError(f"{field}: got {quoted(text)}, expected a number with a comma; declare thousands")
        try:
            return number(field, plain.replace(self._decimal, ".") if self._decimal != "." else plain)
        except ValueError as error:
            return error


def _tried(read: Callable[[str, str], Stamp], text: str | None) -> Value:
    if not text or not (stripped := text.strip()):
        return None
    try:
        return read("ts", stripped)
    except ValueError as error:
        return error


def _texts(column: Any) -> list[str | None]:
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        try:
            column = column.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return [None if value is None else str(value) for value in column.to_pylist()]
    return list(column.to_pylist())


def _zone(type_: Any) -> tzinfo | None:
    """The zone of a column of times: of a name or an offset; None if it has none."""
    name = getattr(type_, "tz", None)
    if name is None:
        return None
    try:
        return datetime.strptime(name, "%z").tzinfo if name[0] in "+-" else ZoneInfo(name)
    except (KeyError, ValueError):
        raise InvalidFiles(f"time: got the zone {quoted(name)}, expected one such as America/New_York") from None


_NUMBERS = frozenset(("open", "high", "low", "close", "volume", "price", "amount"))
