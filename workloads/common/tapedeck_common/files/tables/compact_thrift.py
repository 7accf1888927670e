"""Thrift's compact protocol, as far as the headers in Parquet files need it.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import TypeAlias, Union

Fields: TypeAlias = dict[int, Union[int, "Fields", None]]
"""Numbers and structs by the number of their field; None for a value of another type."""

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
_VARINT_BITS = 64
_DEPTH_MAX = 20
_ITEMS_PER_STRUCT = 4
"""Items of lists, beside structs: a column of Parquet has some encodings and the parts of its path."""


class InvalidThrift(ValueError):
    """The bytes are no struct, or one with too much in it: the message says what they have."""


class StructReader:
    """Reads structs one after the other. ``structs_max`` bounds those below one, and items of lists."""

    def __init__(self, data: bytes, structs_max: int) -> None:
        self._data = data
        self._structs_max = self._structs_left = structs_max
        self._items_left = structs_max * _ITEMS_PER_STRUCT
        self.position = 0

    def read(self, depth: int = 0) -> Fields:
        """The next struct. Raises InvalidThrift."""
        self._structs_left -= 1
        if self._structs_left < 0:
            raise InvalidThrift(f"more than {self._structs_max} entries")
        fields: Fields = {}
        number = 0
        while (head := self._byte()) != _STOP:
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = None if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> int | Fields | None:
        if depth > _DEPTH_MAX:
            raise InvalidThrift(f"entries nested more than {_DEPTH_MAX} deep")
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.read(depth + 1)
        if kind in (_TRUE, _FALSE, _BYTE):  # in a list
            self._skip(1)
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind in (_LIST, _SET):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            if head & 15 != _STRUCT:  # they are counted as they are read
                self._take_items(count)
            for _ in range(count):
                self._value(head & 15, depth + 1)
        elif kind == _MAP:
            if count := self._varint():
                kinds = self._byte()
                self._take_items(count)
                for _ in range(count):
                    self._value(kinds >> 4, depth + 1)
                    self._value(kinds & 15, depth + 1)
        else:
            raise InvalidThrift(f"an unknown type {kind}")
        return None

    def _take_items(self, count: int) -> None:
        self._items_left -= count
        if self._items_left < 0:
            raise InvalidThrift(f"more than {self._structs_max * _ITEMS_PER_STRUCT} items in lists")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while shift < _VARINT_BITS:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise InvalidThrift("a number of more than 64 bits")

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self.position - 1]

    def _skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise InvalidThrift("no end")
