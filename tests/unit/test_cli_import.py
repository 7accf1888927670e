"""What `tapedeck import` makes of files, options and a user's own layout, before a deck has to do with it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from layouts.small_files import HEADER, MINUTE, ROWS, T0
from tapedeck_common.files import FilesAccess, SeriesReader, find_files, single_rows
from tapedeck_crds.file_presets import preset_names
from tapedeck_crds.files import Files
from tapedeck_deck.cli.imports import report
from tapedeck_deck.cli.imports.own_layout import layout_fields
from tapedeck_deck.cli.imports.paths import listed
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.inspection.feeds import feeds
from tapedeck_deck.inspection.inspect import Declared, Looked, look

OWN = """
about: Bars of a program of mine
exchange: mine
interval: 5m
file: "{symbol}_{any}"
columns: [ts, open, high, low, close, "-", volume]
time: {zone: America/New_York, stamp: close}
delimiter: ";"
defaults: {volume: 0}
"""


def looked(folder: Path, declared: Declared | None = None) -> Looked:
    return look(listed([str(folder)]), declared or Declared({}))


def published(root: Path, feed: Any) -> dict[str, int]:
    """How many rows of each symbol a Feed reads."""
    files = Files.model_validate(feed["spec"]["source"]["files"])
    found = find_files(files, FilesAccess(root))
    series = SeriesReader(files, lambda row: pytest.fail(row.reason)).series(found)
    return {each.symbol: len(list(single_rows(each.rows))) for each in series}


def test_nothing_is_asked_where_a_column_says_the_symbols(tmp_path: Path) -> None:
    rows = [f"{symbol},{row}" for symbol in ("BTCUSDT", "ETHUSDT") for row in ROWS.split()]
    (tmp_path / "all.csv").write_text("symbol," + HEADER + "\n".join(rows[:-1]))
    found = looked(tmp_path, Declared({}, exchange="mine"))
    [file] = found.found
    document = file.document()
    assert (document["symbol"], document["symbols"], document["assumed"]) == (None, ["BTC/USDT", "ETH/USDT"], [])
    assert (document["rows"], document["holes"], document["missing"]) == (5, 0, 0)
    assert "2 symbols" in report.lines(found)[1]
    [feed] = feeds(found.found, "x")
    assert feed["spec"]["source"]["files"]["sets"] == [{"path": "all.csv"}]
    assert published(tmp_path, feed) == {"BTC/USDT": 3, "ETH/USDT": 2}


def test_a_layout_of_ones_own(tmp_path: Path) -> None:
    layout, data = tmp_path / "mine.yaml", tmp_path / "data"
    data.mkdir()
    layout.write_text(OWN)
    for name in ("BTCUSD_2024.txt", "SPY_x.txt"):
        rows = "".join(f"2024-07-01 09:3{n};1;4;0,5;2;7;10\n".replace(",", ".") for n in (0, 5))
        (data / name).write_text(rows)
    fields = layout_fields(str(layout))
    files = {name: value for name, value in fields.items() if name not in ("exchange", "interval")}
    found = looked(data, Declared(files, exchange=fields["exchange"], interval=fields["interval"]))
    assert (found.refused, found.skipped) == ({}, {})
    assert [(each.symbols, each.files.interval, each.assumed) for each in found.found] == [
        (["BTC/USD"], "5m", ()), (["SPY"], "5m", ()),
    ]  # fmt: skip
    # Closes at 09:30 and 09:35 in New York's summer: the first bar opens at 13:25 UTC.
    assert {each.counted.first for each in found.found} == {1_719_840_300_000}
    written = yaml.safe_dump_all(feeds(found.found, "x"))
    [feed] = yaml.safe_load_all(written)
    assert feed["spec"]["source"]["files"]["fileName"] == "{symbol}_{any}"
    assert published(data, feed) == {"BTC/USD": 2, "SPY": 2}


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_is_a_model_of_a_layout(tmp_path: Path, name: str) -> None:
    from tapedeck_crds.file_presets import FOLDER

    copy = tmp_path / "mine.yaml"
    copy.write_text((FOLDER / f"{name}.yaml").read_text())
    assert layout_fields(str(copy))["kind"] in ("bars", "trades")
    assert layout_fields(name) == {"format": name}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("columns: [ts, opne]", "columns: got 'opne', expected ts, open, high"),
        ("delimeter: ','", "delimeter"),
        ("time: {zone: Mars/Olympus}", "time.zone"),
        ("sets: []", "expected the fields of files without sets"),
        ("- 1", "expected the fields of files without sets"),
        ("a: [", "cannot be read"),
        ("a: " + "x" * 70_000, "got more than 65536 bytes"),
        ("file: BTC", "fileName: "),
    ],
)
def test_a_wrong_layout_is_told_by_its_field(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(DeckError) as caught:
        layout_fields(str(tmp_path / "mine.yaml"))
    assert words in str(caught.value)


def test_a_layout_that_is_neither_a_name_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(DeckError, match=r"--layout: got krakn-trades, expected a YAML file or one of auto, lean"):
        layout_fields("krakn-trades")


def test_empty_rows_and_mixed_layouts_are_said(tmp_path: Path) -> None:
    (tmp_path / "BTCUSD-1.csv").write_text(HEADER + ROWS + f"{T0 + 3 * MINUTE},,,,,\n" * 2)
    (tmp_path / "BTCUSD-2.csv").write_text(
        "unix,date,symbol,open,high,low,close,Volume BTC\n"
        + "".join(f"{T0 // 1000 + 60 * n},2018-04-04 00:0{n}:00,BTC/USD,1,4,0.5,2,10\n" for n in range(3, 6))
    )
    said = report.lines(looked(tmp_path, Declared({}, exchange="x")))
    assert "empty: BTCUSD-1.csv: 2 rows without values" in said
    assert any(
        line.startswith("warning: BTC/USD 1m: files are in different layouts: table (BTCUSD-1.csv), cryptodatadownload")
        for line in said
    )


@pytest.mark.parametrize(
    "text",
    [
        "# Prices\n\n| Column | What |\n|:-------|------|\n| Volume | in USD |\n",
        f"| ts | open | high | low | close | volume |\n|---|---|---|---|---|---|\n| {T0} | 1 | 2 | 1 | 2 | 5 |\n",
        "# Prices\n\n```\n" + HEADER + ROWS + "```\n",
    ],
    ids=["columns", "rows", "example"],
)
def test_what_is_written_about_the_files_is_none_of_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "BTCUSD.csv").write_text(HEADER + ROWS)
    (tmp_path / "README.md").write_text(text)
    found = looked(tmp_path)
    assert ([each.path for each in found.found], found.refused) == (["BTCUSD.csv"], {})
    assert found.skipped == {"README.md": "README.md: is a text in Markdown, expected market data"}
    assert look(listed([str(tmp_path / "README.md")]), Declared({})).refused == found.skipped


def test_programs_and_notes_beside_the_files_do_not_stop_an_import(tmp_path: Path) -> None:
    others = {
        "load.py": "df = pd.read_csv('a.csv', names=['Date', 'Open', 'High', 'Low', 'Close'])\nprint(df)\n",
        "README.txt": "Prices of a year\n\nColumns: Date, Open, High, Low, Close, Volume\n",
        "market.json": '{"symbol": "BTC", "open": "09:30", "close": "16:00"}',
        "settings.json": '[{"name": "x", "id": 1}]',
        "symbols.json": '["BTC", "ETH"]',
        "settings.ini": "[market]\nopen = 1\nclose = 2\n",
    }
    for name, text in ({"BTCUSD.csv": HEADER + ROWS} | others).items():
        (tmp_path / name).write_text(text)
    found = looked(tmp_path)
    assert [each.path for each in found.found] == ["BTCUSD.csv"]
    assert (found.refused, found.skipped.keys()) == ({}, others.keys())


OTHERS = {
    "README.md": "# Prices\n\n| Column | What |\n|:-------|------|\n| Volume | in USD |\n",
    "about.txt": "Prices of a year\n\nColumns: Date, Open, High, Low, Close, Volume\n",
    "metadata.json": '{"title": "Prices", "licences": [{"name": "CC0-1.0"}]}',
    "columns.csv": "Column,Description\nOpen,the first price\nClose,the last one\n",
}


@pytest.mark.parametrize("packing", ["zip", "tar"])
@pytest.mark.parametrize("name", ["BTCUSD.csv", "BTCUSDT-1m-2018-04.csv"], ids=["table", "preset"])
def test_what_an_archive_holds_beside_market_data_is_left_out_and_named(
    tmp_path: Path, packing: str, name: str
) -> None:
    text = HEADER + ROWS
    if name.startswith("BTCUSDT"):
        text = "".join(f"{T0 + n * MINUTE},1,4,0.5,2,10,{T0 + (n + 1) * MINUTE - 1},9,8,7,6,0\n" for n in range(3))
    members = OTHERS | {name: text}
    path = f"prices.{packing}"
    if packing == "zip":
        with zipfile.ZipFile(tmp_path / path, "w") as archive:
            for each, content in members.items():
                archive.writestr(each, content)
    else:
        with tarfile.open(tmp_path / path, "w") as archive:
            for each, content in members.items():
                info = tarfile.TarInfo(each)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
    found = looked(tmp_path)
    assert (found.refused, found.skipped) == ({}, {})
    [file] = found.found
    assert (file.symbols, file.counted.rows) == (["BTC/USD" + "T" * name.startswith("BTCUSDT")], 3)
    assert sorted(reason.partition(":")[0] for reason in file.counted.skipped) == sorted(
        f"{path}!{other}" for other in OTHERS
    )
    assert sum(line.startswith(f"skipped: {path}!") for line in report.lines(found)) == len(OTHERS)
    assert sum(published(tmp_path, feeds(found.found, "x")[0]).values()) == 3


def test_an_archive_without_market_data_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        for name, text in OTHERS.items():
            archive.writestr(name, text)
    found = looked(tmp_path)
    assert (found.found, found.refused) == ((), {})
    assert found.skipped == {"notes.zip": "notes.zip!README.md: is a text in Markdown, expected market data"}


def test_a_file_without_a_valid_row_is_told_before_anything_comes_in(tmp_path: Path) -> None:
    (tmp_path / "BTCUSD.csv").write_text(HEADER + f"{T0},1,1,2,1,5\n")
    [reason] = looked(tmp_path).refused.values()
    assert reason.startswith("BTCUSD.csv: has no valid row; the first: BTCUSD.csv:2: ")


def test_ten_thousand_files(tmp_path: Path) -> None:
    for number in range(10_001):
        (tmp_path / f"{number}.csv").touch()
    with pytest.raises(DeckError, match="got more than 10000 files, expected at most so many: import them by folder"):
        listed([str(tmp_path)])
