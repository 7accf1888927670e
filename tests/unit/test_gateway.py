"""The gateway's units without services: symbols, aggregation, origins."""

from __future__ import annotations

import random

import msgspec
import pandas as pd
import pytest

from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.access.hosts import Hosts, host_name, is_origin_allowed
from tapedeck_gateway.charts.bar_columns import EVICT_BARS, BarColumns, Candle, aggregate, filled
from tapedeck_gateway.charts.resolutions import (
    CHART_RESOLUTIONS,
    base_for,
    bases_for,
    resolution_length,
    resolutions_of,
)

MINUTE = 60_000
T0 = 1_522_800_000_000


def candles(count: int, seed: int = 1, gaps: float = 0.2) -> list[Candle]:
    rng = random.Random(seed)
    made = []
    for i in range(count):
        if rng.random() >= gaps:
            o, c = rng.uniform(90, 110), rng.uniform(90, 110)
            made.append(
                Candle(T0 + i * MINUTE, o, max(o, c) + rng.random(), min(o, c) - rng.random(), c, rng.uniform(0, 9))
            )
    return made


def test_resolutions() -> None:
    assert [resolution_length(r).interval for r in ("S", "15S", "1", "240", "1D", "D", "W", "M")] == [
        "1s", "15s", "1m", "4h", "1d", "1d", "1w", "1M"
    ]  # fmt: skip
    names = {name: length.interval for name, length in CHART_RESOLUTIONS.items()}
    assert names == {
        "1S": "1s", "5S": "5s", "15S": "15s", "30S": "30s",
        "1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "45": "45m", "60": "1h", "120": "2h",
        "240": "4h", "360": "6h",
        "480": "8h", "720": "12h", "1D": "1d", "3D": "3d", "1W": "1w", "1M": "1M",
    }  # fmt: skip
    assert resolutions_of(BAR_LENGTHS["8h"]) == ["480", "1D", "3D", "1W", "1M"]
    assert resolutions_of(BAR_LENGTHS["3d"]) == ["3D"]
    for invalid in ("2", "", "2W", "-5", "5m", "1m"):
        with pytest.raises(ValueError, match="resolution: got"):
            resolution_length(invalid)


def test_coarser_bars_are_made_of_the_longest_that_fit_of_a_minute_or_longer() -> None:
    def bases(stored: list[str], resolution: str) -> list[str]:
        return [base.interval for base in bases_for(stored, resolution_length(resolution))]

    stored = ["1s", "5m", "1m", "1h"]
    assert [bases(stored, each) for each in ("1S", "30S", "1", "45", "60", "1M")] == [
        ["1s"], ["1s"], ["1m"], ["5m", "1m"], ["1h", "5m", "1m"], ["1h", "5m", "1m"]
    ]  # fmt: skip
    assert [bases(["1d"], each) for each in ("1S", "60", "1D", "1W")] == [[], [], ["1d"], ["1d"]]
    assert [bases(["1s"], each) for each in ("5", "1D")] == [["1s"], ["1s"]]
    assert bases(["15m", "1h"], "45") == ["15m"]
    assert bases([], "1") == []
    assert base_for(stored) == BAR_LENGTHS["1m"]  # the shortest of them
    assert base_for([]) is None


def test_a_series_is_filled_with_what_finer_bars_make_and_ends_in_their_running_one() -> None:
    length = BarLength("10ms", 10)

    def bars(closes: dict[int, float], running: int = -1) -> list[Candle]:
        return [Candle(ts, 1.0, 9.0, 0.5, close, 2.0, ts != running) for ts, close in closes.items()]

    own, finer = bars({10: 1.0, 30: 3.0, 50: 5.0}, running=50), bars({20: 2.5, 30: 3.5, 50: 5.5}, running=50)
    assert [(bar.ts, bar.close, bar.closed) for bar in filled(own, finer, length)] == [
        (10, 1.0, True), (20, 2.5, True), (30, 3.0, True), (50, 5.5, False)
    ]  # fmt: skip
    assert filled(own, [], length) == own
    assert filled([], finer, length) == finer
    assert filled(bars({50: 5.0}), bars({50: 5.5}, running=50), length) == bars({50: 5.0})
    between = bars({15: 1.0, 25: 2.0})  # from 15 to 35
    assert filled(between, bars({0: 7.0, 10: 7.0, 20: 7.0, 30: 7.0, 40: 7.0}), length) == [
        *bars({0: 7.0}), *between, *bars({40: 7.0})
    ]  # fmt: skip


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 240, 1440])
def test_aggregated_bars_equal_pandas(minutes: int) -> None:
    length = next(each for each in BAR_LENGTHS.values() if each.ms == minutes * MINUTE)
    finer = candles(3_000)
    closed_until = T0 + 2_905 * MINUTE
    frame = pd.DataFrame([msgspec.structs.asdict(c) for c in finer]).set_index("ts")
    frame.index = pd.to_datetime(frame.index, unit="ms")
    expected = (
        frame.resample(f"{minutes}min", origin="epoch")
        .agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
        .dropna()
    )
    found = aggregate(finer, length, closed_until)
    assert [pd.Timestamp(c.ts, unit="ms") for c in found] == list(expected.index)
    for name in ("open", "high", "low", "close", "volume"):
        assert [getattr(c, name) for c in found] == pytest.approx(expected[name].tolist())
    assert [c.closed for c in found] == [c.ts + minutes * MINUTE <= closed_until for c in found]


def test_bar_columns_keep_the_latest_bars_and_accept_corrections() -> None:
    series = BarColumns(limit=100)
    for c in (bars := candles(3_000, gaps=0.0)):
        series.upsert(c.ts, (c.open, c.high, c.low, c.close, c.volume))
    assert 100 <= len(series) <= 100 + EVICT_BARS
    assert list(series.between(0, T0 * 2)) == bars[-len(series) :]
    series.upsert(bars[-2].ts, (1, 1, 1, 1, 1))
    series.upsert(bars[-1].ts + 2 * MINUTE, (3, 3, 3, 3, 3))
    series.upsert(bars[-1].ts + MINUTE, (2, 2, 2, 2, 2))
    assert [c.open for c in series.between(bars[-2].ts, T0 * 2)] == [1, bars[-1].open, 2, 3]
    series.truncate(bars[-1].ts)
    assert [c.open for c in series.between(bars[-2].ts, T0 * 2)] == [1]


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "expected"),
    [
        ("http://deck", "deck", [], True),
        ("https://deck:8443", "DECK:8443", [], True),
        ("http://localhost:5173", "localhost:5173", [], True),
        ("http://localhost:5173", "127.0.0.1:8000", [], False),
        ("http://localhost:5173", "127.0.0.1:8000", ["http://localhost:5173"], True),
        ("http://localhost:5174", "127.0.0.1:8000", ["http://localhost:5173"], False),
        ("http://evil.example", "127.0.0.1:8000", [], False),
        ("http://127.0.0.1.evil.example", "127.0.0.1:8000", [], False),
        ("http://user@127.0.0.1:8000", "127.0.0.1:8000", [], False),
        ("null", "127.0.0.1:8000", [], False),
        ("", "", [], False),
        ("http://[", "127.0.0.1:8000", [], False),
        ("file://deck", "deck", [], False),
        ("http://evil.example", "deck", ["http://evil.example"], True),
    ],
)
def test_origins(origin: str, host: str, allowed: list[str], expected: bool) -> None:
    assert is_origin_allowed(origin, host, allowed) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:8750", True),
        ("127.0.0.1:1", True),
        ("127.8.9.1", True),
        ("[::1]:8750", True),
        ("10.1.2.3:8080", True),  # the address that the client connected to
        ("10.1.2.4", False),
        ("deck.example", True),
        ("a.b.wild.example:443", True),
        ("wild.example", False),
        ("evil-wild.example", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.nip.io", False),
        ("localhost.", False),
        ("localhost:8750:1", False),
        ("localhost@evil.example", False),
        ("localhost, evil.example", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("", False),
        ("a" * 300, False),
        ("localh\u00f6st", False),
    ],
)
def test_hosts(header: str, expected: bool) -> None:
    hosts, name = Hosts(["deck.example", "*.wild.example"]), host_name(header)
    assert (name is not None and hosts.allow(name, "10.1.2.3")) is expected
