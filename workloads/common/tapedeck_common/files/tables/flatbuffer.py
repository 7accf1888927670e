"""Flatbuffers, as far as the messages in Arrow files need them.

https://flatbuffers.dev/internals/
"""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from


class InvalidFlatbuffer(ValueError):
    """The bytes are no table, or end before it does."""


class FlatTable:
    """A table at a place of a buffer. Fields are numbered from 0; those that are left out have defaults."""

    def __init__(self, data: bytes, place: int | None = None) -> None:
        self._data = data
        self._place = self._number("<I", 0) if place is None else place

    def integer(self, field: int, form: str, default: int = 0) -> int:
        """A number, in the form of struct. Raises InvalidFlatbuffer."""
        place = self._field(field)
        return default if place is None else self._number(form, place)

    def table(self, field: int) -> FlatTable | None:
        """A table. Raises InvalidFlatbuffer."""
        place = self._field(field)
        return None if place is None else FlatTable(self._data, place + self._number("<I", place))

    def structs(self, field: int, form: str, size: int) -> list[tuple[int, ...]]:
        """The structs of a vector, each of ``size`` bytes. Raises InvalidFlatbuffer."""
        place = self._field(field)
        if place is None:
            return []
        start = place + self._number("<I", place)
        count = self._number("<I", start)
        if start + 4 + count * size > len(self._data):
            raise InvalidFlatbuffer("a list without an end")
        return [unpack_from(form, self._data, start + 4 + number * size) for number in range(count)]

    def length(self, field: int) -> int:
        """The number of items of a vector. Raises InvalidFlatbuffer."""
        place = self._field(field)
        return 0 if place is None else self._number("<I", place + self._number("<I", place))

    def tables(self, field: int) -> list[FlatTable]:
        """The tables of a vector. Raises InvalidFlatbuffer."""
        place = self._field(field)
        start = 0 if place is None else place + self._number("<I", place) + 4
        offsets = self.structs(field, "<I", 4)
        return [FlatTable(self._data, start + 4 * n + offset) for n, (offset,) in enumerate(offsets)]

    def _field(self, number: int) -> int | None:
        """The place of a field; None where it is left out."""
        directory = self._place - self._number("<i", self._place)
        if 4 + 2 * number + 2 > self._number("<H", directory):
            return None
        offset = self._number("<H", directory + 4 + 2 * number)
        return self._place + offset if offset else None

    def _number(self, form: str, place: int) -> int:
        if place < 0:
            raise InvalidFlatbuffer("a place before its beginning")
        try:
            value: int = unpack_from(form, self._data, place)[0]
        except StructError:
            raise InvalidFlatbuffer("no end") from None
        return value
