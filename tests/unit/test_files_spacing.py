"""Bars of another interval than declared: refused as a whole, by Feed and Replay with the same words."""

from __future__ import annotations

import random
from pathlib import Path
from threading import Event

import pytest

from file_rows import bar_rows
from tapedeck_common.files import FilesAccess, InvalidFiles, InvalidRow, find_files
from tapedeck_common.settings import Connections
from tapedeck_crds.files import Files
from tapedeck_feed.from_files.importer import FileImporter
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.files.source import FileBarSource

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_704_067_200_000  # 2024-01-01


def files(interval: str, path: str = "*.csv") -> Files:
    sets = [{"symbol": "A/B", "path": path}]
    return Files.model_validate({"exchange": "x", "interval": interval, "sets": sets})


def write(folder: Path, times: list[int], name: str = "a.csv") -> None:
    lines = [f"{ts},1,2,1,2,5" for ts in times]
    (folder / name).write_text("\n".join(["ts,open,high,low,close,volume", *lines]))


def feeds_error(folder: Path, chosen: Files) -> str:
    """What a Feed says; it must not come as far as a broker, because there is none."""
    stats = ImportStats()
    publisher = MarketDataPublisher(Connections(kafka_bootstrap="127.0.0.1:1"), "test", Event(), timeout=1.0)
    with pytest.raises(InvalidFiles) as caught:
        FileImporter("feed", chosen, FilesAccess(folder), publisher, stats, Event()).run()
    publisher.abort()
    return str(caught.value)


def replays_error(folder: Path, chosen: Files) -> str:
    with pytest.raises(InvalidReplay) as caught:
        FileBarSource(chosen, FilesAccess(folder), lambda: None).resolve()
    assert caught.value.reason == "BadFiles"
    return str(caught.value)


OTHER_INTERVALS = {
    "days as minutes": ("1m", [START + n * DAY for n in range(40)], "1d"),
    "three days": ("1m", [START + n * DAY for n in range(3)], "1d"),
    "days but weekends": ("1m", [START + n * DAY for n in range(40) if n % 7 < 5], "1d"),
    "days, newest first": ("1m", [START + n * DAY for n in range(40)][::-1], "1d"),
    "days in any order": ("1m", random.Random(1).sample([START + n * DAY for n in range(40)], 40), "1d"),
    "days of New York": ("1m", [START + n * DAY + (4 + (n < 70)) * HOUR for n in range(140)], "1d"),
    "ten minutes": ("1m", [START + n * 10 * MINUTE for n in range(9)], "10m"),
    "minutes as hours": ("1h", [START + n * MINUTE for n in range(150)], "1m"),
    "two minutes as hours": ("1h", [START, START + MINUTE], "1m"),
    "hours as days": ("1d", [START + n * HOUR for n in range(9)], "1h"),
    "minutes with holes as hours": ("1h", [START + n * MINUTE for n in range(150) if n % 7], "1m"),
    "minutes, then hours": ("1m", [START + n * (MINUTE if n < 500 else HOUR) for n in range(540)], "1h"),
}


@pytest.mark.parametrize(("interval", "times", "found"), OTHER_INTERVALS.values(), ids=OTHER_INTERVALS)
def test_bars_of_another_interval_are_refused_as_a_whole(
    tmp_path: Path, interval: str, times: list[int], found: str
) -> None:
    write(tmp_path, times)
    said = feeds_error(tmp_path, files(interval))
    assert said.startswith(f"a.csv: interval: got {interval}, expected {found}: ")
    assert replays_error(tmp_path, files(interval)) == said


def test_files_of_one_bar_each_are_looked_at_together(tmp_path: Path) -> None:
    for n in range(9):
        write(tmp_path, [START + n * DAY], f"{n}.csv")
    said = feeds_error(tmp_path, files("1m"))
    assert said.startswith("9 files: interval: got 1m, expected 1d: ")
    assert replays_error(tmp_path, files("1m")) == said


def test_one_file_among_others_is_named(tmp_path: Path) -> None:
    write(tmp_path, [START + n * MINUTE for n in range(2_000)], "a.csv")
    write(tmp_path, [START + n * DAY for n in range(2, 9)], "b.csv")
    assert feeds_error(tmp_path, files("1m")).startswith("b.csv: interval: got 1m, expected 1d: ")


QUIET = random.Random(7)
RIGHT = {
    "one bar": ("1m", [START]),
    "two days without a trade between": ("1m", [START, START + DAY]),
    "years without a trade between": ("1m", [START, START + 900 * DAY]),
    "quiet minutes": ("1m", sorted(QUIET.sample(range(START, START + 30 * DAY, MINUTE), 300))),
    "five quiet minutes on a grid": ("1m", [START + n * 5 * MINUTE for n in range(5)]),
    "sessions": ("1m", [START + day * DAY + n * MINUTE for day in range(9) for n in range(870, 1260)]),
    "days but weekends": ("1d", [START + n * DAY for n in range(90) if n % 7 < 5]),
    "one wrong time": ("1h", [START + n * HOUR + (n == 4) * MINUTE for n in range(9)]),
    "repeated rows": ("1h", [START + n // 2 * HOUR for n in range(20)]),
}


@pytest.mark.parametrize(("interval", "times"), RIGHT.values(), ids=RIGHT)
def test_holes_and_single_wrong_times_are_no_reason(tmp_path: Path, interval: str, times: list[int]) -> None:
    write(tmp_path, times)
    invalid: list[InvalidRow] = []
    chosen = files(interval)
    rows = list(bar_rows(chosen, find_files(chosen, FilesAccess(tmp_path))["A/B"], invalid.append))
    assert len(rows) + len(invalid) == len(times)
    assert len(invalid) == (interval == "1h" and len(times) == 9)
