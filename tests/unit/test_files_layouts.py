"""Every layout of files that people have gives the rows of the market that it was made of, without a word about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from file_rows import encoded_items
from layouts.compare import BAR, TRADE, Row, difference, names, of_trades
from layouts.market import SYMBOL, series
from layouts.samples import LAYOUTS, Entry, write
from tapedeck_common.files import (
    FilesAccess,
    InvalidFiles,
    InvalidRow,
    SourceRow,
    deduplicate,
    external_sort,
    find_files,
    kind_of,
    single_rows,
    trades_in_order,
)
from tapedeck_common.market import bars_from_trades
from tapedeck_crds.files import Files, Kind

SERIES = series()
READ = [name for name, (entry, _) in LAYOUTS.items() if "refused" not in entry]
REFUSED = [name for name, (entry, _) in LAYOUTS.items() if "refused" in entry]


def declared(name: str, entry: Entry) -> Files:
    """What a user would declare: the interval, and what the files cannot say themselves."""
    time = {"unit": entry["unit"]} if "refused" in entry else {}
    if name == "close-stamped":
        time["stamp"] = "close"
    sets = [{"symbol": SYMBOL, "path": entry.get("files", "*")}]
    return Files.model_validate({"exchange": "made-up", "interval": entry["interval"], "sets": sets, "time": time})


def load(files: Files, folder: Path) -> tuple[Kind, list[SourceRow], list[InvalidRow], int]:
    """What is stored of files: the kind, the rows in order, what was refused, and the number of repeats."""
    bad: list[InvalidRow] = []
    repeats: list[None] = []
    sources = find_files(files, FilesAccess(folder))[SYMBOL]
    kind = kind_of(files, sources)
    rows = external_sort(encoded_items(files, kind, sources, bad.append))
    found = list(single_rows(deduplicate(rows, lambda: repeats.append(None), bad.append)))
    return kind, found, bad, len(repeats)


def problem_of(entry: Entry, rows: list[SourceRow]) -> str | None:
    """How the rows differ from those of the market."""
    expected: list[Row] = SERIES[entry["rows"]]
    if entry["kind"] == "bars":
        return difference(BAR, expected, [values(json.loads(row.value), BAR) for row in rows])
    trades = list(trades_in_order(iter(rows)))
    built = [values(msgspec.structs.asdict(bar), BAR) for bar in bars_from_trades(trades, entry["interval"])]
    stored = [values(msgspec.structs.asdict(trade), TRADE) for trade in trades]
    return of_trades(expected, stored) or difference(BAR, SERIES[entry["bars"]], built)


def values(record: dict[str, Any], fields: tuple[str, ...]) -> Row:
    return [record[field] for field in fields]


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read_without_a_declaration(tmp_path: Path, name: str) -> None:
    entry, _ = LAYOUTS[name]
    write(name, tmp_path)
    files = declared(name, entry)
    kind, rows, bad, repeats = load(files, tmp_path)
    assert (kind, bad, repeats) == (entry["kind"], [], entry.get("duplicates", 0))
    assert problem_of(entry, rows) is None
    assert load(files, tmp_path) == (kind, rows, bad, repeats)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_in_the_store_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    entry, _ = LAYOUTS[name]
    write(name, tmp_path)
    with pytest.raises(InvalidFiles) as caught:
        load(declared(name, entry), tmp_path)
    assert names(str(caught.value), entry["refused"]), str(caught.value)
