"""The unit of a file's times: inferred, declared, the same in the whole file, and never January 1970 by mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from file_rows import bar_rows, trade_rows
from tapedeck_common.files import FilesAccess, InvalidFiles, InvalidRow, find_files
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.files import Files

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
SECONDS = int(NEW_YEAR.timestamp())
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
BARS, TRADES = "ts,open,high,low,close,volume", "ts,id,price,amount,side"


def files(format_: str, unit: str | None, path: str = "a") -> Files:
    time = {} if unit is None else {"time": {"unit": unit}}
    sets = [{"symbol": "A/B", "path": path}]
    return Files.model_validate({"format": format_, "exchange": "x", "sets": sets} | time)


def bars_of(folder: Path, chosen: Files) -> tuple[list[Bar], list[InvalidRow]]:
    bad: list[InvalidRow] = []
    sources = find_files(chosen, FilesAccess(folder))["A/B"]
    return [row.record for row in bar_rows(chosen, sources, bad.append)], bad


def trades_of(folder: Path, chosen: Files) -> tuple[list[Trade], list[InvalidRow]]:
    bad: list[InvalidRow] = []
    sources = find_files(chosen, FilesAccess(folder))["A/B"]
    return [row.record for row in trade_rows(chosen, sources, bad.append)], bad


def write_bars(folder: Path, *times: object) -> None:
    (folder / "a").write_text("\n".join([BARS, *(f"{ts},1,2,1,2,5" for ts in times)]))


@pytest.mark.parametrize("unit", PER_SECOND)
@pytest.mark.parametrize("declared", [False, True])
def test_each_unit_gives_the_same_times(tmp_path: Path, unit: str, declared: bool) -> None:
    numbers = [(SECONDS + minute * 60) * PER_SECOND[unit] for minute in range(3)]
    wanted = [(SECONDS + minute * 60) * 1_000 for minute in range(3)]
    write_bars(tmp_path, *numbers)
    chosen = unit if declared else None
    bars, bad = bars_of(tmp_path, files("auto", chosen))
    assert ([bar.ts for bar in bars], bad) == (wanted, [])
    columns = {name: [1.0] * 3 for name in BARS.split(",")[1:]}
    pq.write_table(pa.table({"ts": numbers} | columns), tmp_path / "b")
    bars, bad = bars_of(tmp_path, files("auto", chosen, "b"))
    assert ([bar.ts for bar in bars], bad) == (wanted, [])


def test_trades_in_seconds_with_and_without_a_fraction(tmp_path: Path) -> None:
    times = ["1735689513", "1735689513.0", "1735689513.25", "1735689513.9996", "1735689513.999999999"]
    (tmp_path / "a").write_text("\n".join([TRADES, *(f"{ts},{n},1,1,buy" for n, ts in enumerate(times))]))
    trades, bad = trades_of(tmp_path, files("auto", None))
    assert ([t.ts - 1_735_689_513_000 for t in trades], bad) == ([0, 0, 250, 999, 999], [])


def test_trades_of_binances_websocket_in_microseconds(tmp_path: Path) -> None:
    message = '{"e":"trade","s":"AB","t":1,"p":"1","q":"1","T":1735689600123456,"m":true}'
    (tmp_path / "a").write_text(message)
    assert [t.ts for t in trades_of(tmp_path, files("binance-messages", None))[0]] == [1_735_689_600_123]


def test_a_row_in_another_unit_than_the_files_is_refused(tmp_path: Path) -> None:
    write_bars(tmp_path, SECONDS * 1_000, (SECONDS + 60) * 1_000_000, (SECONDS + 120) * 1_000)
    bars, bad = bars_of(tmp_path, files("auto", None))
    assert [bar.ts for bar in bars] == [SECONDS * 1_000, (SECONDS + 120) * 1_000]
    assert [row.place for row in bad] == ["a:3"]
    assert "which are microseconds, expected milliseconds as in the file's first row" in bad[0].reason


@pytest.mark.parametrize("year", [1970, 1987, 1999, datetime.now(UTC).year + 2])
def test_a_time_before_2000_or_after_next_year_needs_the_unit(tmp_path: Path, year: int) -> None:
    seconds = int(datetime(year, 3, 1, tzinfo=UTC).timestamp())
    write_bars(tmp_path, seconds)
    bars, bad = bars_of(tmp_path, files("auto", None))
    assert bars == []
    assert f"ts: got {seconds}, expected s, ms, us or ns from 2000 to" in bad[0].reason
    assert "set time.unit" in bad[0].reason
    assert [bar.ts for bar in bars_of(tmp_path, files("auto", "s"))[0]] == [seconds * 1_000]


@pytest.mark.parametrize("year", [2000, datetime.now(UTC).year + 1])
def test_the_first_and_the_last_year_need_none(tmp_path: Path, year: int) -> None:
    edges = [datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, tzinfo=UTC)]
    numbers = [int(edge.timestamp()) for edge in edges]
    write_bars(tmp_path, *numbers)
    assert [bar.ts for bar in bars_of(tmp_path, files("auto", None))[0]] == [number * 1_000 for number in numbers]


@pytest.mark.parametrize(
    ("unit", "declared", "word"), [("s", "ms", "seconds"), ("ms", "s", "milliseconds"), ("us", "ms", "microseconds")]
)
def test_a_file_of_another_unit_than_declared_is_refused_as_a_whole(
    tmp_path: Path, unit: str, declared: str, word: str
) -> None:
    write_bars(tmp_path, *((SECONDS + minute * 60) * PER_SECOND[unit] for minute in range(3)))
    with pytest.raises(InvalidFiles, match=rf"They are {word} of 2025: set time\.unit: {unit}"):
        bars_of(tmp_path, files("auto", declared))


def test_a_part_of_a_millisecond_stays_in_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{TRADES}\n2024-12-31T23:59:59.999900Z,7,1,1,buy")
    assert trades_of(tmp_path, files("auto", None))[0][0].ts == 1_735_689_599_999
    write_bars(tmp_path, "2024-12-31T23:59:59.999900Z")
    bars, bad = bars_of(tmp_path, files("auto", None))
    assert bars == [] and "expected the open of a bar of 1m" in bad[0].reason
