"""What reading an Arrow file takes, checked before it is done: a buffer of some bytes can expand to any size.

https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from struct import unpack
from typing import Any, BinaryIO, NamedTuple

from tapedeck_common.files.content.bounds import EXPANSION_MAX, FREE_BYTES, check_rows
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.tables.flatbuffer import FlatTable, InvalidFlatbuffer
from tapedeck_common.files.tables.parquet_limits import FOOTER_MAX, PAGES_MAX, TEXT_MAX

BLOCKS_MAX = 100_000
"""Batches and dictionaries: libraries write some 64,000 rows in each."""
FIELDS_MAX = 10_000
"""Columns, and those within them."""
_FIELDS_DEPTH_MAX = 20
_MAGIC, _LENGTH_BYTES, _PREFIX_BYTES = b"ARROW1", 4, 8
_CONTINUED = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARIES, _BATCHES = 1, 2, 3  # fields of the footer
_FIELDS = 1  # of a schema
_CHILDREN = 5  # of one of its fields
_HEADER_KIND, _HEADER = 1, 2  # of a message
_DICTIONARY, _BATCH = 2, 3  # kinds of its header
_DATA = 1  # of a dictionary: the batch with its values
_ROWS, _BUFFERS, _COMPRESSION = 0, 2, 3  # of a batch


class _Block(NamedTuple):
    """Where a message is, and the sizes of its head and its body."""

    offset: int
    head: int
    body: int


def check_batches(name: str, stream: BinaryIO) -> None:
    """Raises InvalidFiles where the file's batches expand to more than market data does. The stream is at its start."""
    size = stream.seek(0, io.SEEK_END)
    try:
        footer = _footer(name, stream, size)
        dictionaries = list(_blocks(footer, _DICTIONARIES))
        batches = list(_blocks(footer, _BATCHES))
        if len(dictionaries) + len(batches) > BLOCKS_MAX:
            raise InvalidFiles(f"{name}: got {len(dictionaries) + len(batches)} batches, expected at most {BLOCKS_MAX}")
        if (schema := footer.table(_SCHEMA)) is not None:
            _check_fields(name, schema)
        if sum(block.head for block in (*dictionaries, *batches)) > size:
            raise InvalidFiles(
                f"{name}: got heads of batches of more bytes than the file has, expected each in its place"
            )
        held, rows, total = 0, 0, 0
        for block in dictionaries:  # all of them are held
            _, expanded = _sizes(name, stream, block)
            held += expanded
            _check_held(name, held)
        for block in batches:
            count, expanded = _sizes(name, stream, block)
            rows, total = rows + count, total + expanded
            _check_held(name, held + expanded)
            check_rows(name, rows, size)
            if total > max(size * EXPANSION_MAX, FREE_BYTES):
                raise InvalidFiles(
                    f"{name}: got batches of more than {EXPANSION_MAX} times its size, expected market data, which "
                    "expands to less"
                )
    except InvalidFlatbuffer as error:
        raise InvalidFiles(f"{name}: cannot be read: its directory has {error}") from None
    finally:
        stream.seek(0)


def check_types(name: str, schema: Any, wanted: Collection[int]) -> None:
    """Raises InvalidFiles for a wanted column of another type than numbers, text and times."""
    from pyarrow import types

    plain = (
        types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_temporal,
        types.is_string, types.is_large_string, types.is_binary, types.is_large_binary,
    )  # fmt: skip
    for place in wanted:
        type_ = schema.types[place]
        value = type_.value_type if types.is_dictionary(type_) else type_
        if not any(is_type(value) for is_type in plain):
            raise InvalidFiles(
                f"{name}: got {schema.names[place]} of the type {type_}, expected numbers, text or times"
            )


def check_texts(name: str, batch: Any) -> None:
    """Raises InvalidFiles for a text above TEXT_MAX in a batch."""
    import pyarrow.compute as pc
    from pyarrow import types

    for column_name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = column.dictionary if types.is_dictionary(column.type) else column
        if types.is_integer(values.type) or types.is_floating(values.type) or types.is_temporal(values.type):
            continue
        if types.is_string(values.type) or types.is_large_string(values.type) or types.is_binary(values.type):
            longest = pc.max(pc.binary_length(values)).as_py() or 0
            if longest > TEXT_MAX:
                raise InvalidFiles(
                    f"{name}: got a text of {longest} bytes in {column_name}, expected at most {TEXT_MAX}"
                )


def _footer(name: str, stream: BinaryIO, size: int) -> FlatTable:
    tail = _read(stream, size - len(_MAGIC) - _LENGTH_BYTES, _LENGTH_BYTES + len(_MAGIC))
    if not tail.endswith(_MAGIC):
        raise InvalidFlatbuffer("no end")
    length = int.from_bytes(tail[:_LENGTH_BYTES], "little")
    if length > FOOTER_MAX:
        raise InvalidFiles(f"{name}: got a directory of {length} bytes, expected at most {FOOTER_MAX}")
    return FlatTable(_read(stream, size - len(tail) - length, length))


def _check_fields(name: str, schema: FlatTable) -> None:
    """Raises InvalidFiles for more fields than market data has. The same bytes may be told to be any number of them."""
    level, count, field = [schema], 0, _FIELDS
    for _ in range(_FIELDS_DEPTH_MAX):
        count += sum(table.length(field) for table in level)
        if count > FIELDS_MAX:
            break
        level = [child for table in level for child in table.tables(field)]
        field = _CHILDREN
    if level:
        raise InvalidFiles(
            f"{name}: got more than {FIELDS_MAX} columns, or columns nested more than {_FIELDS_DEPTH_MAX} deep, "
            "expected fewer"
        )


def _blocks(footer: FlatTable, field: int) -> Iterator[_Block]:
    return (_Block(offset, head, body) for offset, head, body in footer.structs(field, "<qi4xq", 24))


def _sizes(name: str, stream: BinaryIO, block: _Block) -> tuple[int, int]:
    """The rows of a batch, or of the values of a dictionary, and the bytes that it expands to."""
    if not 0 <= block.head <= FOOTER_MAX:
        raise InvalidFiles(f"{name}: got a head of {block.head} bytes, expected at most {FOOTER_MAX}")
    head = _read(stream, block.offset, block.head)
    message = FlatTable(head[8 if head.startswith(_CONTINUED) else 4 :])
    kind, batch = message.integer(_HEADER_KIND, "<B"), message.table(_HEADER)
    if kind == _DICTIONARY and batch is not None:
        batch = batch.table(_DATA)
    elif kind != _BATCH:
        batch = None
    if batch is None:
        raise InvalidFlatbuffer("a block without a batch")
    is_compressed = batch.table(_COMPRESSION) is not None
    expanded = 0
    for offset, length in batch.structs(_BUFFERS, "<qq", 16):
        told = _told(stream, block.offset + block.head + offset) if is_compressed and length >= _PREFIX_BYTES else -1
        expanded += max(length, told)
    return batch.integer(_ROWS, "<q"), expanded


def _told(stream: BinaryIO, place: int) -> int:
    """The size that a compressed buffer expands to, -1 where it is not compressed: what is allocated to read it."""
    size: int = unpack("<q", _read(stream, place, _PREFIX_BYTES))[0]
    return size


def _read(stream: BinaryIO, place: int, count: int) -> bytes:
    if place < 0:
        raise InvalidFlatbuffer("a place before its beginning")
    stream.seek(place)
    found = stream.read(count)
    if len(found) < count:
        raise InvalidFlatbuffer("no end")
    return found


def _check_held(name: str, held: int) -> None:
    if held > PAGES_MAX:
        raise InvalidFiles(
            f"{name}: got batches of {held} bytes at a time, expected at most {PAGES_MAX}; write batches of some "
            "65,536 rows"
        )
