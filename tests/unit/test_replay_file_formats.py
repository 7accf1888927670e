"""Files that a replay can play (CSV, Parquet, URLs) and those that it rejects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from endpoints import LOOPBACK
from tapedeck_common.files import FilesAccess
from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.files import Files
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.files.source import FileBarSource

MINUTE = 60_000
T0 = 1_522_800_000_000
PRICES = {"open": 2.0, "high": 4.0, "low": 1.0, "close": 3.0, "volume": 0.5}


def source(folder: Path, *paths: str, interval: str = "1m") -> FileBarSource:
    sets = [{"symbol": f"{name}/USD", "path": path} for name, path in zip("AB", paths, strict=False)]
    files = {"exchange": "x", "interval": interval, "sets": sets}
    return FileBarSource(Files.model_validate(files, by_alias=True), FilesAccess(folder), lambda: None)


def played(found: FileBarSource) -> list[tuple[Any, ...]]:
    dataset = found.resolve()
    blocks: list[BarBlock] = list(found.blocks(dataset, None))
    columns = ("ts", "series", "open", "high", "low", "close", "volume")
    return [row for b in blocks for row in zip(*(getattr(b, name).tolist() for name in columns), strict=True)]


def table(opens: list[int], **columns: Any) -> pa.Table:
    values: dict[str, Any] = {"ts": opens} | {name: [price] * len(opens) for name, price in PRICES.items()} | columns
    return pa.table(values)


def opens(n: int, step: int = MINUTE, start: int = T0) -> list[int]:
    return [start + i * step for i in range(n)]


def csv(path: Path, rows: list[tuple[Any, ...]], header: str = "ts,open,high,low,close,volume") -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def csv_bars(stamps: list[Any]) -> list[tuple[Any, ...]]:
    return [(ts, *PRICES.values()) for ts in stamps]


def test_parquet_with_any_type_of_timestamp(tmp_path: Path) -> None:
    stamps = opens(25_000)
    zoned = [datetime(2018, 4, 4, tzinfo=UTC) + timedelta(minutes=i) for i in range(25_000)]
    pq.write_table(table(stamps, close=np.linspace(1, 4, 25_000)), tmp_path / "a.parquet", row_group_size=7_000)
    kind = pa.array(zoned, pa.timestamp("us", "America/New_York"))
    pq.write_table(table(stamps, ts=kind, extra=["-"] * 25_000), tmp_path / "b.parquet")
    rows = played(source(tmp_path, "a.parquet", "b.parquet"))
    assert [row[:2] for row in rows] == [(ts, series) for ts in stamps for series in (0, 1)]
    assert [row[5] for row in rows[::2]] == np.linspace(1, 4, 25_000).tolist()
    assert {row[2:] for row in rows[1::2]} == {tuple(PRICES.values())}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ts": ["noon"]}, "ts: got 'noon', expected a time like 2018-04-25 13:30:00"),
        ({"close": ["three"]}, "close: got 'three', expected a number"),
        ({"close": [None]}, "close"),
        ({"close": [float("nan")]}, "close: got nan, expected a finite price"),
        ({"low": [float("-inf")]}, "low: got -inf, expected a finite price"),
        ({"high": [2.5]}, "expected low <= open, close <= high"),
        ({"ts": [T0 + 1]}, "expected the open of a bar of 1m"),
        ({"ts": [5_000_000_000]}, "expected s, ms, us or ns from 2000"),
        ({"interval": ["5m"]}, "interval: got '5m', expected only 1m"),
    ],
)
def test_invalid_parquet_is_rejected(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    pq.write_table(table([T0], **change), tmp_path / "a.parquet")
    with pytest.raises(InvalidReplay) as caught:
        source(tmp_path, "a.parquet").resolve()
    assert caught.value.reason == "BadFiles"
    assert message in str(caught.value)
    assert "a.parquet" in str(caught.value)


def test_a_file_without_the_prices_of_bars_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("ts,open\n")
    with pytest.raises(InvalidReplay, match=r"a\.parquet: header lacks high, low, close of bars; found ts, open"):
        source(tmp_path, "a.parquet").resolve()
    pq.write_table(pa.table({"ts": [T0]}), tmp_path / "b.parquet")
    with pytest.raises(InvalidReplay, match=r"b\.parquet: header lacks open, high, low, close of bars; found ts"):
        source(tmp_path, "b.parquet").resolve()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*csv_bars([T0]), (T0, 2, 4, 1, 2, 1)], "has other values than at a.csv:2"),
        (csv_bars(["noon"]), "ts: got 'noon', expected a time like 2018-04-25 13:30:00"),
        ([(T0, 2, 4, 1, "nan", 1)], "close: got nan"),
        ([(T0, 2, 4, 1, -3, 1)], "high/low: got low 1.0, high 4.0 around open 2.0, close -3.0"),
        (csv_bars(opens(25, 5 * MINUTE)), "a.csv: interval: got 1m, expected 5m: 24 consecutive bars"),
        (
            csv_bars(opens(500) + opens(40, 60 * MINUTE, T0 + 500 * MINUTE)),
            "a.csv: interval: got 1m, expected 1h: 24 consecutive bars",
        ),
        (csv_bars(opens(3, 20_000)), "a.csv: interval: got 1m, expected 20s: most of its bars"),
    ],
    ids=["conflict", "no offset", "nan", "negative", "coarser", "mixed", "finer"],
)
def test_invalid_csv_is_rejected(tmp_path: Path, rows: list[tuple[Any, ...]], message: str) -> None:
    csv(tmp_path / "a.csv", rows)
    with pytest.raises(InvalidReplay) as caught:
        source(tmp_path, "a.csv").resolve()
    assert caught.value.reason == "BadFiles"
    assert message in str(caught.value)


def test_an_interval_column_is_checked(tmp_path: Path) -> None:
    header = "interval,ts,open,high,low,close,volume"
    csv(tmp_path / "a.csv", [("1m", *csv_bars([T0])[0]), ("5m", *csv_bars([T0 + MINUTE])[0])], header)
    with pytest.raises(InvalidReplay, match=r"a\.csv:3: interval: got '5m', expected only 1m"):
        source(tmp_path, "a.csv").resolve()


def test_bars_may_be_missing_from_a_file(tmp_path: Path) -> None:
    gaps = [T0 + i * MINUTE for i in range(2_000) if i % 5 == 0 or i % 100 < 10]
    csv(tmp_path / "a.csv", csv_bars(gaps))
    assert [row[0] for row in played(source(tmp_path, "a.csv"))] == gaps


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs://bucket/a.csv", "with the scheme gs, expected s3"),
        ("file:///nowhere/*.csv", "with the scheme file, expected s3"),
        ("s3://../a.csv", "expected s3:// and the name of a bucket"),
    ],
)
def test_an_invalid_url_is_rejected(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(InvalidReplay, match=message.replace("*", r"\*")):
        source(tmp_path, url).resolve()


def test_an_unreachable_object_store_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "endpoint").write_text("http://127.0.0.1:9\n")  # the discard port: nothing listens
    (tmp_path / "access_key").write_text("key\n")
    (tmp_path / "secret_key").write_text("secret\n")
    (tmp_path / "region").write_text("nowhere\n")
    files = Files.model_validate(
        {"exchange": "x", "sets": [{"symbol": "A/USD", "path": "s3://bucket/a.csv"}]}, by_alias=True
    )
    with pytest.raises(Unavailable, match=r"s3://bucket/a\.csv"):
        FileBarSource(files, FilesAccess(tmp_path, tmp_path, LOOPBACK), lambda: None).resolve()
