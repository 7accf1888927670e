"""Planning a backfill: whose bars are whose, what is missing, and which holes there are. Against sets of opens."""

from __future__ import annotations

import random

import pytest

from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.report import BackfillReport
from tapedeck_feed.backfill.ranges import Holes, Page, Range, Share, holes_in, pages_of, shares_of, without
from tapedeck_feed.backfill.stats import BackfillTally

MINUTE = 60_000


def opens(start: int, end: int, step: int = MINUTE) -> set[int]:
    return set(range(start, end, step))


def runs(missing: set[int]) -> list[Range]:
    """Maximal runs of opens, the slow way."""
    starts = sorted(ts for ts in missing if ts - MINUTE not in missing)
    ends = sorted(ts + MINUTE for ts in missing if ts + MINUTE not in missing)
    return list(zip(starts, ends, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_every_bar_is_one_shards_and_stays_so(seed: int) -> None:
    rng = random.Random(seed)
    start, length = rng.randrange(10**9), rng.randrange(1, 10**8)
    wanted = (start, start + length)
    closed = wanted[1] - rng.choice((0, rng.randrange(length)))
    shards = rng.randrange(1, 9)
    symbols, intervals = ["A/X", "B/X", "C/X"], ["1m", "1h"]
    parts = [shares_of(symbols, intervals, wanted, closed, shard, shards) for shard in range(shards)]
    for symbol in symbols:
        for interval in intervals:
            step = INTERVAL_MS[interval]
            mine = [
                ts
                for part in parts
                for share in part
                if (share.symbol, share.interval) == (symbol, interval)
                for ts in opens(share.start, share.end, step)
            ]
            whole = [ts for ts in range(0, wanted[1], step) if ts >= wanted[0] and ts + step <= closed]
            assert sorted(mine) == whole
    more = shares_of(["0/X", *symbols, "Z/X"], intervals, wanted, closed, shards - 1, shards)
    assert [share for share in more if share.symbol in symbols] == parts[-1]


@pytest.mark.parametrize("seed", range(30))
def test_what_is_left_of_a_range(seed: int) -> None:
    rng = random.Random(seed)
    whole = (10 * MINUTE, 60 * MINUTE)
    parts = [
        (start * MINUTE, (start + rng.randrange(1, 9)) * MINUTE) for start in rng.choices(range(70), k=rng.randrange(8))
    ]
    left = set(opens(*whole))
    for part in parts:
        left -= opens(*part)
    assert without(whole, parts) == runs(left)


@pytest.mark.parametrize("seed", range(60))
def test_pages_cover_what_is_missing_once_newest_first_and_holes_come_whole(seed: int) -> None:
    rng = random.Random(seed)
    share = Share("A/X", "1m", 0, 200 * MINUTE)
    known = {ts for ts in opens(0, share.end) if rng.random() < 0.3 and ts % (50 * MINUTE) < 20 * MINUTE}
    missing = runs(opens(0, share.end) - known)
    exists = {ts for ts in opens(0, share.end) if rng.random() < rng.choice((0.2, 0.9)) or ts in known}
    pages = list(pages_of([(share, missing)], rng.randrange(1, 30)))
    asked = [ts for page in pages for ts in sorted(opens(page.start, page.end), reverse=True)]
    assert asked == sorted(opens(0, share.end) - known, reverse=True)
    found: list[Range] = []
    holes = {number: Holes(*each) for number, each in enumerate(missing)}
    for page in pages:
        here = holes_in(page, exists & opens(page.start, page.end))
        found += holes[page.number].add(page, here)
    assert sorted(found) == [run for each in missing for run in runs(opens(*each) - exists)]
    for number, (start, end) in enumerate(missing):
        mine = [hole for hole in found if start <= hole[0] < end]
        assert holes[number].lowest == min((hole[0] for hole in mine), default=end)


def test_a_hole_ends_where_a_page_did_not_come() -> None:
    share = Share("A/X", "1m", 0, 30 * MINUTE)
    upper, _, lower = pages_of([(share, [(0, 30 * MINUTE)])], 10)
    holes = Holes(0, 30 * MINUTE)
    assert list(holes.add(upper, [(20 * MINUTE, 25 * MINUTE)])) == []
    assert list(holes.cut()) == [(20 * MINUTE, 25 * MINUTE)]
    assert list(holes.add(lower, [(5 * MINUTE, 10 * MINUTE)])) == [(5 * MINUTE, 10 * MINUTE)]


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what was asked for since the pod was started; what the store had does not count."""
    now = 100.0
    monkeypatch.setattr("tapedeck_feed.backfill.stats.time.monotonic", lambda: now)
    tally = BackfillTally()
    assert (tally.rate, report_of(tally).eta_seconds) == (0.0, None)
    tally.begin(1_000, 200)
    assert report_of(tally).eta_seconds is None
    now, tally.done, tally.sent.bars = 110.0, 600, 300
    assert (report_of(tally).rate, report_of(tally).eta_seconds) == (30.0, 10)
    tally.done = 1_000
    assert report_of(tally).eta_seconds == 0


def report_of(tally: BackfillTally) -> BackfillReport:
    told = tally.report("running", "", "").backfill
    assert told is not None
    return told


def test_pages_of_several_series_come_by_time() -> None:
    slow, fast = Share("A/X", "1h", 0, 20 * 60 * MINUTE), Share("B/X", "1m", 0, 1200 * MINUTE)
    pages = list(pages_of([(slow, [(0, slow.end)]), (fast, [(0, fast.end)])], 10))
    assert [page.end for page in pages] == sorted((page.end for page in pages), reverse=True)
    assert pages[0] == Page(slow, 0, 10 * 60 * MINUTE, slow.end)
