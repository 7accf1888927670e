"""Rows in PostgreSQL's binary format, packed by hand, as columns."""

from __future__ import annotations

import struct
from array import array

from hypothesis import given
from hypothesis import strategies as st

from tapedeck_deck.cli.exports.batch import rows_of
from tapedeck_deck.cli.exports.copied_rows import decoded
from tapedeck_deck.cli.exports.kinds import ColumnType, ExportColumn, Row

COLUMNS = [
    ExportColumn("name", ColumnType.TEXT),
    ExportColumn("count", ColumnType.INTEGER),
    ExportColumn("price", ColumnType.FLOAT),
    ExportColumn("at", ColumnType.MARKET_TIME),
    ExportColumn("document", ColumnType.JSON),
]
texts = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
integers = st.none() | st.integers(-(2**63), 2**63 - 1)
rows = st.lists(st.tuples(texts, integers, st.none() | st.floats(allow_nan=False), integers, texts), min_size=1)


def packed(row: Row) -> bytes:
    """The row as COPY gives it: the number of its columns, then each with its size, -1 for NULL."""
    cells = [struct.pack(">h", len(row))]
    for value in row:
        if value is None:
            cells.append(struct.pack(">i", -1))
            continue
        kinds = {str: lambda text: text.encode(), int: struct.Struct(">q").pack, float: struct.Struct(">d").pack}
        data = kinds[type(value)](value)
        cells.append(struct.pack(">i", len(data)) + data)
    return b"".join(cells)


@given(rows)
def test_every_value_is_the_one_that_was_packed(some: list[Row]) -> None:
    parts = [packed(row) for row in some]
    batch = decoded(bytearray(b"".join(parts)), array("q", map(len, parts)), COLUMNS)
    batch.validate(full=True)
    assert rows_of(batch) == some
    assert batch.schema.names == [column.name for column in COLUMNS]
