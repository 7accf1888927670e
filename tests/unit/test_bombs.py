"""Small inputs that grow large: each is refused with the limit in the message, in little memory and time."""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attack.measured import DOCUMENTS, MEMORY_MAX, READER, measured
from tapedeck_common.files import InvalidFiles
from tapedeck_common.files.content.bounds import ExpansionLimit

pytestmark = pytest.mark.slow

MIB = 2**20
HEADER = b"ts,open,high,low,close,volume\n"
ROW = b"1522800000000,1,2,1,1,1\n"


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zip"])
def test_a_line_of_100_megabytes_in_a_small_file(tmp_path: Path, name: str) -> None:
    path, part = tmp_path / name, b"1" * MIB
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(HEADER) + gzip.compress(part) * 100)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as member:
            member.write(HEADER)
            for _ in range(100):
                member.write(part)
    assert path.stat().st_size < MIB
    said, memory, _ = measured(READER, path)
    assert "got a line of more than 65536 characters" in said
    assert memory < MEMORY_MAX


def test_a_header_of_ten_megabytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a," * (5 * MIB) + HEADER)
    said, memory, _ = measured(READER, tmp_path / "a.csv")
    assert "a.csv:1: got a line of more than 65536 characters" in said
    assert memory < MEMORY_MAX


def test_blank_lines_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER + ROW) + gzip.compress(b"\n" * MIB) * 400)
    said, memory, _ = measured(READER, tmp_path / "a.csv.gz")
    assert "got more than 10000 blank lines" in said
    assert memory < MEMORY_MAX


def test_what_expands_to_more_than_market_data_does() -> None:
    content = ExpansionLimit(io.BytesIO(b"1" * (17 * MIB)), 1_000, "a.gz")
    with pytest.raises(InvalidFiles, match=r"a\.gz: expands to more than 500 times its size"):
        while content.read(MIB):
            pass


def test_a_small_parquet_of_millions_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = 500_000
    columns = {"ts": pa.array([1_522_800_000_000], pa.int64())}
    columns |= dict.fromkeys(("open", "high", "low", "close", "volume"), pa.array([1.0]))
    part = pa.table({name: pa.chunked_array([pa.repeat(each[0], rows)]) for name, each in columns.items()})
    with pq.ParquetWriter(path, part.schema, compression="zstd") as writer:
        for _ in range(10):
            writer.write_table(part)
    assert path.stat().st_size < 2 * MIB
    said, memory, _ = measured(READER, path)
    assert "got 5000000 rows" in said and "expected at most" in said
    assert memory < MEMORY_MAX


PRICES = ("open", "high", "low", "close", "volume")


def write_parquet(path: Path, rows: int, interval: pa.Array | None = None, noise: int = MIB, **options: Any) -> None:
    """Bars that are all alike, in one row group, beside some bytes that no compression shrinks."""
    columns = {"ts": pa.repeat(pa.scalar(1_522_800_000_000, pa.int64()), rows)}
    columns |= dict.fromkeys(PRICES, pa.repeat(pa.scalar(1.0), rows))
    if interval is not None:
        columns["interval"] = interval
    columns["noise"] = pa.chunked_array([pa.array([os.urandom(noise)]), pa.nulls(rows - 1, pa.binary())])
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=rows, **options)
    assert path.stat().st_size < 2 * MIB


def claim(path: Path, rows: int, claimed: int, *, everywhere: bool) -> None:
    """Write a smaller number of rows into the file's directory, or as that of all rows and values in all headers."""

    def varint(number: int, length: int) -> bytes:
        return bytes((2 * number >> 7 * n & 0x7F) | (0x80 if n < length - 1 else 0) for n in range(length))

    content = path.read_bytes()
    directory = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    length = -(-(2 * rows).bit_length() // 7)
    told, false = varint(rows, length), varint(claimed, length)
    assert content.count(told, directory) > len(PRICES)
    if everywhere:
        path.write_bytes(content.replace(told, false))
    else:
        path.write_bytes(content[:directory] + content[directory:].replace(told, false, 1))


def test_parquet_pages_that_claim_less_than_they_hold(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.parquet", 5_000_000
    write_parquet(path, rows, use_dictionary=False, data_page_size=2**30, max_rows_per_page=rows)
    claim(path, rows, 1_000, everywhere=True)
    said, memory, _ = measured(READER, path)
    assert re.search(rf"got pages of {6 * 8 * rows // 100}\d\d bytes at a time, expected at most {96 * MIB}", said)
    assert memory < MEMORY_MAX


def test_parquet_rows_that_the_directory_does_not_count(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.parquet", 300_000
    write_parquet(path, rows, noise=1)
    claim(path, rows, 1_000, everywhere=False)
    said, memory, _ = measured(READER, path)
    assert re.search(r"got 1\d{5} rows in \d+ bytes, expected at most 1\d{5}", said)
    assert memory < MEMORY_MAX


LONG = "1" * (10 * MIB)
TEXT_BOMBS: dict[str, tuple[dict[str, Any], str]] = {
    "dictionary": (
        {"use_dictionary": ["interval"], "dictionary_pagesize_limit": 2**30},
        f"got a text of {10 * MIB} bytes in interval, expected at most 255",
    ),
    "plain": ({"use_dictionary": False}, "for 30 texts of interval, expected at most 255 for each"),
    "prefixes": (
        {"use_dictionary": False, "column_encoding": {"interval": "DELTA_BYTE_ARRAY"}},
        "got interval in the encoding DELTA_BYTE_ARRAY, expected PLAIN or RLE_DICTIONARY",
    ),
}


@pytest.mark.parametrize("bomb", TEXT_BOMBS)
def test_a_long_text_in_every_row_of_a_parquet_file(tmp_path: Path, bomb: str) -> None:
    options, message = TEXT_BOMBS[bomb]
    path, rows = tmp_path / "a.parquet", 30
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    interval = pa.DictionaryArray.from_arrays(indices, pa.array([LONG]))
    write_parquet(path, rows, interval if bomb == "dictionary" else interval.cast(pa.string()), **options)
    said, memory, _ = measured(READER, path)
    assert message in said
    assert memory < MEMORY_MAX


def test_a_parquet_directory_of_a_million_columns(tmp_path: Path) -> None:
    columns = 1_000_000
    chunk = b"\x26\x00\x00"  # a column with its offset alone
    counted = bytes((columns >> 7 * n & 0x7F) | (0x80 if n < 2 else 0) for n in range(3))
    group = b"\x19\xfc" + counted + chunk * columns + b"\x16\x00\x16\x00\x00"
    directory = b"\x15\x02" + b"\x19\x1c\x48\x01a\x00" + b"\x16\x00" + b"\x19\x1c" + group + b"\x00"
    content = b"PAR1" + directory + len(directory).to_bytes(4, "little") + b"PAR1"
    (tmp_path / "a.parquet").write_bytes(content)
    said, memory, _ = measured(READER, tmp_path / "a.parquet")
    assert "cannot be read: its directory has more than 150000 entries" in said
    assert memory < MEMORY_MAX
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(9 * MIB) + (9 * MIB).to_bytes(4, "little") + b"PAR1")
    said, memory, _ = measured(READER, tmp_path / "a.parquet")
    assert f"got a directory of {9 * MIB} bytes, expected at most {8 * MIB}" in said
    assert memory < MEMORY_MAX


def write_arrow(path: Path, columns: dict[str, Any], rows: int, compression: str | None = "zstd") -> None:
    """Bars that are all alike, in one batch."""
    table: dict[str, Any] = {"ts": pa.array(range(T0, T0 + rows), pa.int64()) if rows < 100 else zeros(rows, T0)}
    table |= dict.fromkeys(PRICES, zeros(rows, 1.0)) | columns
    batch = pa.RecordBatch.from_pydict(table)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def zeros(rows: int, value: float) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.int64() if isinstance(value, int) else pa.float64()), rows)


T0 = 1_522_800_000_000
ARROW_BOMBS: dict[str, tuple[int, Any, str]] = {
    "buffers": (4_000_000, lambda: {}, rf"got batches of 192\d{{6}} bytes at a time, expected at most {96 * MIB}"),
    "dictionary": (
        30,
        lambda: {"interval": pa.DictionaryArray.from_arrays(zeros(30, 0), pa.array([LONG * 12]))},
        rf"got batches of 125\d{{6}} bytes at a time, expected at most {96 * MIB}",
    ),
    "a long text": (
        30,
        lambda: {"interval": pa.DictionaryArray.from_arrays(zeros(30, 0), pa.array([LONG]))},
        rf"got a text of {10 * MIB} bytes in interval, expected at most 255",
    ),
    "runs": (
        30,
        lambda: {"interval": pa.RunEndEncodedArray.from_arrays([30], pa.array([LONG]))},
        r"got interval of the type run_end_encoded.*, expected numbers, text or times",
    ),
}


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("bomb", ARROW_BOMBS)
def test_arrow_batches_that_expand(tmp_path: Path, bomb: str, compression: str) -> None:
    rows, columns, message = ARROW_BOMBS[bomb]
    write_arrow(tmp_path / "a.feather", columns(), rows, compression)
    assert (tmp_path / "a.feather").stat().st_size < 2 * MIB
    said, memory, _ = measured(READER, tmp_path / "a.feather")
    assert re.search(message, said), said
    assert memory < MEMORY_MAX


def test_an_arrow_buffer_that_claims_a_terabyte(tmp_path: Path) -> None:
    """The size that is allocated is the one that the buffer tells."""
    path = tmp_path / "a.feather"
    write_arrow(path, {}, 10_000)
    content = path.read_bytes()
    told = (80_000).to_bytes(8, "little")
    assert content.count(told) == 6
    path.write_bytes(content.replace(told, (10**12).to_bytes(8, "little")))
    said, memory, _ = measured(READER, path)
    assert re.search(rf"got batches of 6\d{{12}} bytes at a time, expected at most {96 * MIB}", said), said
    assert memory < MEMORY_MAX


def test_arrow_rows_that_take_no_bytes(tmp_path: Path) -> None:
    schema = pa.schema([("ts", pa.null()), *((name, pa.null()) for name in PRICES)])
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as out, pa.ipc.new_file(out, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([pa.nulls(10_000_000)] * 6, schema=schema))
    said, memory, _ = measured(READER, tmp_path / "a.arrow")
    assert "got 10000000 rows in" in said
    assert memory < MEMORY_MAX


def test_a_large_arrow_file_in_batches_is_read_in_the_same_memory(tmp_path: Path) -> None:
    rows, size = 400_000, 50_000
    columns = {"ts": pa.array([T0 + n * 60_000 for n in range(rows)])} | dict.fromkeys(PRICES, zeros(rows, 1.0))
    table = pa.table(columns)
    with (
        pa.OSFile(str(tmp_path / "a.feather"), "wb") as out,
        pa.ipc.new_file(out, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer,
    ):
        writer.write_table(table, max_chunksize=size)
    said, memory, _ = measured(READER, tmp_path / "a.feather", seconds=120)
    assert said == f"{rows} rows"
    assert memory < MEMORY_MAX


def test_a_zip_of_a_million_files(tmp_path: Path) -> None:
    entry = b"PK\x01\x02" + bytes(24) + b"\x01\x00" + bytes(16) + b"a"
    count = 1_000_000
    directory = entry * count
    end = b"PK\x05\x06" + bytes(8) + len(directory).to_bytes(4, "little") + bytes(6)
    (tmp_path / "a.csv.zip").write_bytes(directory + end)
    said, memory, _ = measured(READER, tmp_path / "a.csv.zip")
    assert f"a.csv.zip: got a directory of more than {MIB} bytes, expected one file" in said
    assert memory < MEMORY_MAX


def test_a_zip_by_a_method_that_expands_at_once(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.csv.zip", "w", zipfile.ZIP_BZIP2) as archive,
        archive.open("a.csv", "w") as member,
    ):
        member.write(HEADER)
        for _ in range(220):
            member.write(b"1" * MIB)
    said, memory, _ = measured(READER, tmp_path / "a.csv.zip")
    assert "is compressed by another method than deflate; write it with deflate" in said
    assert memory < MEMORY_MAX


def merge_keys() -> str:
    """Each level has the one before ten times: 10 to the power of 9 values."""
    levels = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(10)) + "}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], own{n}: 1}}" for n in range(1, 9)]
    return "\n".join(levels)


DOCUMENT_BOMBS = {
    "merge keys": (merge_keys(), "merge keys of more than 200000 values"),
    "values": ("a: [" + "1," * 2_000_000 + "]", "got more than 200000 values"),
    "documents": ("---\n" * 1_000_000, "got more than 200000 values"),
    "depth": ("a: " + "[" * 100_000, "nested more than 100 deep"),
    "text": ("a: " + "x" * (10 * MIB), "got more than 4 MiB"),
    "digits": ("a: " + "9" * (3 * MIB), "digits, expected at most 100"),
    "key": ("kind: Feed\nmetadata: {name: a}\n? " + "k" * (3 * MIB) + "\n: 1", "apiVersion: got None"),
    "wrong kind": ("kind: [" + "a," * 90_000 + "]", "kind: got ["),
}


@pytest.mark.parametrize("bomb", DOCUMENT_BOMBS)
def test_documents(tmp_path: Path, bomb: str) -> None:
    text, message = DOCUMENT_BOMBS[bomb]
    (tmp_path / "a.yaml").write_text(text)
    said, memory, _ = measured(DOCUMENTS, tmp_path / "a.yaml", seconds=20)
    assert message in said
    assert len(said) < 1_000
    assert memory < MEMORY_MAX


def test_an_honest_large_file_is_read_in_the_same_memory(tmp_path: Path) -> None:
    count = 100_000
    with gzip.open(tmp_path / "a.csv.gz", "wb", 1) as out:
        out.write(HEADER)
        for n in range(count):
            out.write(b"%d,%d.5,%d.9,%d.1,%d.5,%d\n" % (1_522_800_000_000 + n * 60_000, n, n, n, n, n % 97))
    said, memory, _ = measured(READER, tmp_path / "a.csv.gz", seconds=120)
    assert said == f"{count} rows"
    assert memory < MEMORY_MAX
