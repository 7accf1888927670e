"""Bars of days, weeks and months as pandas writes them: each opens at midnight UTC of the date that it is of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from file_rows import bar_rows, trade_rows
from tapedeck_common.files import (
    FilesAccess,
    InvalidFiles,
    InvalidRow,
    StrictReader,
    find_files,
)
from tapedeck_common.market import Bar
from tapedeck_crds.files import Files
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.session import Session

PRICES = ("open", "high", "low", "close", "volume")
HEADER = f"ts,{','.join(PRICES)}"
NEW_YORK = Session(timezone="America/New_York", open="09:30", close="16:00", days=["Mon", "Tue", "Wed", "Thu", "Fri"])
GLOBEX = Session(timezone="America/New_York", open="18:00", close="17:00", days=["Mon", "Tue", "Wed", "Thu", "Fri"])
EXAMPLE = Path(__file__).parents[2] / "examples" / "more" / "stock.yaml"
WEEKDAYS = pd.bdate_range("2023-01-02", "2023-12-29")  # over both changes of the clock


def files(path: str, interval: str = "1d") -> Files:
    sets = [{"symbol": "SPY", "path": path}]
    return Files.model_validate({"exchange": "nyse", "interval": interval, "sets": sets})


def read(folder: Path, chosen: Files, session: Session | None = None) -> tuple[list[Bar], list[InvalidRow]]:
    bad: list[InvalidRow] = []
    rows = bar_rows(chosen, find_files(chosen, FilesAccess(folder))["SPY"], bad.append, session)
    return [row.record for row in rows], bad


def dates_of(bars: list[Bar]) -> list[date]:
    """The dates that the bars are of. Each must open at midnight UTC."""
    opens = [datetime.fromtimestamp(bar.ts / 1_000, UTC) for bar in bars]
    assert {opened.time().isoformat() for opened in opens} <= {"00:00:00"}
    return [opened.date() for opened in opens]


def write_frame(folder: Path, name: str, index: pd.DatetimeIndex) -> Files:
    frame = pd.DataFrame({column: [1.0] * len(index) for column in PRICES}, index=index.rename("ts"))
    if name.endswith("parquet"):
        frame.to_parquet(folder / name)
    else:
        frame.to_csv(folder / name)
    return files(name)


def write_rows(folder: Path, *times: str) -> None:
    (folder / "a.csv").write_text("\n".join([HEADER, *(f"{ts},1,2,1,2,5" for ts in times)]))


FRAMES: dict[str, tuple[pd.DatetimeIndex, Session | None]] = {
    "midnight of New York": (WEEKDAYS.tz_localize("America/New_York"), None),
    "midnight of New York, with a session": (WEEKDAYS.tz_localize("America/New_York"), NEW_YORK),
    "the open of New York": ((WEEKDAYS + pd.Timedelta("9h30min")).tz_localize("America/New_York"), NEW_YORK),
    "the open of New York, without a session": (
        (WEEKDAYS + pd.Timedelta("9h30min")).tz_localize("America/New_York"),
        None,
    ),
    "midnight of New York, in UTC": (WEEKDAYS.tz_localize("America/New_York").tz_convert("UTC"), NEW_YORK),
    "midnight of London": (WEEKDAYS.tz_localize("Europe/London"), None),
    "midnight of Tokyo": (WEEKDAYS.tz_localize("Asia/Tokyo"), None),
    "midnight of Tokyo, with a session": (WEEKDAYS.tz_localize("Asia/Tokyo"), Session(timezone="Asia/Tokyo")),
    "a future's midnights": (WEEKDAYS.tz_localize("America/New_York"), GLOBEX),
    "a future's opens on the evening before": (
        (WEEKDAYS - pd.Timedelta("6h")).tz_localize("America/New_York"),
        GLOBEX,
    ),
    "midnight UTC": (WEEKDAYS.tz_localize("UTC"), None),
    "midnight UTC, with a session": (WEEKDAYS.tz_localize("UTC"), NEW_YORK),
    "dates": (WEEKDAYS, None),
    "dates, with a session": (WEEKDAYS, NEW_YORK),
}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize(("index", "session"), FRAMES.values(), ids=FRAMES)
def test_a_daily_bar_is_of_its_date(
    tmp_path: Path, name: str, index: pd.DatetimeIndex, session: Session | None
) -> None:
    chosen = write_frame(tmp_path, name, index)
    bars, bad = read(tmp_path, chosen, session)
    assert (dates_of(bars), bad) == ([day.date() for day in WEEKDAYS], [])


def test_the_example_of_a_stock_has_a_bar_of_each_weekday(tmp_path: Path) -> None:
    config_map, document, backtest = yaml.safe_load_all(EXAMPLE.read_text())
    (tmp_path / "acme.csv").write_text(config_map["data"]["acme.csv"])
    feed = parse_resource(document)
    assert isinstance(feed, Feed) and feed.spec.source is not None and feed.spec.source.files is not None
    bad: list[InvalidRow] = []
    files = feed.spec.source.files
    rows = bar_rows(files, find_files(files, FilesAccess(tmp_path))["ACME"], bad.append, feed.spec.session)
    wanted = [day.date() for day in pd.bdate_range("2024-10-14", "2024-11-22")]  # over the end of summer time
    assert (dates_of([row.record for row in rows]), bad) == (wanted, [])
    assert backtest["spec"]["data"]["session"] == document["spec"]["session"]


def test_a_replay_reads_the_same_dates(tmp_path: Path) -> None:
    chosen = write_frame(tmp_path, "a.csv", WEEKDAYS.tz_localize("America/New_York"))
    assert dates_of(list(StrictReader(chosen, FilesAccess(tmp_path)).bars())) == [day.date() for day in WEEKDAYS]


@pytest.mark.parametrize(("interval", "frequency"), [("1w", "W-MON"), ("1M", "MS")])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_weeks_and_months_too(tmp_path: Path, name: str, interval: str, frequency: str) -> None:
    wanted = pd.date_range("2023-01-01", "2024-03-01", freq=frequency)
    write_frame(tmp_path, name, wanted.tz_localize("America/New_York"))
    bars, bad = read(tmp_path, files(name, interval))
    assert (dates_of(bars), bad) == ([day.date() for day in wanted], [])


def test_columns_of_dates(tmp_path: Path) -> None:
    days = pa.array([day.date() for day in WEEKDAYS])
    columns = {column: pa.array([1.0] * len(WEEKDAYS)) for column in PRICES}
    pq.write_table(pa.table({"ts": days} | columns), tmp_path / "a.parquet")
    bars, bad = read(tmp_path, files("a.parquet"))
    assert (dates_of(bars), bad) == ([day.date() for day in WEEKDAYS], [])


def test_a_time_in_utc_that_is_no_date_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_rows(tmp_path, "2023-01-02T23:00:00Z")  # midnight of Berlin: its date is 3 January
    bars, bad = read(tmp_path, files("a.csv"))
    assert bars == []
    assert bad[0].reason == (
        "ts: got 2023-01-02T23:00:00Z, which is the open of no day in UTC, expected the date of a bar of 1d; write it "
        "alone or with the market's offset, or set session in a Feed"
    )
    berlin = Session(timezone="Europe/Berlin", open="09:00", close="17:30")
    assert dates_of(read(tmp_path, files("a.csv"), berlin)[0]) == [date(2023, 1, 3)]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("zone", ["America/New_York", "UTC", None])
def test_hours_in_a_feed_of_days_are_refused_as_a_whole(tmp_path: Path, name: str, zone: str | None) -> None:
    hours = pd.date_range("2023-01-02", periods=100, freq="h")
    chosen = write_frame(tmp_path, name, hours if zone is None else hours.tz_localize(zone))
    with pytest.raises(InvalidFiles, match="interval: got 1d, expected 1h: most of its bars are 1h apart"):
        read(tmp_path, chosen)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_time_without_an_offset_is_in_utc(tmp_path: Path, name: str) -> None:
    minutes = pd.date_range("2023-01-02 14:30", periods=3, freq="min")
    write_frame(tmp_path, name, minutes)
    wanted = [1_672_669_800_000, 1_672_669_860_000, 1_672_669_920_000]
    chosen = files(name, "1m")
    for session in (None, Session()):
        bars, bad = read(tmp_path, chosen, session)
        assert ([bar.ts for bar in bars], bad) == (wanted, [])
    bars, bad = read(tmp_path, chosen, NEW_YORK)  # which the file may mean as well
    assert bars == []
    assert bad[0].reason.endswith(
        "a time without an offset, which may be UTC or America/New_York (session.timezone); expected one with its "
        "offset, or time.zone"
    )


@pytest.mark.parametrize(
    "text", ["2023-01-02 14:30:00+00:00", "2023-01-02T09:30:00.000000-0500", "2023-01-02 09:30:00.000-05:00"]
)
def test_times_as_pandas_and_polars_write_them(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path, text)
    bars, bad = read(tmp_path, files("a.csv", "1m"), NEW_YORK)
    assert ([bar.ts for bar in bars], bad) == ([1_672_669_800_000], [])


def test_trades_without_an_offset_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("ts,id,price,amount,side\n2023-01-02 14:30:00.250,1,1,1,buy")
    sets = [{"symbol": "SPY", "path": "a"}]
    chosen = Files.model_validate({"exchange": "nyse", "sets": sets})
    bad: list[InvalidRow] = []
    sources = find_files(chosen, FilesAccess(tmp_path))["SPY"]
    assert [row.record.ts for row in trade_rows(chosen, sources, bad.append)] == [1_672_669_800_250]
    assert list(trade_rows(chosen, sources, bad.append, NEW_YORK)) == [] and len(bad) == 1


def test_a_bar_off_the_grid_is_named_by_its_time(tmp_path: Path) -> None:
    write_rows(tmp_path, "2023-01-02T14:30:15Z")
    bad = read(tmp_path, files("a.csv", "1m"))[1]
    expected = "expected the open of a bar of 1m, such as 2023-01-02T14:30:00Z"
    assert bad[0].reason == f"ts: got 2023-01-02T14:30:15Z, {expected}"
