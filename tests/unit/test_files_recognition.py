"""What is recognized in files beyond the samples, and what is declared: values computed by hand."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from file_rows import bar_rows
from layouts.small_files import BARS, HEADER, MINUTE, NUMBERS, ROWS, T0, read, refusal, tar_gz, zipped
from tapedeck_common.files import FilesAccess, InvalidFiles, find_files
from tapedeck_crds.files import Files

pytestmark = pytest.mark.slow

METATRADER = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n" + "".join(
    f"2018.04.04\t00:0{n}:00\t{n + 1}\t{n + 4}\t{n + 0.5}\t{n + 2}\t{n + 7}\t{(n + 1) * 10}\t2\n" for n in range(3)
)
DUKASCOPY = (
    "Gmt time,Open,High,Low,Close,Volume\n04.04.2018 13:00:00.000,1,4,0.5,2,10\n04.04.2018 14:00:00.000,2,5,1.5,3,20\n"
)
OBJECTS = [dict(zip(HEADER.strip().split(","), bar, strict=True)) for bar in BARS]
READ: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "MetaTrader 5": (METATRADER, {}),
    "semicolons with a decimal comma": (
        (HEADER + ROWS).replace(",", ";").replace("0.5", "0,5").replace("1.5", "1,5").replace("2.5", "2,5"),
        {},
    ),
    "JSON objects": (json.dumps(OBJECTS), {}),
    "JSON lines": ("\n".join(map(json.dumps, OBJECTS)), {}),
    "JSON below keys": (json.dumps({"code": 0, "data": [list(bar) for bar in BARS]}), {}),
    "JSON in two objects": (json.dumps({"result": {"symbol": "AB", "rows": OBJECTS}}), {}),
    "columns by name": (
        "when,a,b,c,d,e\n" + ROWS,
        {"columns": {"ts": "when", "open": "a", "high": "b", "low": "c", "close": "d", "volume": "e"}},
    ),
    "columns by number": (
        ROWS,
        {"columns": NUMBERS},
    ),
    "no header": (ROWS, {"header": False}),
    "lines before the header": ("An export,of something\n1,2\n" + HEADER + ROWS, {"skipRows": 2}),
    "blanks before the header": ("\n\n" + HEADER + ROWS, {}),
    "Windows": ("\ufeff" + (HEADER + ROWS).replace("\n", "\r\n"), {}),
    "blanks around cells": ((HEADER + ROWS).replace(",", " , "), {}),
    "quoted cells": ("\n".join(",".join(f'"{c}"' for c in row.split(",")) for row in (HEADER + ROWS).split()), {}),
    "thousands": (
        HEADER.replace(",", ";")
        + "1522800000000;1;4;0.5;2;10\n1522800060000;2;5;1.5;3;20\n1522800120000;3;6;2.5;4;30\n",
        {"thousands": ","},
    ),
    "scale": (
        HEADER + "1522800000000,10000,40000,5000,20000,10\n1522800060000,20000,50000,15000,30000,20\n"
        "1522800120000,30000,60000,25000,40000,30\n",
        {"scale": 10_000},
    ),
    "latin-1 after a header with an umlaut": (
        ("W\xe4hrung," + HEADER + ROWS.replace("15228", "\u20ac,15228").replace("\u20ac", "\xfc")).encode("latin-1"),
        {},
    ),
}


@pytest.mark.parametrize("name", READ)
def test_the_same_three_bars(tmp_path: Path, name: str) -> None:
    content, declared = READ[name]
    assert read(tmp_path, content, **declared) == (BARS, [])


def test_the_day_comes_first_with_points(tmp_path: Path) -> None:
    found, bad = read(tmp_path, DUKASCOPY, interval="1h")
    assert ([row[0] for row in found], bad) == ([1_522_846_800_000, 1_522_850_400_000], [])


@pytest.mark.parametrize("time", ["04/25/2018 13:30", "4/25/2018 1:30 PM", "25/04/2018 13:30", "25 Apr 2018 13:30"])
def test_a_day_above_12_tells_the_order(tmp_path: Path, time: str) -> None:
    found, bad = read(tmp_path, f"Date,Open,High,Low,Close\n{time},1,4,0.5,2\n")
    assert (found, bad) == ([(1_524_663_000_000, 1.0, 4.0, 0.5, 2.0, 0.0)], [])


def test_weeks_of_iso_are_no_times(tmp_path: Path) -> None:
    found, bad = read(tmp_path, "date,open,high,low,close\n2018-W14,1,4,0.5,2\n", interval="1w")
    assert found == [] and "2018-W14" in bad[0].reason


HALVES = {
    "a/1.csv": HEADER + "".join(ROWS.splitlines(True)[:1]),
    "a/2.csv": HEADER + "".join(ROWS.splitlines(True)[1:]),
}
ARCHIVES = {
    "tar.gz": tar_gz(HALVES),
    "zip in a zip": zipped({"b.zip": zipped({"c.csv": HALVES["a/2.csv"]}), "a.csv": HALVES["a/1.csv"]}),
    "gzips in a zip": zipped({name: gzip.compress(text.encode()) for name, text in HALVES.items()}),
    "gzip in a gzip": gzip.compress(gzip.compress((HEADER + ROWS).encode())),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, ARCHIVES[name], "a.bin") == (BARS, [])


def test_a_refused_row_of_an_archive_is_named_with_its_member_and_line(tmp_path: Path) -> None:
    content = tar_gz({"a/1.csv": HEADER + ROWS + "1522800180000,1,4,0.5,x,10\n"})
    found, bad = read(tmp_path, content, "a.tar.gz")
    assert (found, [(row.place, row.payload) for row in bad]) == (
        BARS, [("a.tar.gz!a/1.csv:5", "1522800180000,1,4,0.5,x,10")],
    )  # fmt: skip


def test_date_and_time_of_day_in_two_columns(tmp_path: Path) -> None:
    text = "Date,Time,Open,High,Low,Close,Volume\n" + "".join(
        f"2018-04-04,00:0{n},{','.join(map(str, bar[1:]))}\n" for n, bar in enumerate(BARS)
    )
    assert read(tmp_path, text) == (BARS, [])
    assert read(tmp_path, text, time={"columns": ["Date", "Time"]}) == (BARS, [])
    assert read(tmp_path, text.replace("Date,Time", "on,at"), time={"columns": ["on", "at"]}) == (BARS, [])


def test_a_zone_across_a_change_of_the_clock(tmp_path: Path) -> None:
    """New York went from -05:00 to -04:00 on 11 March 2018 at 02:00."""
    text = "ts,open,high,low,close\n" + "".join(f"2018-03-11 {hour}:00,1,2,1,2\n" for hour in ("00", "01", "03", "04"))
    found, bad = read(tmp_path, text, interval="1h", time={"zone": "America/New_York"})
    assert bad == []
    assert [row[0] for row in found] == [1_520_744_400_000 + n * 3_600_000 for n in range(4)]


def test_a_time_of_the_close(tmp_path: Path) -> None:
    text = HEADER + "".join(f"{ts + MINUTE},{','.join(map(str, rest))}\n" for ts, *rest in BARS)
    assert read(tmp_path, text, time={"stamp": "close"}) == (BARS, [])
    months = HEADER + "2024-02-01,1,4,0.5,2,10\n2024-03-01,1,4,0.5,2,10\n"
    found, bad = read(tmp_path, months, interval="1M", time={"stamp": "close"})
    assert ([row[0] for row in found], bad) == ([1_704_067_200_000, 1_706_745_600_000], [])  # January, February


def test_prices_adjusted_for_dividends(tmp_path: Path) -> None:
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n2018-04-04,10,40,5,20,10,100\n"
    assert read(tmp_path, text, interval="1d") == ([(T0, 10.0, 40.0, 5.0, 20.0, 100.0)], [])
    assert read(tmp_path, text, interval="1d", adjust=True) == ([(T0, 5.0, 20.0, 2.5, 10.0, 100.0)], [])


def test_thousands(tmp_path: Path) -> None:
    text = HEADER + '1522800000000,"1,000.5","4,000",500,"2,000","1,234,567"\n'
    assert read(tmp_path, text, thousands=",") == ([(T0, 1000.5, 4000.0, 500.0, 2000.0, 1_234_567.0)], [])


@pytest.mark.parametrize("declared", [{"header": False}, {}], ids=["declared", "recognized"])
def test_trades_without_a_header(tmp_path: Path, declared: dict[str, Any]) -> None:
    text = "1522800000,100.5,2\n1522800000,100.5,2\n1522800001,101,0.25\n"
    found, bad = read(tmp_path, text, "ABCUSD.csv", **declared)
    assert bad == []
    assert found == [
        (T0, f"{T0 * 1000}.1", 100.5, 2.0, "unknown"),
        (T0, f"{T0 * 1000}.2", 100.5, 2.0, "unknown"),
        (T0 + 1_000, f"{(T0 + 1_000) * 1000}.1", 101.0, 0.25, "unknown"),
    ]


SIDES = [("buy", "buy"), ("S", "sell"), ("1", "buy"), ("-1", "sell"), ("Buyer", "buy"), ("", "unknown")]


@pytest.mark.parametrize(("text", "side"), SIDES)
def test_sides(tmp_path: Path, text: str, side: str) -> None:
    found, bad = read(tmp_path, f"time,trade_id,price,size,side\n1522800000,7,1.5,2,{text}\n")
    assert (found, bad) == ([(T0, "7", 1.5, 2.0, side)], [])


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER) == ([], [])


def test_lines_are_counted_with_comments_and_blank_lines(tmp_path: Path) -> None:
    first, *others = ROWS.splitlines(True)
    text = f"# a comment\n{HEADER}\n{first}# another\n\n{''.join(others)}x,1,2,1,2,5\n1,2\n"
    found, bad = read(tmp_path, text)
    assert (found, [row.place for row in bad]) == (BARS, ["a.csv:9", "a.csv:10"])


def test_what_is_declared_wins_or_is_refused(tmp_path: Path) -> None:
    assert "expected trades as declared" in refusal(tmp_path, HEADER + ROWS, kind="trades") or "lacks" in refusal(
        tmp_path, HEADER + ROWS, kind="trades"
    )
    said = refusal(tmp_path, HEADER + ROWS, columns={"volume": "turnover"})
    assert "columns.volume: got column 'turnover', expected one of the file's: ts, open, high" in said
    said = refusal(tmp_path, HEADER + ROWS, format="kraken-trades")
    assert "kraken-trades" in said


@pytest.mark.parametrize(
    "pack", [str.encode, lambda text: text.encode("utf-16"), lambda text: gzip.compress(text.encode())]
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_long_file_keeps_its_rows_and_the_numbers_of_its_lines(tmp_path: Path, pack: Any, ending: str) -> None:
    """Blocks of the file end anywhere: within a row, a comment, or between the two signs that end a line."""
    rng, lines, wanted, refused = random.Random(5), [HEADER.strip()], [], []
    for n in range(50_000):
        match rng.randrange(1_000):
            case 0:
                lines.append("# a comment, and more")
            case 1:
                lines.append("")
            case 2:
                refused.append(f"a.csv:{len(lines) + 1}")
                lines.append("1,2,3")
            case 3:
                refused.append(f"a.csv:{len(lines) + 1}")
                lines.append(f'{T0 + n * MINUTE},1,"2,1,2,5')
            case 4:
                refused.append(f"a.csv:{len(lines) + 1}")
                lines.append(f"{T0 + n * MINUTE},1,1,3,2,5")
            case _:
                wanted.append((T0 + n * MINUTE, 1.0, 2.0, 1.0, 1.5, float(n)))
                lines.append(f"{T0 + n * MINUTE},1,2.0,1,1.5,{n}")
    found, bad = read(tmp_path, pack(ending.join(lines) + ending))
    assert found == wanted
    assert [row.place for row in bad] == refused


def test_long_json(tmp_path: Path) -> None:
    rows = [[T0 + n * MINUTE, 1, 2, 0.5, 1.5, n] for n in range(25_000)]
    rows[20_001] = [1, 2]
    found, bad = read(tmp_path, json.dumps({"rows": rows}))
    assert [row[5] for row in found] == [float(n) for n in range(25_000) if n != 20_001]
    assert [row.place for row in bad] == ["a.csv:20002"]


def test_prices_keep_all_their_digits(tmp_path: Path) -> None:
    texts = [
        "0.1",
        "1e-8",
        "123456789.123456789",
        "0.30000000000000004",
        "5E-324",
        "1.7976931348623157e308",
        "+1.5",
        "1.",
    ]
    text = "ts,id,price,amount\n" + "".join(f"{T0 + n},{n},{price},1\n" for n, price in enumerate(texts))
    found, bad = read(tmp_path, text)
    assert ([row[2] for row in found], bad) == ([float(price) for price in texts], [])


def test_ids_keep_their_text(tmp_path: Path) -> None:
    ids = ["007", "9007199254740993", "1e5", "0x1f", "12345678901234567890123", "NaN", "null", "a b"]
    text = "ts,id,price,amount\n" + "".join(f"{T0 + n},{id},1,1\n" for n, id in enumerate(ids))
    found, bad = read(tmp_path, text)
    assert ([row[1] for row in found], bad) == (ids, [])


KRAKEN = [
    [T0 // 1000 + n * 60, str(n + 1), str(n + 4), str(n + 0.5), str(n + 2), str(n + 1.7), "10", 3] for n in range(3)
]


def test_an_average_price_is_no_volume(tmp_path: Path) -> None:
    """Kraken's REST: time, open, high, low, close, vwap, volume, count."""
    content = json.dumps({"error": [], "result": {"XXBTZUSD": KRAKEN, "last": 1}})
    try:
        found, _ = read(tmp_path, content)
    except InvalidFiles:
        return
    assert [row[5] for row in found] == [10.0] * 3


NAMED = {
    "Alpha Vantage": "timestamp,1. open,2. high,3. low,4. close,5. volume\n2018-04-04,1,4,0.5,2,10\n",
    "investing.com": '"Date","Price","Open","High","Low","Vol.","Change %"\n'
    '"Apr 04, 2018","2","1","4","0.5","10","-8.18%"\n',
    "Stooq": "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
    "A.B,D,20180404,000000,1,4,.5,2,10,0\n",
    "Nasdaq": "Date,Close/Last,Volume,Open,High,Low\n04/04/2018,2,10,1,4,0.5\n04/13/2018,2,10,1,4,0.5\n",
}


@pytest.mark.parametrize("name", NAMED)
def test_names_of_other_sources(tmp_path: Path, name: str) -> None:
    found, bad = read(tmp_path, NAMED[name], interval="1d")
    assert (found[:1], bad) == (BARS[:1], [])


def test_any_file_name_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "{0} %s.csv").write_text("ts,open,high,low,close\n1522800000,1,2,0.5,1.5\n")
    files = Files.model_validate({"exchange": "x", "sets": [{"symbol": "A/B", "path": "{0} %s.csv"}]})
    [source] = find_files(files, FilesAccess(tmp_path))["A/B"]
    assert [row.place for row in bar_rows(files, [source], print)] == ["{0} %s.csv:2"]


def test_a_point_between_thousands_is_never_a_decimal_sign(tmp_path: Path) -> None:
    text = "ts;open;high;low;close;volume\n1522800000000;1.000;2.000;500;1.500;3.000\n"
    found, bad = read(tmp_path, text, thousands=".", decimal=",")
    assert (found, bad) == ([(T0, 1_000.0, 2_000.0, 500.0, 1_500.0, 3_000.0)], [])


def test_a_declared_order_of_dates_holds_where_text_looks_like_iso(tmp_path: Path) -> None:
    text = "ts,open,high,low,close,volume\n2018-04-03T00:00:00Z,1,2,0.5,1.5,3\n"
    found, bad = read(tmp_path, text, time={"format": "%Y-%d-%mT%H:%M:%S%z"})
    assert ([row[0] for row in found], bad) == ([T0 - 31 * 86_400_000], [])  # the fourth of March


def test_a_column_of_close_times_is_one(tmp_path: Path) -> None:
    text = "close_time,open,high,low,close,volume\n1522800060000,1,4,0.5,2,10\n1522800120000,2,5,1.5,3,20\n"
    found, bad = read(tmp_path, text)
    assert (found, bad) == (BARS[:2], [])
