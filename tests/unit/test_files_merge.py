"""The order over all symbols, and the rows that a strict reader rejects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import by_hand.samples as by_hand
from tapedeck_common.files import InvalidFiles, merged_bars
from tapedeck_common.market import Bar
from tapedeck_crds.base import Files
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource

HEADER = "ts,open,high,low,close,volume\n"


def source(*sets: tuple[str, str], format_: str = "csv", interval: str = "1m") -> Files:
    return Files.model_validate(
        {
            "format": format_,
            "exchange": "x",
            "interval": interval,
            "time": {"unit": "ms"},
            "sets": [{"symbol": symbol, "path": path} for symbol, path in sets],
        }
    )


def write(path: Path, *minutes: int) -> None:
    path.write_text(HEADER + "".join(f"{minute * 60_000},1,1,1,1,1\n" for minute in minutes))


def test_the_sample_in_order(samples: Path) -> None:
    feed = parse_resource(yaml.safe_load((samples.parent / "feed.yaml").read_text()))
    assert isinstance(feed, Feed) and feed.spec.source is not None and feed.spec.source.files is not None
    bars = list(merged_bars(feed.spec.source.files, samples.parent))
    wanted = sorted(by_hand.coinbase(samples / "coinbase-minute"), key=lambda key: (key[1], key[0]))
    assert [(b.symbol, b.ts) for b in bars] == wanted


def test_trades_become_bars(samples: Path) -> None:
    files = source(("ETH/USDT", "eth*"), ("BTC/USDT", "btc*"), format_="binance-trades")
    bars = list(merged_bars(files, samples / "binance-trades"))
    for symbol, name in (("BTC/USDT", "btcusdt"), ("ETH/USDT", "ethusdt")):
        wanted = by_hand.binance_bars(samples / "binance-trades" / f"{name}_20240808.jsonl.gz")
        got = {b.ts: (b.open, b.high, b.low, b.close, b.volume) for b in bars if b.symbol == symbol}
        assert got.keys() == wanted.keys() and len(wanted) == 6
        assert all(got[ts] == pytest.approx(wanted[ts], rel=1e-12) for ts in wanted)
    assert [(b.ts, b.symbol) for b in bars] == sorted((b.ts, b.symbol) for b in bars)


def rows(*lines: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER + "\n".join(lines))

    return prepare


def two_files(folder: Path) -> None:
    write(folder / "a1.csv", 1, 3)
    write(folder / "a2.csv", 2)


REFUSED = {
    "broken line": (
        rows("60000,1,1,1,1,1", "120000,1,1,1,1"),
        "a.csv:3: columns: got 5, expected 6 as in the header; the row: 120000,1,1,1,1",
    ),
    "NaN": (rows("60000,nan,1,1,1,1"), "a.csv:2: open: got nan, expected a finite price above 0"),
    "duplicate": (
        rows("60000,1,1,1,1,1", "60000,1,1,1,1,1"),
        "a.csv:3: ts: 60000 repeats that of a.csv:2; expected each row once",
    ),
    "out of order": (
        rows("120000,1,1,1,1,1", "60000,1,1,1,1,1"),
        "a.csv:3: ts: 60000 is earlier than 120000 at a.csv:2; expected each row once, in order of time",
    ),
    "files that overlap": (two_files, "a2.csv:2: ts: 120000 is earlier than 180000 at a1.csv:3"),
    "missing column": (lambda folder: (folder / "a.csv").write_text("ts,open\n1,2"), "header lacks high, low"),
    "missing file": (lambda _: None, "'a*.csv', which matches no file below"),
}


@pytest.mark.parametrize(("prepare", "message"), REFUSED.values(), ids=REFUSED)
def test_invalid_files_are_rejected(tmp_path: Path, prepare: Callable[[Path], None], message: str) -> None:
    prepare(tmp_path)
    with pytest.raises(InvalidFiles) as caught:
        list(merged_bars(source(("A/B", "a*.csv")), tmp_path))
    assert message in str(caught.value)


def test_trades_out_of_order_are_rejected(tmp_path: Path) -> None:
    line = '{{"e":"trade","s":"AB","t":{},"p":"1","q":"1","T":60000,"m":false}}\n'
    (tmp_path / "a").write_text(line.format(10) + line.format(9))
    with pytest.raises(InvalidFiles, match=r"a:2: ts: 60000 \(id 9\) is earlier than 60000 \(id 10\) at a:1"):
        list(merged_bars(source(("A/B", "a"), format_="binance-trades"), tmp_path))


def test_reads_lazily(tmp_path: Path) -> None:
    """Rows are read on demand: an invalid later row does not affect the earlier ones."""
    write(tmp_path / "a.csv", 1, 3, 5)
    write(tmp_path / "b.csv", *range(2, 50_000))
    with (tmp_path / "b.csv").open("a") as more:
        more.write("broken")
    bars = merged_bars(source(("B", "b.csv"), ("A", "a.csv")), tmp_path)
    first: list[Bar] = [next(bars) for _ in range(5)]
    assert [(b.ts // 60_000, b.symbol) for b in first] == [(1, "A"), (2, "B"), (3, "A"), (3, "B"), (4, "B")]
    with pytest.raises(InvalidFiles, match=r"b\.csv:50000: columns"):
        list(bars)
