"""Each format of market files: rows that are read, rows that are rejected, and the messages."""

from __future__ import annotations

import gzip
import io
import json
import math
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import by_hand.samples as by_hand
from file_rows import bar_rows, trade_rows
from tapedeck_common.files import FilesAccess, InvalidFiles, InvalidRow, find_files
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.files import Files
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource

HEADER = "ts,open,high,low,close,volume\n"
MINUTE = 60_000


def source(format_: str = "auto", path: str = "*", symbol: str = "A/B", interval: str = "1m") -> Files:
    sets = [{"symbol": symbol, "path": path}]
    time = {"unit": "ms"}  # times of 1970 need it
    return Files.model_validate({"format": format_, "exchange": "x", "interval": interval, "sets": sets, "time": time})


def bars_of(files: Files, root: Path) -> tuple[list[Bar], list[InvalidRow]]:
    bad: list[InvalidRow] = []
    rows = [
        row for sources in find_files(files, FilesAccess(root)).values() for row in bar_rows(files, sources, bad.append)
    ]
    return [row.record for row in rows], bad


def trades_of(files: Files, root: Path) -> tuple[list[Trade], list[InvalidRow]]:
    bad: list[InvalidRow] = []
    rows = [
        row
        for sources in find_files(files, FilesAccess(root)).values()
        for row in trade_rows(files, sources, bad.append)
    ]
    return [row.record for row in rows], bad


def zipped(*members: tuple[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return out.getvalue()


def damaged(archive: bytes) -> bytes:
    return archive[:40] + bytes([archive[40] ^ 0xFF]) + archive[41:]


def test_the_sample_feed_reads_every_bar(samples: Path) -> None:
    feed = parse_resource(yaml.safe_load((samples.parent / "feed.yaml").read_text()))
    assert isinstance(feed, Feed) and feed.spec.source is not None and feed.spec.source.files is not None
    bars, bad = bars_of(feed.spec.source.files, samples.parent)
    assert bad == []
    table = by_hand.coinbase(samples / "coinbase-minute")
    assert Counter(bar.symbol for bar in bars) == by_hand.COINBASE_BARS
    assert len(bars) == len(table) == 13_886
    assert {(b.symbol, b.ts): (b.open, b.high, b.low, b.close, b.volume) for b in bars} == table
    assert {(b.exchange, b.interval, b.closed, b.rev) for b in bars} == {("coinbase", "1m", True, 0)}


@pytest.mark.parametrize("symbol", by_hand.BINANCE_TRADES)
def test_every_recorded_trade_is_read(samples: Path, symbol: str) -> None:
    name = f"{symbol.replace('/', '').lower()}_20240808.jsonl.gz"
    trades, bad = trades_of(source("binance-messages", name, symbol), samples / "binance-trades")
    messages = by_hand.binance_messages(samples / "binance-trades" / name)
    assert bad == []
    assert len(trades) == by_hand.BINANCE_TRADES[symbol]
    assert [(t.ts, t.id, t.price, t.amount, t.side) for t in trades] == [
        (m["T"], str(m["t"]), float(m["p"]), float(m["q"]), ["buy", "sell"][m["m"]]) for m in messages
    ]


prices = st.floats(min_value=1e-9, max_value=1e12)


@st.composite
def sound_bars(draw: st.DrawFn) -> list[Bar]:
    opens = draw(st.lists(st.integers(20_000_000, 60_000_000), unique=True, max_size=20).map(sorted))
    bars = []
    for minute in opens:
        low, one, two, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        open_, close = draw(st.permutations([one, two]))
        volume = draw(st.floats(0, 1e12))
        bars.append(Bar("x", "A/B", "1m", minute * MINUTE, open_, high, low, close, volume))
    return bars


def plain_ms(ts: int, _: int) -> str:
    return str(ts)


def rfc3339(ts: int, offset_minutes: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ts)
    return moment.astimezone(timezone(timedelta(minutes=offset_minutes))).isoformat()


@settings(max_examples=60, deadline=None)
@given(
    bars=sound_bars(),
    order=st.permutations([*HEADER.strip().split(","), "note"]),
    write_ts=st.sampled_from([plain_ms, rfc3339]),
    offset=st.integers(-12 * 60, 14 * 60),
    ending=st.sampled_from(["\n", "\r\n"]),
    packing=st.sampled_from([".csv", ".csv.gz", ".csv.zip"]),
)
def test_csv_round_trip(
    bars: list[Bar],
    order: list[str],
    write_ts: Callable[[int, int], str],
    offset: int,
    ending: str,
    packing: str,
) -> None:
    lines = [",".join(order)]
    for bar in bars:
        cells = {n: repr(getattr(bar, n)) for n in ("open", "high", "low", "close", "volume")}
        cells |= {"ts": write_ts(bar.ts, offset), "note": '"x, y"'}
        lines.append(",".join(cells[name] for name in order))
    text = ending.join(lines) + ending
    packed = {
        ".csv": text.encode(),
        ".csv.gz": gzip.compress(text.encode()),
        ".csv.zip": zipped(("data.csv", text)),
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"a{packing}").write_bytes(packed[packing])
        assert bars_of(source(), Path(folder)) == (bars, [])


BROKEN_ROWS = {
    "too few columns": ("120000,1,1,1", "columns: got 4, expected 6"),
    "too many columns": ("120000,1,1,1,1,1,1", "columns: got 7, expected 6"),
    "no row at all": ("???", "columns: got 1, expected 6"),
    "NaN price": ("120000,nan,1,1,1,1", "open: got nan, expected a finite price"),
    "infinite price": ("120000,1,inf,1,1,1", "high: got inf"),
    "negative price above the low": ("120000,-1,1,0,1,1", "high/low: got low 0.0, high 1.0 around open -1.0"),
    "zero price below the low": ("120000,1,1,1,0,1", "high/low: got low 1.0"),
    "negative volume": ("120000,1,1,1,1,-1", "volume: got -1.0, expected a finite number of at least 0"),
    "no number": ("120000,1,1,1,one,1", "close: got 'one', expected a number"),
    "empty cell": ("120000,1,1,1,,1", "close: got nothing, expected a value"),
    "Python's digits": ("120000,1_0,1,1,1,1", "open: got '1_0', expected a number"),
    "high below low": ("120000,2,1,3,2,1", "high/low: got low 3.0, high 1.0"),
    "time off the grid": (
        "120001,1,1,1,1,1",
        "ts: got 1970-01-01T00:02:00.001Z, expected the open of a bar of 1m, such as 1970-01-01T00:02:00Z",
    ),
    "no time": (
        "noon,1,1,1,1,1",
        "ts: got 'noon', expected a time like 2018-04-25 13:30:00",
    ),
    "time before any": ("0001-01-01T00:00:00+01:00,1,1,1,1,1", "expected a time between 1970 and 2100"),
    "no such day": ("2018-02-30T00:00:00Z,1,1,1,1,1", "got '2018-02-30T00:00:00Z', expected an existing date and time"),
    "microseconds": (
        "1522800000000000,1,1,1,1,1",
        "expected milliseconds UTC between 1970 and 2100; microseconds of 2018",
    ),
    "negative time": ("-60000,1,1,1,1,1", "ts: got -60000, expected milliseconds UTC between 1970 and 2100"),
    "endless time": ("9" * 5000 + ",1,1,1,1,1", "expected an integer"),
    "fractional time": ("120000.5,1,1,1,1,1", "ts: got 1970-01-01T00:02:00.000500Z, expected the open of a bar of 1m"),
    "open quote": ('120000,1,1,1,1,"1', "quotes: "),
    "not UTF-8": ("120000,1,\udcff,1,1,1", "high: got '\xff', expected a number"),
}


@pytest.mark.parametrize(("row", "reason"), BROKEN_ROWS.values(), ids=BROKEN_ROWS)
def test_an_invalid_row_is_reported_and_the_rest_is_read(tmp_path: Path, row: str, reason: str) -> None:
    text = f"{HEADER}60000,1,2,1,2,5\n{row}\n180000,1,2,1,2,5\n"
    (tmp_path / "a.csv").write_text(text, errors="surrogateescape")
    bars, bad = bars_of(source(), tmp_path)
    assert [bar.ts for bar in bars] == [60_000, 180_000]
    assert [b.place for b in bad] == ["a.csv:3"]
    assert reason in bad[0].reason
    assert bad[0].payload == row.replace("\udcff", "\xff")


BAD_FILES = {
    "no such file": ("b.csv", b"", "c.csv", "auto", "'c.csv', which matches no file below"),
    "no match": ("b.csv", b"", "*.tsv", "auto", "'*.tsv', which matches no file below"),
    "a pattern that is none": ("b.csv", b"", "**b", "auto", "'**b', expected a file or a glob pattern"),
    "empty": ("b.csv", b"", "*", "auto", "b.csv: is empty, expected rows of market data"),
    "missing column": (
        "b.csv",
        b"ts,open,high,low,volume\n",
        "*",
        "auto",
        "header lacks close of bars; found ts, open, high",
    ),
    "no header": (
        "b.csv",
        b"60000,1,1,1,1,1\n",
        "*",
        "auto",
        "b.csv: got 6 columns without a header that no preset has, expected a table of market data",
    ),
    "zip cut short": ("b.zip", zipped(("b", HEADER * 99))[:-30], "*", "auto", "b.zip: cannot be read"),
    "zip damaged": ("b.zip", damaged(zipped(("b", HEADER))), "*", "auto", "b.zip: cannot be read"),
    "an empty zip": ("b.zip", zipped(), "*", "auto", "b.zip: holds 0 files, expected 1 to"),
    "no zip": ("b.zip", b"<html>", "*", "auto", "b.zip: is no zip but a page of HTML or XML, expected market data"),
    "gzip cut short": ("b.csv.gz", gzip.compress(HEADER.encode())[:-5], "*", "auto", "b.csv.gz: cannot be read"),
}


@pytest.mark.parametrize(("name", "content", "path", "format_", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_unusable_files_are_reported_by_name(
    tmp_path: Path, name: str, content: bytes, path: str, format_: str, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidFiles) as caught:
        bars_of(source(format_, path), tmp_path)
    assert message in str(caught.value)


def test_a_file_without_permission_is_an_invalid_file(tmp_path: Path) -> None:
    (tmp_path / "b.csv").symlink_to(tmp_path / "b.csv")  # a loop: no one may read it, root included
    with pytest.raises(InvalidFiles, match="matches no file"):
        bars_of(source(path="b.csv"), tmp_path)


GOOD_TRADE = {"e": "trade", "s": "AB", "t": 7, "p": "1.5", "q": "2", "T": 60_000, "m": True}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"e": "aggTrade"}, "e: got 'aggTrade', expected 'trade'"),
        ({"s": "ETHUSDT"}, "s: got 'ETHUSDT', expected 'AB' for A/B"),
        ({"p": "NaN"}, "price: got nan, expected a finite price"),
        ({"p": "-Infinity"}, "price: got -inf"),
        ({"q": "0"}, "amount: got 0.0"),
        ({"q": "two"}, "q: got 'two', expected a number"),
        (
            {"T": 1_723_161_255_342_000},
            "T: got 1723161255342000, expected milliseconds UTC between 1970 and 2100; microseconds of 2024",
        ),
        ({"t": "7"}, "message: Expected `int`, got `str` - at `$.data.t`"),
        ({"m": None}, "message: Expected `bool`"),
    ],
)
def test_invalid_trades(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    combined = json.dumps({"stream": "ab@trade", "data": GOOD_TRADE | change})
    lines = [json.dumps(GOOD_TRADE), f"1723161254087896568 {combined}", "cut sh", "", json.dumps({"data": GOOD_TRADE})]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    trades, bad = trades_of(source("binance-messages"), tmp_path)
    assert trades == [Trade("x", "A/B", 60_000, "7", 1.5, 2.0, "sell")] * 2
    assert [b.place for b in bad] == ["t.jsonl:2", "t.jsonl:3"]
    assert reason in bad[0].reason
    assert "expected a trade of Binance's websocket" in bad[1].reason


TRADES_HEADER = "time,ts,id,price,amount,side"
TRADE_ROWS = [
    (0, 60_000, "7", 1.5, 2.0, "sell"),
    (0, 60_000, "12", 1.25, 0.5, "BUY"),
    (0, 60_250, "a-1", 3.0, 1.0, "buy"),
]
WANTED_TRADES = [Trade("x", "A/B", row[1], row[2], row[3], row[4], row[5].lower()) for row in TRADE_ROWS]  # type: ignore[arg-type]


def test_trades_in_tables(tmp_path: Path) -> None:
    lines = [",".join(map(str, row)) for row in TRADE_ROWS]
    (tmp_path / "a.csv").write_text("\n".join([TRADES_HEADER, *lines]))
    columns = dict(zip(TRADES_HEADER.split(","), map(list, zip(*TRADE_ROWS, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert trades_of(source(path=name), tmp_path) == (WANTED_TRADES, [])
    zoned = [datetime.fromtimestamp(row[1] / 1000, UTC) for row in TRADE_ROWS]
    numbered = columns | {"ts": zoned, "id": [7, 12, 100], "price": [1, 2, 3]}
    pq.write_table(pa.table(numbered), tmp_path / "b.parquet")
    trades, bad = trades_of(source(path="b.parquet"), tmp_path)
    assert [(t.ts, t.id, t.price) for t in trades] == [(60_000, "7", 1), (60_000, "12", 2), (60_250, "100", 3)]
    assert bad == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"side": "both"}, "side: got 'both', expected one of buy, b, "),
        ({"id": "x" * 129}, "id: got 129 characters, expected 1 to 128"),
        ({"price": math.nan}, "price: got nan, expected a finite price"),
        ({"amount": 0.0}, "amount: got 0.0"),
        ({"ts": 4_102_444_800_000}, "ts: got 4102444800000, expected milliseconds UTC between 1970 and 2100"),
    ],
)
def test_broken_trades_in_tables(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    good = dict(zip(TRADES_HEADER.split(","), TRADE_ROWS[0], strict=True))
    rows = [good, good | change]
    (tmp_path / "a.csv").write_text("\n".join([TRADES_HEADER, *(",".join(map(str, row.values())) for row in rows)]))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        trades, bad = trades_of(source(path=name), tmp_path)
        assert trades == WANTED_TRADES[:1]
        assert [b.reason[: len(reason)] for b in bad] == [reason]


def test_a_table_without_the_columns_of_trades(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ts,id,price,side\n60000,1,2,buy\n")
    with pytest.raises(InvalidFiles, match=r"a\.csv: header lacks amount of trades; found ts, id, price, side"):
        trades_of(source(path="a.csv"), tmp_path)
    (tmp_path / "b.csv").write_text(HEADER + "60000,1,1,1,1,1\n")
    with pytest.raises(InvalidFiles, match=r"b\.csv: holds bars, expected trades"):
        trades_of(source(path="b.csv"), tmp_path)


def test_files_are_ordered_by_set_then_name_without_repeats(tmp_path: Path) -> None:
    for name in ("b2.csv", "b1.csv", "a.csv", "[x].csv"):
        (tmp_path / name).write_text(HEADER)
    (tmp_path / "folder.csv").mkdir()
    sets = [("S", "b*"), ("T", "a.csv"), ("S", "[x].csv"), ("S", "./b1.*")]
    files = Files.model_validate({"exchange": "x", "sets": [{"symbol": s, "path": p} for s, p in sets]})
    found = find_files(files, FilesAccess(tmp_path))
    assert {s: [f.name for f in sources] for s, sources in found.items()} == {
        "S": ["b1.csv", "b2.csv", "[x].csv"],
        "T": ["a.csv"],
    }


def test_a_file_belongs_to_one_symbol(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    files = Files.model_validate({"exchange": "x", "sets": [{"symbol": s, "path": "*.csv"} for s in ("S", "T")]})
    with pytest.raises(InvalidFiles, match=r"a\.csv: matched for S and for T, expected one symbol a file"):
        find_files(files, FilesAccess(tmp_path))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_rejected(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.csv").write_bytes(HEADER.encode() + content)
        try:
            bars, bad = bars_of(source(), Path(folder))
        except InvalidFiles as error:  # a NUL, or more than ten lines that are no rows
            assert str(error).startswith("a.csv") and len(str(error)) < 400
            return
    assert all(math.isfinite(bar.high) and bar.high > 0 for bar in bars)
    assert len({b.place for b in bad}) == len(bad)


def test_trades_without_ids_are_numbered_within_their_time(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ts,price,amount\n60000,1,1\n60000,1,1\n60001,1,1\n")
    columns = {"ts": [60_000, 60_000, 60_001], "price": [1.0] * 3, "amount": [1.0] * 3}
    pq.write_table(pa.table(columns), tmp_path / "b.parquet")
    for name in ("a.csv", "b.parquet"):
        trades, bad = trades_of(source(path=name), tmp_path)
        assert ([(t.id, t.side) for t in trades], bad) == (
            [("60000000.1", "unknown"), ("60000000.2", "unknown"), ("60001000.1", "unknown")],
            [],
        )


@pytest.mark.parametrize("kind", ["csv", "parquet", "messages"])
def test_a_refused_trade_has_its_id(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        columns = {"ts": [60_000], "id": ["7"], "price": pa.array([None], pa.float64()), "amount": [1.0]}
        pq.write_table(pa.table(columns | {"side": ["buy"]}), tmp_path / "a")
    elif kind == "csv":
        (tmp_path / "a").write_text("ts,id,price,amount,side\n60000,7,x,1,buy\n")
    else:
        (tmp_path / "a").write_text('{"e":"trade","s":"AB","t":7,"p":"x","q":"1","T":60000,"m":true}')
    found, bad = trades_of(source("binance-messages" if kind == "messages" else "auto", "a"), tmp_path)
    assert (found, [row.id for row in bad]) == ([], ["7"])
