"""A symbol's files as one series in order, and the rows that a strict reader rejects."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import by_hand.samples as by_hand
from tapedeck_common.files import FilesAccess, InvalidFiles, SourceRow, StrictReader, TradeOrder, ValidTrades
from tapedeck_common.files.source_rows import FileSeries
from tapedeck_common.market import Trade, bars_from_trades, trade_key
from tapedeck_common.wire import encode
from tapedeck_crds.files import Files
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource

HEADER = "ts,open,high,low,close,volume\n"


def source(*sets: tuple[str, str], format_: str = "auto", interval: str = "1m") -> Files:
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
    bars = list(StrictReader(feed.spec.source.files, FilesAccess(samples.parent)).bars())
    names = [chosen.symbol for chosen in feed.spec.source.files.sets]
    wanted = sorted(by_hand.coinbase(samples / "coinbase-minute"), key=lambda key: (names.index(key[0]), key[1]))
    assert [(b.symbol, b.ts) for b in bars] == wanted


def test_trades_become_bars(samples: Path) -> None:
    files = source(("ETH/USDT", "eth*"), ("BTC/USDT", "btc*"), format_="binance-messages")
    bars = list(StrictReader(files, FilesAccess(samples / "binance-trades")).bars())
    for symbol, name in (("BTC/USDT", "btcusdt"), ("ETH/USDT", "ethusdt")):
        wanted = by_hand.binance_bars(samples / "binance-trades" / f"{name}_20240808.jsonl.gz")
        got = {b.ts: (b.open, b.high, b.low, b.close, b.volume) for b in bars if b.symbol == symbol}
        assert got.keys() == wanted.keys() and len(wanted) == 7
        assert all(got[ts] == pytest.approx(wanted[ts], rel=1e-12) for ts in wanted)
    assert [b.symbol for b in bars] == ["ETH/USDT"] * 7 + ["BTC/USDT"] * 7


def rows(*lines: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "a.csv").write_text(HEADER + "\n".join(lines))

    return prepare


REFUSED = {
    "broken line": (
        rows("60000,1,1,1,1,1", "120000,1,1,1,1"),
        "a.csv:3: columns: got 5, expected 6 as in the first rows; the row: 120000,1,1,1,1",
    ),
    "NaN": (rows("60000,nan,1,1,1,1"), "a.csv:2: open: got nan, expected a finite price"),
    "two rows of one time": (
        rows("60000,1,1,1,1,1", "60000,1,2,1,1,1"),
        "a.csv:3: ts: 1970-01-01T00:01:00Z has other values than at a.csv:2; expected one row",
    ),
    "missing column": (lambda folder: (folder / "a.csv").write_text("ts,open\n1,2"), "header lacks high, low"),
    "missing file": (lambda _: None, "'a*.csv', which matches no file below"),
}


@pytest.mark.parametrize(("prepare", "message"), REFUSED.values(), ids=REFUSED)
def test_invalid_files_are_rejected(tmp_path: Path, prepare: Callable[[Path], None], message: str) -> None:
    prepare(tmp_path)
    with pytest.raises(InvalidFiles) as caught:
        list(StrictReader(source(("A/B", "a*.csv")), FilesAccess(tmp_path)).bars())
    assert message in str(caught.value)


def test_the_order_of_rows_and_files_and_repeats_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "a1.csv", 5, 3, 4, 3)
    write(tmp_path / "a2.csv", 1, 2, 3)
    bars = StrictReader(source(("A/B", "a*.csv")), FilesAccess(tmp_path)).bars()
    assert [bar.ts // 60_000 for bar in bars] == [1, 2, 3, 4, 5]


def test_rows_after_the_end_are_ignored(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", 1, 2, 3)
    with (tmp_path / "a.csv").open("a") as more:
        more.write("half a ro")
    chosen = source(("A/B", "a.csv"))
    assert [bar.ts for bar in StrictReader(chosen, FilesAccess(tmp_path), end=180_000).bars()] == [60_000, 120_000]
    with pytest.raises(InvalidFiles, match=r"a\.csv:5: columns"):
        list(StrictReader(chosen, FilesAccess(tmp_path)).bars())


def test_the_heartbeat_beats_while_files_are_read(tmp_path: Path) -> None:
    """A replay is alive, and can be stopped, before the first record of a long file is sorted."""
    write(tmp_path / "a.csv", *range(120_000))
    beats: list[None] = []
    bars = StrictReader(source(("A/B", "a.csv")), FilesAccess(tmp_path), heartbeat=lambda: beats.append(None)).bars()
    next(bars)
    assert len(beats) >= 2


TRADES = "ts,id,price,amount,side"


def trades_of(folder: Path, *rows: str) -> list[Trade]:
    (folder / "trades.csv").write_text("\n".join([TRADES, *rows]))
    files = Files.model_validate({"exchange": "x", "sets": [{"symbol": "A/B", "path": "trades.csv"}]})
    trades = list(StrictReader(files, FilesAccess(folder)).trades())
    assert trades == sorted(trades, key=trade_key)  # whoever sorts by the key gets the same
    return trades


T0 = 1_577_836_800_000  # 2020-01-01
UUIDS = ["f63e0639", "9e1c", "44c8", "0a1b"]  # each sorts before the one above it


def test_trades_without_counting_ids_keep_the_order_of_their_lines(tmp_path: Path) -> None:
    """BitMEX, 1 January 2020: 8531.5 came first and 8530.0 last in one millisecond."""
    prices = ["8531.5", "8530.5", "8531.0", "8530.0"]
    rows = [f"{T0},{id_},{price},1,buy" for id_, price in zip(UUIDS, prices, strict=True)]
    trades = trades_of(tmp_path, *rows, rows[1], f"{T0 + 60_000},z,1,1,buy")
    assert [t.id for t in trades] == [*UUIDS, "z"]
    bar, _ = bars_from_trades(trades, "1m")
    assert (bar.open, bar.close, bar.volume) == (8531.5, 8530.0, 4)


def test_numbers_that_do_not_count_up_keep_the_order_of_their_lines(tmp_path: Path) -> None:
    ids = ["913", "17", "405", "22"]
    times = [T0, T0, T0, T0 + 5]
    trades = trades_of(tmp_path, *(f"{ts},{id_},1,1,buy" for ts, id_ in zip(times, ids, strict=True)))
    assert [t.id for t in trades] == ids


def test_ids_that_count_up_give_the_order_of_any_lines(tmp_path: Path) -> None:
    rows = [f"{T0 + n // 4},{n},1,1,buy" for n in range(7, 14)]
    trades = trades_of(tmp_path, *random.Random(3).sample(rows, len(rows)))
    assert [(t.id, t.seq) for t in trades] == [(str(n), 0) for n in range(7, 14)]


def test_microseconds_come_before_lines(tmp_path: Path) -> None:
    rows = [
        f"2020-01-01T00:00:00.000{us:03}Z,{id_},1,1,buy" for us, id_ in zip((300, 200, 200, 100), UUIDS, strict=True)
    ]
    trades = trades_of(tmp_path, *rows)
    assert [t.id for t in trades] == [UUIDS[3], UUIDS[1], UUIDS[2], UUIDS[0]]
    assert [(t.ts, t.seq) for t in trades] == [(T0, n) for n in range(1, 5)]


def test_a_trade_after_a_block_is_numbered_after_its_last() -> None:
    """Of one millisecond: a lower id came later, so that ids do not give the order."""
    times = np.array([1_000, 2_000])
    block = ValidTrades(
        FileSeries("x", "A/B", "1m"), "a.csv", times, times, np.array([7, 8]), np.ones(2), np.ones(2), np.zeros(2, int)
    )
    later = Trade("x", "A/B", 2, "3", 1.0, 1.0, "buy")
    order = TradeOrder()
    assert [trade.seq for trade in order.trades_of(block)] == [0, 0]
    assert [trade.seq for trade in order.trades_of([SourceRow(2_500, "3", "a.csv:9", encode(later))])] == [1]
