"""Planning a backfill: slices of shards, missing ranges, pages and gaps, against sets of open times."""

from __future__ import annotations

import random

import pytest

from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.report import BackfillReport
from tapedeck_feed.backfill.ranges import (
    GapTracker,
    PageRequest,
    Range,
    SeriesSlice,
    gaps_in,
    page_requests,
    slices_of_shard,
    subtract,
)
from tapedeck_feed.backfill.stats import BackfillStats

MINUTE = 60_000


def opens(start: int, end: int, step: int = MINUTE) -> set[int]:
    return set(range(start, end, step))


def ranges_of(missing: set[int]) -> list[Range]:
    """Maximal ranges of open times, one by one."""
    starts = sorted(ts for ts in missing if ts - MINUTE not in missing)
    ends = sorted(ts + MINUTE for ts in missing if ts + MINUTE not in missing)
    return list(zip(starts, ends, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_every_bar_belongs_to_one_shard_for_good(seed: int) -> None:
    rng = random.Random(seed)
    start, length = rng.randrange(10**9), rng.randrange(1, 10**8)
    whole_range = (start, start + length)
    closed = whole_range[1] - rng.choice((0, rng.randrange(length)))
    shards = rng.randrange(1, 9)
    symbols, intervals = ["A/X", "B/X", "C/X"], ["1m", "1h"]
    parts = [slices_of_shard(symbols, intervals, whole_range, closed, shard, shards) for shard in range(shards)]
    for symbol in symbols:
        for interval in intervals:
            step = BAR_LENGTHS[interval].ms
            mine = [
                ts
                for part in parts
                for each in part
                if (each.symbol, each.interval) == (symbol, interval)
                for ts in opens(each.start, each.end, step)
            ]
            whole = [ts for ts in range(0, whole_range[1], step) if ts >= whole_range[0] and ts + step <= closed]
            assert sorted(mine) == whole
    more = slices_of_shard(["0/X", *symbols, "Z/X"], intervals, whole_range, closed, shards - 1, shards)
    assert [each for each in more if each.symbol in symbols] == parts[-1]


@pytest.mark.parametrize("seed", range(30))
def test_what_remains_of_a_range(seed: int) -> None:
    rng = random.Random(seed)
    whole = (10 * MINUTE, 60 * MINUTE)
    parts = [
        (start * MINUTE, (start + rng.randrange(1, 9)) * MINUTE) for start in rng.choices(range(70), k=rng.randrange(8))
    ]
    left = set(opens(*whole))
    for part in parts:
        left -= opens(*part)
    assert subtract(whole, parts) == ranges_of(left)


@pytest.mark.parametrize("seed", range(60))
def test_pages_cover_what_is_missing_once_newest_first_and_gaps_are_reported_whole(seed: int) -> None:
    rng = random.Random(seed)
    series_slice = SeriesSlice("A/X", "1m", 0, 200 * MINUTE)
    stored = {ts for ts in opens(0, series_slice.end) if rng.random() < 0.3 and ts % (50 * MINUTE) < 20 * MINUTE}
    missing = ranges_of(opens(0, series_slice.end) - stored)
    exists = {ts for ts in opens(0, series_slice.end) if rng.random() < rng.choice((0.2, 0.9)) or ts in stored}
    pages = list(page_requests([(series_slice, missing)], rng.randrange(1, 30)))
    requested = [ts for page in pages for ts in sorted(opens(page.start, page.end), reverse=True)]
    assert requested == sorted(opens(0, series_slice.end) - stored, reverse=True)
    found: list[Range] = []
    trackers = {number: GapTracker(*each) for number, each in enumerate(missing)}
    for page in pages:
        here = gaps_in(page, exists & opens(page.start, page.end))
        found += trackers[page.range_index].add_page(page, here)
    assert sorted(found) == [run for each in missing for run in ranges_of(opens(*each) - exists)]
    for number, (start, end) in enumerate(missing):
        mine = [gap for gap in found if start <= gap[0] < end]
        assert trackers[number].lowest == min((gap[0] for gap in mine), default=end)


def test_a_gap_ends_at_a_page_that_failed() -> None:
    series_slice = SeriesSlice("A/X", "1m", 0, 30 * MINUTE)
    upper, _, lower = page_requests([(series_slice, [(0, 30 * MINUTE)])], 10)
    tracker = GapTracker(0, 30 * MINUTE)
    assert list(tracker.add_page(upper, [(20 * MINUTE, 25 * MINUTE)])) == []
    assert list(tracker.finish_gap()) == [(20 * MINUTE, 25 * MINUTE)]
    assert list(tracker.add_page(lower, [(5 * MINUTE, 10 * MINUTE)])) == [(5 * MINUTE, 10 * MINUTE)]


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what was requested since the pod's start; stored bars do not count."""
    now = 100.0
    monkeypatch.setattr("tapedeck_feed.backfill.stats.time.monotonic", lambda: now)
    stats = BackfillStats()
    assert (stats.rate, report_of(stats).eta_seconds) == (0.0, None)
    stats.begin(1_000, 200)
    assert report_of(stats).eta_seconds is None
    now, stats.done, stats.published.bars = 110.0, 600, 300
    assert (report_of(stats).rate, report_of(stats).eta_seconds) == (30.0, 10)
    stats.done = 1_000
    assert report_of(stats).eta_seconds == 0


def report_of(stats: BackfillStats) -> BackfillReport:
    report = stats.report("running", "", "").backfill
    assert report is not None
    return report


def test_pages_of_several_series_are_in_order_of_time() -> None:
    slow, fast = SeriesSlice("A/X", "1h", 0, 20 * 60 * MINUTE), SeriesSlice("B/X", "1m", 0, 1200 * MINUTE)
    pages = list(page_requests([(slow, [(0, slow.end)]), (fast, [(0, fast.end)])], 10))
    assert [page.end for page in pages] == sorted((page.end for page in pages), reverse=True)
    assert pages[0] == PageRequest(slow, 0, 10 * 60 * MINUTE, slow.end)
