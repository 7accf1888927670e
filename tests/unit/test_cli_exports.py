"""The formats of `tapedeck export`, read back by other readers, and its options."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

import backtrader as bt
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from decks.command import NOT_RUNNING, Run
from tapedeck_deck.cli.exports import arrow_table, freqtrade, lean_zip, parquet
from tapedeck_deck.cli.exports.batch import Batch, batch_of
from tapedeck_deck.cli.exports.folder_writer import FolderWriter
from tapedeck_deck.cli.exports.format import PRICES
from tapedeck_deck.cli.exports.kinds import KINDS, ExportColumn, Row
from tapedeck_deck.cli.exports.outputs import output_folder, whole_file
from tapedeck_deck.cli.exports.request import FORMATS, parse_request
from tapedeck_deck.cli.exports.selection import ExportSelection
from tapedeck_deck.embedded.errors import DeckError

BARS, RUNS = KINDS["bars"], KINDS["runs"]
ONE = ExportSelection(exchange="x", symbols=("A/B",), interval="1m")
DAY = 86_400_000
APRIL_4 = 1_522_800_000_000  # 2018-04-04T00:00:00Z
PRICE = 6754.119999999999
VALUES = [
    (PRICE, PRICE + 1, 1e-07, 0.1, 12345678.12345679),
    (0.30000000000000004, 1e22, 5e-324, 2.5, 0.0),
]


def bar(symbol: str, interval: str, ts: int, values: Sequence[float], exchange: str = "x") -> Row:
    return (exchange, symbol, interval, ts, *values, 0, "live")


ROWS = [bar("A/B", "1m", APRIL_4 + 60_000 * i, values) for i, values in enumerate(VALUES)]


def batch(columns: Sequence[ExportColumn], rows: Sequence[Row]) -> Batch:
    return batch_of(columns, [pa.array(values) for values in zip(*rows, strict=True)])


def written(format_name: str, rows: Sequence[Row], kind: str = "bars", selection: ExportSelection = ONE) -> bytes:
    """The file of a format that has one, of rows with all columns."""
    form, of = FORMATS[format_name], KINDS[kind]
    columns = form.columns(of, selection)
    places = [of.columns.index(column) for column in columns]
    stream = io.BytesIO()
    writer = form.open_writer(stream, columns)
    for row in rows:  # each a batch
        writer.write(batch(columns, [tuple(row[place] for place in places)]))
    writer.close()
    return stream.getvalue()


def folder_of(folder: Path, format_name: str, rows: Sequence[Row], partition: Sequence[str] = ()) -> list[str]:
    """Writes a folder; returns the paths of its files."""
    form = FORMATS[format_name]
    columns = form.columns(BARS, ExportSelection())
    layout = parquet.partitioned(BARS, partition) if partition else form.layout
    assert layout is not None
    places = [BARS.columns.index(column) for column in columns]
    with output_folder(folder, empty=False) as output:
        writer = FolderWriter(output, columns, layout(columns), form.open_writer)
        writer.write(batch(columns, [tuple(row[place] for place in places) for row in rows]))
        writer.close()
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_csv_of_one_series_has_the_columns_of_a_feed_from_files(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_bytes(written("csv", ROWS[:1]))
    assert file.read_text().splitlines() == [
        "ts,open,high,low,close,volume",
        f"{APRIL_4},6754.119999999999,6755.119999999999,1e-07,0.1,12345678.12345679",
    ]


def test_csv_of_several_series_has_all_columns_and_quotes_texts() -> None:
    text = written("csv", [bar('A,"B"', "1m", APRIL_4, VALUES[1])], selection=ExportSelection()).decode()
    header, row = csv.reader(io.StringIO(text))
    assert header == [column.name for column in BARS.columns]
    assert row[:4] == ["x", 'A,"B"', "1m", str(APRIL_4)]
    assert [float(cell) for cell in row[4:9]] == list(VALUES[1])


def test_times_that_are_of_no_market_are_texts() -> None:
    run = {"run_id": "r", "started_at": APRIL_4 + 5, "ended_at": None, "params": '{"a":1.10}', "symbols": '["A/B"]'}
    row = tuple(run.get(column.name) for column in RUNS.columns)
    header, cells = csv.reader(io.StringIO(written("csv", [row], "runs").decode()))
    found = dict(zip(header, cells, strict=True))
    assert (found["started_at"], found["ended_at"]) == ("2018-04-04T00:00:00.005Z", "")
    line = written("jsonl", [row], "runs")
    assert b'"params":{"a":1.10}' in line  # the document as it is stored
    assert json.loads(line)["symbols"] == ["A/B"]


def test_json_lines_have_every_digit() -> None:
    first, second = map(json.loads, written("jsonl", ROWS).splitlines())
    assert first["ts"] == "2018-04-04T00:00:00Z"
    assert [first[name] for name in PRICES] == list(VALUES[0])
    assert [second[name] for name in PRICES] == list(VALUES[1])


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_parquet_and_feather_are_read_by_pandas(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_table, "GROUP_ROWS", 3)
    rows = [bar("A/B", "1m", APRIL_4 + 60_000 * i, VALUES[i % 2]) for i in range(7)]
    data = io.BytesIO(written(name, rows))
    frame = pd.read_parquet(data) if name == "parquet" else pd.read_feather(data)
    assert list(frame.columns) == [column.name for column in BARS.columns]
    assert str(frame["ts"].dtype) == "datetime64[ms, UTC]"
    assert frame["ts"].iloc[0] == pd.Timestamp("2018-04-04", tz="UTC")
    assert [tuple(values) for values in frame[list(PRICES)].to_numpy().tolist()] == [VALUES[i % 2] for i in range(7)]
    if name == "parquet":
        metadata = pq.ParquetFile(data).metadata
        assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 1]


def test_a_partitioned_folder_is_one_table_of_which_a_filter_needs_some_files(tmp_path: Path) -> None:
    march = APRIL_4 - 10 * DAY
    rows = [
        bar("A/B", "1h", march, VALUES[0]), bar("A/B", "1h", APRIL_4, VALUES[1]),
        bar("A/B", "1m", APRIL_4, VALUES[0]), bar("^C D%", "1m", APRIL_4, VALUES[0]),
    ]  # fmt: skip
    assert folder_of(tmp_path, "parquet", rows, ["symbol", "month"]) == [
        "symbol=%5EC%20D%25/month=2018-04/part-00002.parquet",
        "symbol=A%2FB/month=2018-03/part-00000.parquet",
        "symbol=A%2FB/month=2018-04/part-00001.parquet",
    ]
    table = ds.dataset(tmp_path, partitioning="hive")
    chosen = ds.field("symbol") == "A/B"
    assert len(list(table.get_fragments(filter=chosen & (ds.field("month") == "2018-04")))) == 1
    frame = table.to_table().to_pandas()
    assert len(frame) == 4
    assert sorted(frame[frame.month == "2018-03"].open) == [PRICE]
    assert set(frame.symbol) == {"A/B", "^C D%"}


def test_freqtrade_finds_its_files(tmp_path: Path) -> None:
    rows = [
        bar("BTC/USDT", "1M", APRIL_4 - 3 * DAY, VALUES[0], "binance"),
        bar("BTC/USDT", "1h", APRIL_4, VALUES[1], "binance"),
        bar("BTC/USDT:USDT", "5m", APRIL_4, VALUES[0], "binance"),
    ]  # fmt: skip
    assert folder_of(tmp_path, "freqtrade", rows) == [
        "binance/BTC_USDT-1Mo.feather",
        "binance/BTC_USDT-1h.feather",
        "binance/futures/BTC_USDT_USDT-5m-futures.feather",
    ]
    frame = pd.read_feather(tmp_path / "binance" / "BTC_USDT-1h.feather")
    assert list(frame.columns) == ["date", *PRICES]
    assert frame.date[0] == pd.Timestamp("2018-04-04", tz="UTC")
    assert tuple(frame.iloc[0, 1:]) == VALUES[1]


def test_two_symbols_of_one_file_name_are_refused(tmp_path: Path) -> None:
    assert freqtrade.data_file("x", "A/B", "1m") == freqtrade.data_file("x", "A.B", "1m")
    with pytest.raises(DeckError, match=r"x/A_B-1m.feather: got rows of two series"):
        folder_of(tmp_path / "out", "freqtrade", [bar("A.B", "1m", 0, VALUES[0]), bar("A/B", "1m", 0, VALUES[0])])
    assert list(tmp_path.iterdir()) == []


def test_lean_finds_its_files_and_the_file_source_reads_them(tmp_path: Path) -> None:
    values = (PRICE, PRICE + 1, 1e-07, 0.1, 12.5)
    rows = [
        bar("BTC/USD", "1d", APRIL_4, values, "coinbase"), bar("BTC/USD", "1h", APRIL_4, values, "coinbase"),
        bar("BTC/USD", "1m", APRIL_4 + DAY - 60_000, values, "coinbase"),
        bar("BTC/USD", "1m", APRIL_4 + DAY, values, "coinbase"),
        bar("BTC/USDT:USDT", "1d", APRIL_4, values, "binance"),
    ]  # fmt: skip
    assert folder_of(tmp_path, "lean", rows) == [
        "crypto/coinbase/daily/btcusd_trade.zip",
        "crypto/coinbase/hour/btcusd_trade.zip",
        "crypto/coinbase/minute/btcusd/20180404_trade.zip",
        "crypto/coinbase/minute/btcusd/20180405_trade.zip",
        "cryptofuture/binance/daily/btcusdt_trade.zip",
    ]
    numbers = f"{PRICE},6755.119999999999,0.0000001,0.1,12.5\n"
    for path, name, line in (
        ("daily/btcusd_trade.zip", "btcusd.csv", f"20180404 00:00,{numbers}"),
        ("minute/btcusd/20180404_trade.zip", "20180404_btcusd_minute_trade.csv", f"86340000,{numbers}"),
        ("minute/btcusd/20180405_trade.zip", "20180405_btcusd_minute_trade.csv", f"0,{numbers}"),
    ):
        with zipfile.ZipFile(tmp_path / "crypto" / "coinbase" / path) as archive:
            assert archive.namelist() == [name]
            assert archive.read(name).decode() == line


def test_lean_has_four_resolutions() -> None:
    with pytest.raises(DeckError, match="interval: got 5m, expected 1s, 1m, 1h, 1d, LEAN's resolutions"):
        lean_zip.data_file(("x", "A/B", "5m", 0, 1, 1, 1, 1, 1))
    assert lean_zip.plain(5e-324) == f"{5e-324:.324f}"
    assert float(lean_zip.plain(5e-324)) == 5e-324


def test_stock_backtrader_reads_its_file_without_parameters(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_bytes(written("backtrader", ROWS))
    seen: list[Any] = []

    class Reader(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            data = self.data
            values = (data.open[0], data.high[0], data.low[0], data.close[0], data.volume[0])
            seen.append((data.datetime.datetime(0), values, data.openinterest[0]))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.GenericCSVData(dataname=str(file), timeframe=bt.TimeFrame.Minutes))
    cerebro.addstrategy(Reader)
    cerebro.run()
    assert seen == [(datetime(2018, 4, 4, 0, i), VALUES[i], 0.0) for i in range(2)]


def test_an_error_leaves_a_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("before")
    with pytest.raises(ZeroDivisionError), whole_file(file) as stream:
        stream.write(b"half")
        _ = 1 // 0
    assert [path.name for path in tmp_path.iterdir()] == ["bars.csv"]
    assert file.read_text() == "before"
    with whole_file(file) as stream:
        stream.write(b"whole")
        assert file.read_text() == "before"
    assert file.read_text() == "whole"
    umask = os.umask(0)
    os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with whole_file(tmp_path / "link") as stream:
        stream.write(b"whole")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "whole"
    reader, writer = os.pipe()
    with whole_file(Path(f"/proc/self/fd/{writer}")) as stream:  # as /dev/stdout is
        stream.write(b"standard output")
    assert os.read(reader, 100) == b"standard output"
    for end in (reader, writer):
        os.close(end)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(tmp_path / "pipe") as stream:
        stream.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_folders_keep_other_files_and_partitions_want_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("kept")
    rows = [bar("A/B", "1m", 0, VALUES[0])]
    assert folder_of(tmp_path / "data", "freqtrade", rows) == ["mine", "x/A_B-1m.feather"]
    for output, message in (
        (output_folder(tmp_path / "data", empty=True), "which has files, expected a new or an empty folder"),
        (whole_file(tmp_path / "data"), "which is a folder, expected a file"),
        (whole_file(tmp_path / "none" / "bars.csv"), "expected a file in an existing folder"),
    ):
        with pytest.raises(DeckError, match=message), output:
            pytest.fail("entered")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("candles", [], "KIND: got 'candles', expected bars, trades,"),
        ("bars", ["--format", "xls"], "--format: got 'xls', expected csv, jsonl, parquet,"),
        ("bars", ["-o", "bars.xls"], "--format: expected one of csv, jsonl,"),
        ("bars", ["--run", "r"], "--run: bars are not chosen by it; leave it out"),
        ("trades", ["--interval", "1m"], "--interval: trades are not chosen by it; leave it out"),
        ("trades", ["--format", "lean", "-o", "x"], "--format: got lean for trades, which it cannot hold"),
        ("bars", ["--format", "backtrader", "--exchange", "x"], "choose it by --exchange, --symbol and --interval"),
        ("bars", ["--partition", "symbol", "--format", "csv", "-o", "x"], "got it for csv, expected --format parquet"),
        ("bars", ["--partition", "open", "-o", "x"], "got 'open', expected some of exchange, symbol, interval, year"),
        ("bars", ["--partition", "day,day", "-o", "x"], "got day,day, expected each name once"),
        ("bars", ["--partition", "symbol"], "--output: expected a folder for the files"),
        ("bars", ["--format", "freqtrade", "-o", "-"], "--output: expected a folder for the files"),
        ("bars", ["--format", "parquet"], "--output: expected a file for parquet, or - for standard output"),
        ("bars", ["--from", "2018-04-05", "--to", "2018-04-04"], "--to: got 2018-04-04, expected a time after --from"),
        ("bars", [], NOT_RUNNING.strip()),
    ],
)  # fmt: skip
def test_wrong_options_of_an_export_are_told(run: Run, kind: str, words: list[str], message: str) -> None:
    answer = run("export", kind, *words)
    assert (answer.exit_code, answer.stdout) == (2 if message != NOT_RUNNING.strip() else 1, "")
    assert message in answer.stderr


@pytest.mark.parametrize(
    ("output", "name"),
    [
        (None, "csv"),
        ("-", "csv"),
        ("a.CSV", "csv"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.arrow", "arrow"),
    ],
)
def test_a_suffix_chooses_the_format(output: str | None, name: str) -> None:
    assert parse_request("bars", ExportSelection(), None, output, ()).format.name == name


def test_the_columns_of_each_kind_are_named_once() -> None:
    for kind in KINDS.values():
        names = [column.name for column in kind.columns]
        assert len(set(names)) == len(names)
        assert kind.has(kind.time)


@pytest.mark.parametrize("exchange", ["/etc/y", "../../y"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, exchange: str) -> None:
    """The recorder stores whatever text a record has as its exchange."""
    with (
        pytest.raises(DeckError, match="expected one below it"),
        output_folder(tmp_path / "out", empty=False) as output,
        output.file(PurePath(exchange) / "a.json"),
    ):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == []
