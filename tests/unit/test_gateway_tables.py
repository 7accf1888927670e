"""The forms of the API's tables, its cursors, times and compression, without a database."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.api_types.market import BarRow, PointRow
from tapedeck_gateway.charts.intervals import interval_length, source_length
from tapedeck_gateway.routes.v1.compression import accepted_coding, compressed
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.parameters import parse_moment
from tapedeck_gateway.routes.v1.table_formats import TableFormat, columns_of, table_stream

T0 = 1_522_800_000_000
HOUR = 3_600_000
BARS = [
    (T0, 0.1, 1e-8, 7_000.25, 123_456_789.123_456_78, 0.0),
    (T0 + 60_000, 1.0, 2.0, 0.5, 1 / 3, 1e300),
    (T0 + 120_001, -37.63, 5e-324, 1.5, 2.5, 3.5),
]


def pages_of_arrays(rows: Sequence[tuple[float, ...]], size: int) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(rows), size):
        columns = list(zip(*rows[first : first + size], strict=True))
        yield (np.array(columns[0], dtype=np.int64), *(np.array(column) for column in columns[1:]))


def read_back(format_: TableFormat, body: bytes) -> list[tuple[Any, ...]]:
    """The rows of a table, with times as milliseconds."""
    if format_ == "csv":
        rows = list(csv.reader(io.StringIO(body.decode())))
        assert rows[0] == ["ts", "open", "high", "low", "close", "volume"]
        return [(int(row[0]), *map(float, row[1:])) for row in rows[1:]]
    table = pa.ipc.open_stream(body).read_all() if format_ == "arrow" else pq.read_table(io.BytesIO(body))
    assert [str(type_) for type_ in table.schema.types] == ["timestamp[ms, tz=UTC]"] + ["double"] * 5
    times = [round(each.timestamp() * 1000) for each in table.column("ts").to_pylist()]
    return list(zip(times, *(table.column(name).to_pylist() for name in table.column_names[1:]), strict=True))


@pytest.mark.parametrize("format_", ["csv", "arrow", "parquet"])
@pytest.mark.parametrize("size", [1, 2, 10])
def test_a_table_has_all_rows_to_the_last_digit(format_: TableFormat, size: int) -> None:
    chunks = table_stream(format_, columns_of(BarRow), pages_of_arrays(BARS, size))
    assert read_back(format_, b"".join(chunks)) == BARS
    assert read_back(format_, b"".join(table_stream(format_, columns_of(BarRow), iter([()])))) == []


def test_a_table_is_written_while_it_is_read() -> None:
    """Each page is written before the next one is read."""
    read = 0

    def pages() -> Iterator[tuple[Any, ...]]:
        nonlocal read
        for page in pages_of_arrays(BARS * 4_000, 1_000):
            read += 1
            yield page

    for format_ in get_args(TableFormat):
        read = 0
        for number, chunk in enumerate(table_stream(format_, columns_of(BarRow), pages())):
            assert read <= number + 1
            assert chunk or read == 12
        assert read == 12


def test_null_is_null_in_each_form() -> None:
    page = ((T0, T0 + 1), ("a", ""), (1.5, 2.5), (None, 1.0), (None, None), (0.5, None), (None, 2.0))
    body = b"".join(table_stream("csv", columns_of(PointRow), [page])).decode().splitlines()
    assert body[1:] == [f"{T0},a,1.5,,,0.5,", f"{T0 + 1},,2.5,1.0,,,2.0"]
    table = pa.ipc.open_stream(b"".join(table_stream("arrow", columns_of(PointRow), [page]))).read_all()
    assert table.column("open").to_pylist() == [None, 1.0]
    assert table.column("id").to_pylist() == ["a", ""]


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None), ("gzip", "gzip"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("GZIP;q=0.5", "gzip"),
        ("zstd;q=0, gzip", "gzip"), ("zstd; q=0.0", None), ("identity", None), ("gzipped", None),
    ],
)  # fmt: skip
def test_the_coding_is_one_that_the_client_accepts(header: str, coding: str | None) -> None:
    assert accepted_coding(header) == coding


def test_compressed_chunks_are_the_body_again() -> None:
    chunks = [bytes([n % 251]) * n for n in range(0, 3_000, 7)]
    assert gzip.decompress(b"".join(compressed("gzip", chunks))) == b"".join(chunks)
    unpacked = pa.CompressedInputStream(pa.BufferReader(b"".join(compressed("zstd", chunks))), "zstd")
    assert unpacked.read() == b"".join(chunks)


def test_a_cursor_is_the_place_again_and_nothing_else_is_taken() -> None:
    assert decode_cursor(encode_cursor((T0,)) or "", tuple[int]) == (T0,)
    assert decode_cursor(encode_cursor((T0, 3, "id/ü")) or "", tuple[int, int, str]) == (T0, 3, "id/ü")
    assert decode_cursor(encode_cursor(("a", "b")) or "", tuple[str, str]) == ("a", "b")
    assert decode_cursor("", tuple[int]) is None
    assert encode_cursor(None) is None
    hostile = ["x", "!", "[1]", "ü", "a" * 2_000, *map(_cursor, [[], [1, 2], ["a"], [1.5], [2**63], [None], {"a": 1}])]
    for text in hostile:
        with pytest.raises(InvalidInput, match="cursor: got"):
            decode_cursor(text, tuple[int])
    with pytest.raises(InvalidInput, match=r"^cursor: got .* without NUL"):
        decode_cursor(_cursor(["a\0"]), tuple[str])


def _cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("", None), ("0", 0), ("1522800000000", T0), ("2018-04-04", T0), ("2018-04-04T00:00:00Z", T0),
        ("2018-04-04T02:00:00+02:00", T0), ("2018-04-04T00:00:00.123", T0 + 123), ("2018-04-04 01:00", T0 + HOUR),
        ("20180404", T0), ("20180404T010000Z", T0 + HOUR), ("99999", 99_999),
    ],
)  # fmt: skip
def test_times_are_milliseconds_or_iso(text: str, ms: int | None) -> None:
    assert parse_moment("from", text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "-1", "x", "1e3", "9" * 16, "2018-13-01", "２０１８", "1522800000000.5", " 1", "1969-12-31",
        "2018", "20181304", "-201",
    ],
)  # fmt: skip
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="to: got "):
        parse_moment("to", text)


def test_any_number_of_seconds_to_days_is_an_interval() -> None:
    assert interval_length("1M") is BAR_LENGTHS["1M"]
    lengths = {"45m": 45 * 60_000, "5s": 5_000, "10h": 10 * HOUR, "2d": 48 * HOUR, "90m": 90 * 60_000}
    assert {name: interval_length(name).ms for name in lengths} == lengths
    for text in ("", "m", "0m", "1y", "2M", "-1m", "01m", "1.5h", "99999s", "1m "):
        with pytest.raises(InvalidInput, match="interval: got "):
            interval_length(text)


def test_bars_are_made_of_those_that_cover_most_of_the_range() -> None:
    day, minutes, hours = 24 * HOUR, (T0, T0 + 23 * HOUR), (T0 - 240 * HOUR, T0 + 12 * HOUR)
    series = {"1m": minutes, "1h": hours}

    def chosen(interval: str, start: int, end: int) -> str | None:
        length = source_length(interval_length(interval), series, start, end)
        return None if length is None else length.interval

    assert chosen("1h", T0, T0 + day) == "1h"  # stored ones come first
    assert chosen("1h", T0 + 14 * HOUR, T0 + day) == "1m"  # of which the range has none
    assert chosen("1d", T0 - 10 * day, T0 + day) == "1h"  # 10.5 days against one
    assert chosen("1d", T0, T0 + day) == "1m"  # a whole day against a half
    assert chosen("45m", T0, T0 + day) == "1m"  # an hour does not fit
    assert chosen("5s", T0, T0 + day) is None


def test_the_columns_of_a_row_are_those_of_its_json() -> None:
    assert [column.name for column in columns_of(BarRow)] == list(
        msgspec.to_builtins(BarRow(1, 1.0, 1.0, 1.0, 1.0, 1.0))
    )
