"""Bad input: each file is told by its name, and nothing of it is taken."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from layouts.small_files import BARS, HEADER, MINUTE, ROWS, T0, read, refusal, tar_gz, zipped
from tapedeck_deck.cli.imports.paths import listed
from tapedeck_deck.inspection.inspect import Declared, look

TEXT = HEADER + "".join(f"{T0 + n * MINUTE},1,4,0.5,2,{n * 7919 % 1009}\n" for n in range(2_000))


def zstd(text: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(text)
    return bytes(out.getvalue())


def cut(content: bytes) -> bytes:
    """The first two thirds."""
    return content[: len(content) * 2 // 3]


def rows(times: Sequence[object]) -> str:
    return HEADER + "".join(f"{ts},1,4,0.5,2,10\n" for ts in times)


SPREADSHEET: dict[str, str | bytes] = {"[Content_Types].xml": "<Types/>", "xl/worksheets/sheet1.xml": "<worksheet/>"}
SYMBOLS = ("AB", "CD", "CD")
WIDE = ",".join(("ts", "open", "high", "low", "close", *(f"c{n}" for n in range(4_995))))
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a truncated gzip": (cut(gzip.compress(TEXT.encode())), "a.csv: cannot be read"),
    "a truncated bzip2": (cut(bz2.compress(TEXT.encode())), "a.csv: cannot be read"),
    "a truncated xz": (cut(lzma.compress(TEXT.encode())), "a.csv: cannot be read"),
    "a truncated zstd": (cut(zstd(TEXT.encode())), "a.csv: cannot be read"),
    "a truncated zip": (cut(zipped({"b.csv": TEXT})), "a.csv: cannot be read"),
    "a truncated tar": (cut(tar_gz({"b.csv": TEXT})), "a.csv: cannot be read"),
    "the magic of Parquet alone": (b"PAR1" + TEXT.encode(), "a.csv: cannot be read"),
    "the magic of Arrow alone": (b"ARROW1\0\0" + TEXT.encode(), "a.csv: cannot be read"),
    "the magic of zip alone": (b"PK\x03\x04" + TEXT.encode(), "a.csv: cannot be read"),
    "mixed units": (rows([T0 // 1000 + 60 * n for n in range(5)] + [T0 + MINUTE * n for n in range(20)]), "a.csv"),
    "mixed zones": (
        rows(["2018-04-04 00:00:00", "2018-04-04 00:01:00", "2018-04-04 00:02:00+02:00"]),
        "a.csv: got times with an offset (2018-04-04 00:02:00+02:00) and without one (2018-04-04 00:00:00)",
    ),
    "two symbols under one": (
        "symbol," + HEADER + "".join(f"{s},{T0 + n * MINUTE},1,4,0.5,2,1\n" for n in range(20) for s in SYMBOLS),
        "symbol: got 'CD', expected only A/B",
    ),
    "0 bytes": ("", "a.csv: is empty, expected rows of market data"),
    "5,000 columns": (f"{WIDE}\n", "a.csv: got 5000 columns, expected at most 1000"),
    "a binary": (bytes(range(256)) * 64, "a.csv: holds bytes that are no text"),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(64), "a.csv: is a program, expected market data"),
    "a spreadsheet": (zipped(SPREADSHEET), "a.csv: is a spreadsheet of Excel (save it as CSV), expected market data"),
    "quotes that are never closed": (
        HEADER + f'{T0},"1,4,0.5,2,10\n' + "".join(f'{T0},"1,4,0.5,2,10\n' for _ in range(20)),
        "quotes: got one that is not closed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    assert message in refusal(tmp_path, content)
    looked = look(listed([str(tmp_path / "a.csv")]), Declared({}, symbol="A/B"))
    assert looked.found == ()
    assert list(looked.refused) == ["a.csv"] and message in looked.refused["a.csv"]


def test_a_header_alone_is_no_data(tmp_path: Path) -> None:
    """Beside others it is left out, since a quiet day has such a file; by itself it is an error."""
    (tmp_path / "day-1.csv").write_text(HEADER + ROWS)
    (tmp_path / "day-2.csv").write_text(HEADER)
    looked = look(listed([str(tmp_path)]), Declared({}, symbol="A/B"))
    assert [each.path for each in looked.found] == ["day-1.csv"]
    assert looked.skipped == {"day-2.csv": "day-2.csv: holds a header and no rows, expected rows of market data"}
    assert "day-2.csv" in look(listed([str(tmp_path / "day-2.csv")]), Declared({}, symbol="A/B")).refused


def test_a_spreadsheet_beside_market_data_is_left_out(tmp_path: Path) -> None:
    content = zipped({"book.xlsx": zipped(SPREADSHEET), "day.csv": HEADER + ROWS, "z.xlsx": zipped(SPREADSHEET)})
    assert read(tmp_path, content) == (BARS, [])
    looked = look(listed([str(tmp_path / "a.csv")]), Declared({}, symbol="A/B"))
    assert ([each.path for each in looked.found], looked.refused) == (["a.csv"], {})


ROW_FAULTS: dict[str, tuple[str, str]] = {
    "a quote that is not closed": (f'{T0 + 3 * MINUTE},"1,4,0.5,2,10', "quotes: got one that is not closed"),
    "another unit": (f"{T0 // 1000 + 180},1,4,0.5,2,10", "ts: got 1522800180"),
    "another number of columns": (f"{T0 + 3 * MINUTE},1,4,0.5", "columns: got 4, expected 6"),
}


@pytest.mark.parametrize("name", ROW_FAULTS)
def test_a_row_is_refused_by_its_line(tmp_path: Path, name: str) -> None:
    row, message = ROW_FAULTS[name]
    found, bad = read(tmp_path, HEADER + ROWS + row + "\n")
    assert (found, [each.place for each in bad]) == (BARS, ["a.csv:5"])
    assert message in bad[0].reason


def test_zones_may_be_mixed_where_one_is_declared(tmp_path: Path) -> None:
    text = rows(["2018-04-03 20:00:00", "2018-04-04 00:01:00+00:00"])
    found, bad = read(tmp_path, text, time={"zone": "America/New_York"})
    assert ([row[0] for row in found], bad) == ([T0, T0 + MINUTE], [])


def test_files_that_overlap(tmp_path: Path) -> None:
    """A row that two files have is taken once; one with other values is told with both places."""
    from tapedeck_common.files import (
        FilesAccess,
        InvalidRow,
        SeriesReader,
        deduplicate,
        external_sort,
        find_files,
        single_rows,
    )
    from tapedeck_crds.files import Files

    (tmp_path / "1.csv").write_text(HEADER + ROWS)
    (tmp_path / "2.csv").write_text(HEADER + ROWS.splitlines(True)[1] + f"{T0 + 2 * MINUTE},3,6,2.5,5,30\n")
    spec: dict[str, Any] = {"exchange": "x", "sets": [{"symbol": "A/B", "path": "*"}]}
    files, repeats, bad = Files.model_validate(spec), [], list[InvalidRow]()
    [series] = SeriesReader(files, bad.append).series(find_files(files, FilesAccess(tmp_path)))
    unique = deduplicate(external_sort(series.rows), lambda: repeats.append(1), bad.append)
    taken = list(single_rows(unique))
    assert ([row.us // 1_000 for row in taken], len(repeats)) == ([T0, T0 + MINUTE, T0 + 2 * MINUTE], 1)
    assert [row.place for row in bad] == ["2.csv:3"] and "other values than at 1.csv:4" in bad[0].reason
