"""Files whose rows or names say the symbol: each is a series of its own; values that no column has; own layouts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from layouts.small_files import BARS, MINUTE, ROWS, T0
from tapedeck_common.files import (
    FilesAccess,
    InvalidFiles,
    InvalidRow,
    ReadingNotes,
    SeriesReader,
    StrictReader,
    find_files,
    single_rows,
)
from tapedeck_common.files.layouts.file_names import name_parts, unified
from tapedeck_crds.files import Files

BAR_FIELDS = ("ts", "open", "high", "low", "close", "volume")
TRADE_FIELDS = ("ts", "id", "price", "amount", "side")
HEADER = "symbol,ts,open,high,low,close,volume\n"
ROW_LIST = ROWS.split()


def failing(row: InvalidRow) -> None:
    pytest.fail(row.reason)


def spec(*sets: dict[str, Any], **declared: Any) -> Files:
    return Files.model_validate({"exchange": "x", "sets": list(sets) or [{"path": "*"}], **declared})


def series(folder: Path, files: Files) -> tuple[dict[str, list[tuple[Any, ...]]], list[InvalidRow]]:
    """The rows of each symbol, and what was refused."""
    bad: list[InvalidRow] = []
    found: dict[str, list[tuple[Any, ...]]] = {}
    for each in SeriesReader(files, bad.append).series(find_files(files, FilesAccess(folder))):
        names = BAR_FIELDS if each.kind == "bars" else TRADE_FIELDS
        assert each.symbol not in found
        rows = [json.loads(row.value) for row in single_rows(each.rows)]
        assert {row["symbol"] for row in rows} <= {each.symbol}
        found[each.symbol] = [tuple(row[name] for name in names) for row in rows]
    return found, bad


def test_each_symbol_of_a_column_is_a_series(tmp_path: Path) -> None:
    rows = [f"{symbol},{row}" for row in ROW_LIST for symbol in ("BTCUSDT", "eth-usdt", "AAPL")]
    (tmp_path / "a.csv").write_text(HEADER + "\n".join(rows))
    found, bad = series(tmp_path, spec())
    assert (found, bad) == ({"AAPL": BARS, "BTC/USDT": BARS, "ETH/USDT": BARS}, [])
    (tmp_path / "b.csv").write_text(HEADER + "\n".join(sorted(rows)))  # in whatever order, of several files
    assert {symbol: len(rows) for symbol, rows in series(tmp_path, spec())[0].items()} == dict.fromkeys(found, 6)


def test_a_row_without_a_symbol_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + f"BTCUSD,{ROW_LIST[0]}\n,{ROW_LIST[1]}\na b,{ROW_LIST[2]}\n")
    found, bad = series(tmp_path, spec())
    assert found == {"BTC/USD": BARS[:1]}
    assert [(row.place, row.reason.partition(", expected")[0]) for row in bad] == [
        ("a.csv:3", "symbol: got ''"), ("a.csv:4", "symbol: got 'a b'"),
    ]  # fmt: skip


def test_declared_symbols_and_those_of_rows_come_together(tmp_path: Path) -> None:
    """A series in both is one series, so that a replay plays it in order."""
    (tmp_path / "rows.csv").write_text(HEADER + f"BTCUSD,{ROW_LIST[0]}\nETHUSD,{ROW_LIST[0]}\n")
    (tmp_path / "btc.csv").write_text(HEADER.replace("symbol,", "") + ROW_LIST[1] + "\n")
    files = spec({"symbol": "BTC/USD", "path": "btc.csv"}, {"path": "rows.csv"})
    found, _ = series(tmp_path, files)
    assert found == {"BTC/USD": [BARS[1], BARS[0]], "ETH/USD": BARS[:1]}
    played = [(bar.symbol, bar.ts) for bar in StrictReader(files, FilesAccess(tmp_path)).bars()]
    assert played == [("BTC/USD", T0), ("BTC/USD", T0 + MINUTE), ("ETH/USD", T0)]


def test_the_end_of_one_symbol_is_not_that_of_another(tmp_path: Path) -> None:
    """Also in a file that has one after another: what is invalid after a symbol's end is not looked at."""
    rows = [f"{symbol},{T0 + n * MINUTE},1,1,1,1,1" for symbol in ("A/USD", "B/USD") for n in range(40)]
    (tmp_path / "a.csv").write_text(HEADER + "\n".join([*rows, "A/USD,x,1,1,1,1,1", f"A/USD,{T0},1,1,1,1,1"]))
    bars = StrictReader(spec(), FilesAccess(tmp_path), end=T0 + 2 * MINUTE).bars()
    assert [(bar.symbol, bar.ts - T0) for bar in bars] == [
        ("A/USD", 0), ("A/USD", MINUTE), ("B/USD", 0), ("B/USD", MINUTE),
    ]  # fmt: skip
    (tmp_path / "a.csv").write_text(HEADER + "\n".join([rows[0], "B/USD,x,1,1,1,1,1", *rows[1:]]))
    with pytest.raises(InvalidFiles, match=r"a\.csv:3: ts: got 'x'"):
        list(StrictReader(spec(), FilesAccess(tmp_path), end=T0 + 2 * MINUTE).bars())


def test_a_symbol_behind_the_end_of_another_may_not_be_invalid(tmp_path: Path) -> None:
    """Also where the rows before are read by whole columns, and where an invalid row does not say its symbol."""
    rows = {name: [f"{name}/USD,{T0 + n * MINUTE},1,1,1,1,1" for n in range(40)] for name in "AB"}
    (tmp_path / "a.csv").write_text(HEADER + "\n".join(rows["A"]))
    files = spec({"path": "*.csv"})
    for wrong, reason in ((f"B/USD,{T0},1,0.5,1,1,1", "high"), ("B/USD,x,1,1,1,1,1", "ts: got 'x'")):
        (tmp_path / "b.csv").write_text(HEADER + "\n".join([rows["B"][0], wrong, *rows["B"][1:]]))
        with pytest.raises(InvalidFiles, match=rf"b\.csv:3: .*{reason}"):
            list(StrictReader(files, FilesAccess(tmp_path), end=T0 + 2 * MINUTE).bars())
    (tmp_path / "b.csv").write_text(HEADER + "\n".join([*rows["B"], "B/USD,x,1,1,1,1,1"]))
    bars = StrictReader(files, FilesAccess(tmp_path), end=T0 + 2 * MINUTE).bars()
    assert [(bar.symbol, bar.ts - T0) for bar in bars] == [
        ("A/USD", 0), ("A/USD", MINUTE), ("B/USD", 0), ("B/USD", MINUTE),
    ]  # fmt: skip


def test_the_holes_of_one_symbol_are_not_those_of_another(tmp_path: Path) -> None:
    """Hours of one symbol among minutes of another are of another interval, as in a file of their own."""
    rows = [f"A/USD,{T0 + n * MINUTE},1,1,1,1,1" for n in range(200)]
    rows += [f"B/USD,{T0 + n * 60 * MINUTE},1,1,1,1,1" for n in range(200)]
    (tmp_path / "a.csv").write_text(HEADER + "\n".join(rows))
    with pytest.raises(InvalidFiles, match=r"a\.csv: interval: got 1m, expected 1h"):
        series(tmp_path, spec())


def test_many_symbols_in_blocks_and_row_by_row(tmp_path: Path) -> None:
    """Ten thousand tickers, one of whose rows is wrong: the rows beside it are read one by one."""
    rows = [f"T{n},{T0},{n + 1},{n + 2},1,{n + 1},{n}" for n in range(10_000)]
    rows[7_000] = f"T7000,{T0},x,1,1,1,1"
    (tmp_path / "a.csv").write_bytes((HEADER + "\n".join(rows)).encode())
    found, bad = series(tmp_path, spec())
    assert (len(found), [row.place for row in bad]) == (9_999, ["a.csv:7002"])
    assert found["T9999"] == [(T0, 10_000.0, 10_001.0, 1.0, 10_000.0, 9_999.0)]


def test_names_of_files_say_symbol_and_interval(tmp_path: Path) -> None:
    for name in ("BTCUSDT-1m-2018-04.csv.gz", "ETHUSDT-1m-2018-04.csv.gz", "ETHUSDT-1m-2018-05.csv.gz"):
        (tmp_path / name).write_bytes(gzip.compress((HEADER.replace("symbol,", "") + ROWS).encode()))
    found, _ = series(tmp_path, spec(fileName="{symbol}-{interval}-{date}"))
    assert {symbol: len(rows) for symbol, rows in found.items()} == {"BTC/USDT": 3, "ETH/USDT": 6}
    (tmp_path / "ETHUSDT-1h-2018-04.csv").write_text("")
    with pytest.raises(InvalidFiles, match=r"ETHUSDT-1h-2018-04\.csv: interval: got 1h in its name, expected 1m"):
        series(tmp_path, spec(fileName="{symbol}-{interval}-{date}"))
    with pytest.raises(InvalidFiles, match=r"fileName: got '.*', expected a name like \{symbol\}_\{minutes\}"):
        series(tmp_path, spec(fileName="{symbol}_{minutes}"))


def test_a_preset_knows_the_symbol_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "XBTUSD_1.csv").write_text("\n".join(f"{T0 // 1000 + n * 60},1,4,0.5,2,10,7" for n in range(3)))
    found, _ = series(tmp_path, spec())
    assert list(found) == ["BTC/USD"]


def test_nothing_that_says_a_symbol(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER.replace("symbol,", "") + ROWS)
    with pytest.raises(InvalidFiles, match=r"a\.csv: symbol: got no column of symbols, and no name that says one"):
        series(tmp_path, spec())


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("XBTUSD", "BTC/USD"),
        ("BNBUSD", "BNB/USD"),
        ("USDTUSD", "USDT/USD"),
        ("ETHBUSD", "ETH/BUSD"),
        ("BTC-USDT-SWAP", "BTC-USDT-SWAP"),
        ("BTC-PERP", "BTC-PERP"),
        ("eth_btc", "ETH/BTC"),
        ("AAPL", "AAPL"),
    ],
)
def test_symbols_as_exchanges_write_them(text: str, symbol: str) -> None:
    assert unified(text) == symbol


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("BTC-USD-1m.csv", ("BTC/USD", True, "1m")),
        ("ETH-USD-1m.csv", ("ETH/USD", True, "1m")),
        ("LTC-USD-1m.csv.gz", ("LTC/USD", True, "1m")),
        ("EUR_USD_daily.csv", ("EUR/USD", True, "1d")),
        ("Coinbase_XBT-USD.csv", ("BTC/USD", True, None)),
        ("eth_btc.csv", ("ETH/BTC", True, None)),
        ("1d-SOL-ETH.csv", ("SOL/ETH", True, "1d")),
        ("USDT_BTC.csv", ("USDT", False, None)),  # Poloniex's name of BTC/USDT
        ("BTCUSDT-1h.csv", ("BTC/USDT", True, "1h")),
    ],
)
def test_what_the_name_of_a_file_says(name: str, parts: tuple[str, bool, str | None]) -> None:
    assert name_parts(name) == parts


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"time,price\n{T0},1.5\n{T0 + 1},2.5\n")
    at = {"symbol": "A/B", "path": "a.csv"}
    found, _ = series(tmp_path, spec(at, kind="trades", defaults={"amount": 2, "side": "sell"}))
    assert [row[2:] for row in found["A/B"]] == [(1.5, 2.0, "sell"), (2.5, 2.0, "sell")]
    (tmp_path / "a.csv").write_text(f"ts,open,high,low,close\n{T0},1,1,1,1\n{T0 + MINUTE},1,1,1,x\n")
    found, _ = series(tmp_path, spec(at, defaults={"volume": 5}))
    assert found["A/B"] == [(T0, 1.0, 1.0, 1.0, 1.0, 5.0)]
    (tmp_path / "a.csv").write_text(f"ts,open,high,low,close,volume\n{T0},1,1,1,1,7\n{T0 + MINUTE},1,1,1,1,\n")
    found, _ = series(tmp_path, spec(at, defaults={"volume": 5}))
    assert [row[5] for row in found["A/B"]] == [7.0, 0.0]  # a column that has it, and a bar without trades


def test_defaults_of_rows_that_stay_columns(tmp_path: Path) -> None:
    at = {"symbol": "A/B", "path": "a.csv"}
    (tmp_path / "a.csv").write_text(f"id,time,price,amount\n1,{T0},1.5,3\n2,{T0 + 1},2.5,4\n")
    for declared, sides in (({}, "unknown"), ({"defaults": {"side": "sell"}}, "sell"), ({"signed": True}, "buy")):
        found, _ = series(tmp_path, spec(at, **declared))
        assert found["A/B"] == [(T0, "1", 1.5, 3.0, sides), (T0 + 1, "2", 2.5, 4.0, sides)]
    (tmp_path / "a.csv").write_text(f"id,time,price\n1,{T0},1.5\n2,{T0 + 1},2.5\n")
    found, _ = series(tmp_path, spec(at, kind="trades", defaults={"amount": 2}))
    assert found["A/B"] == [(T0, "1", 1.5, 2.0, "unknown"), (T0 + 1, "2", 2.5, 2.0, "unknown")]
    (tmp_path / "a.csv").write_text(f"ts,open,high,low,close\n{T0},1,1,1,1\n")
    found, _ = series(tmp_path, spec(at, defaults={"volume": 5}))
    assert found["A/B"] == [(T0, 1.0, 1.0, 1.0, 1.0, 5.0)]


def test_a_negative_amount_is_a_sale(tmp_path: Path) -> None:
    at = {"symbol": "A/B", "path": "a.csv"}
    (tmp_path / "a.csv").write_text(f"id,time,amount,price\n1,{T0},0.5,100\n2,{T0 + 1},-0.25,101\n")
    found, bad = series(tmp_path, spec(at))
    assert bad == []
    assert found["A/B"] == [(T0, "1", 100.0, 0.5, "buy"), (T0 + 1, "2", 101.0, 0.25, "sell")]
    _, bad = series(tmp_path, spec(at, signed=False))
    assert [row.place for row in bad] == ["a.csv:3"]
    (tmp_path / "a.csv").write_text(f"id,time,amount,price,side\n1,{T0},0.5,100,buy\n2,{T0 + 1},-0.25,101,sell\n")
    _, bad = series(tmp_path, spec(at))
    assert ["amount: got -0.25" in row.reason for row in bad] == [True]


def test_the_number_of_an_instrument_is_no_symbol(tmp_path: Path) -> None:
    rows = [f"15144,{row}" for row in ROW_LIST]
    (tmp_path / "a.csv").write_text(HEADER.replace("symbol", "instrument_id") + "\n".join(rows))
    at = {"symbol": "AAPL", "path": "a.csv"}
    assert series(tmp_path, spec(at)) == ({"AAPL": BARS}, [])
    more = [f"15144,{T0 + n * MINUTE},1,1,1,1,1" for n in range(1_100)]
    more[1_050] = f"7,{T0},1,1,1,1,1"
    (tmp_path / "a.csv").write_text(HEADER.replace("symbol", "instrument_id") + "\n".join(more))
    _, bad = series(tmp_path, spec(at))
    assert [row.reason for row in bad] == ["instrument: got '7', expected only 15144, as in the first rows"]
    (tmp_path / "a.csv").write_text(HEADER.replace("symbol", "instrument_id") + f"1,{ROW_LIST[0]}\n2,{ROW_LIST[0]}\n")
    assert list(series(tmp_path, spec())[0]) == ["1", "2"]


def test_what_is_noticed_beside_the_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER.replace("symbol,", "") + ROWS + f"{T0 + 3 * MINUTE},,,,,\n" * 2)
    (tmp_path / "b.csv").write_text(
        "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n"
        "1522800180,2018-04-04 00:03:00,BTC/USD,1,4,0.5,2,10,9\n"
    )
    files = spec({"symbol": "BTC/USD", "path": "*.csv"})
    notes = ReadingNotes()
    for each in SeriesReader(files, failing, notes=notes).series(find_files(files, FilesAccess(tmp_path))):
        assert len(list(single_rows(each.rows))) == 4
    assert notes.empty == 2
    assert notes.mixed() == {"BTC/USD": {"table": "a.csv", "cryptodatadownload": "b.csv"}}
