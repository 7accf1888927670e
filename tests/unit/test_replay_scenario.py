"""Scenarios: the effect of each change compared with its definition, and the same result from any position."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.scenario import Scenario, ScenarioChange
from tapedeck_crds.source import Synthetic
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.playback.chunks import encode_chunks
from tapedeck_replay.scenario.random_numbers import name_hashes, uniforms
from tapedeck_replay.scenario.source import ScenarioSource
from tapedeck_replay.source.dataset import Dataset, ScheduledBars, StartAfter
from tapedeck_replay.source.synthetic.source import SyntheticSource

START = time_ms("2024-01-01T00:00:00Z")
HOUR, DAY = 3_600_000, 86_400_000
SIGMAS = 5.0


def market(bars: int = 4_000, symbols: tuple[str, ...] = ("A/B", "B/B"), seed: int = 1) -> SyntheticSource:
    spec = {"symbols": [{"symbol": each} for each in symbols], "bars": bars, "interval": "1h", "seed": seed}
    return SyntheticSource(Synthetic.model_validate(spec, by_alias=True, by_name=False))


class RechunkedSource:
    """A source with blocks of another length: no result may depend on the boundaries of blocks."""

    def __init__(self, source: SyntheticSource, rows: int) -> None:
        self._source, self._rows = source, rows
        self.resolve, self.resume, self.count = source.resolve, source.resume, source.count

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        for block in self._source.blocks(dataset, after):
            for begin in range(0, len(block), self._rows):
                yield BarBlock(*(column[begin : begin + self._rows] for column in vars(block).values()))


class ShiftedSource(RechunkedSource):
    """The synthetic market with all prices lower by a constant, so that some are below zero."""

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        for block in super().blocks(dataset, after):
            prices = {name: getattr(block, name) - 100 for name in ("open", "high", "low", "close")}
            yield replace(block, **prices)


def changes(*items: dict[str, Any]) -> list[ScenarioChange]:
    return TypeAdapter(Scenario).validate_python(list(items), by_alias=True, by_name=False)


def joined(blocks: Iterator[BarBlock]) -> Any:
    parts = list(blocks)
    kind = type(parts[0])
    return kind(*(np.concatenate(column) for column in zip(*(vars(p).values() for p in parts), strict=True)))


def altered(*items: dict[str, Any], bars: int = 4_000) -> tuple[Any, Any]:
    """The unchanged and the changed market."""
    source = market(bars)
    changed = ScenarioSource(source, changes(*items))
    return joined(source.blocks(source.resolve(), None)), joined(changed.blocks(changed.resolve(), None))


def at(hours: int) -> str:
    return format_ms(START + hours * HOUR)


def returns(block: Any, series: int = 0) -> Any:
    return np.diff(np.log(block.close[block.series == series]))


def check(actual: float, expected: float, error: float) -> None:
    """The statistic is within SIGMAS standard errors of its expectation."""
    distance = abs(actual - expected)
    assert distance <= SIGMAS * error, f"{actual} is {distance / error:.1f} standard errors from {expected}"


def test_volatility_scales_the_returns_in_the_window_only() -> None:
    before, after = altered({"volatility": {"factor": 3}, "from": at(1_000), "to": at(2_000), "symbols": ["B/B"]})
    assert np.array_equal(after.close[after.series == 0], before.close[before.series == 0])
    old, new = returns(before, 1), returns(after, 1)
    assert np.allclose(new[1_000:1_999], 3 * old[1_000:1_999], atol=1e-9)
    assert np.allclose(new[:999], old[:999], atol=1e-12)
    assert np.allclose(new[2_000:], old[2_000:], atol=1e-9)
    variance = (3 * 0.6) ** 2 / (365 * 24)  # of the market's own volatility, 0.6
    check(new[1_000:1_999].var(), variance, variance * math.sqrt(2 / 999))


def test_a_shock_has_its_size_duration_and_recovery() -> None:
    shock = {"percent": -20, "duration": 2 * 3600, "recovery": 10 * 3600, "recovered": 50}
    before, after = altered({"shock": shock, "from": at(100)})
    mine = before.series == 0
    ratio = (after.close / before.close)[mine]  # at the end of each hour
    assert np.allclose(ratio[:100], 1, atol=1e-12)
    assert ratio[100] == pytest.approx(math.sqrt(0.8))
    assert ratio[101] == pytest.approx(0.8)
    assert ratio[106] == pytest.approx(0.8**0.75)
    assert np.allclose(ratio[111:], math.sqrt(0.8))


def test_an_instant_shock_is_inside_the_bar_that_opens_at_its_start() -> None:
    before, after = altered({"shock": {"percent": 50}, "from": at(100)})
    mine = before.series == 0
    opens, closes = (after.open / before.open)[mine], (after.close / before.close)[mine]
    assert (opens[100], closes[99]) == (1, 1)
    assert np.allclose(closes[100:], 1.5)
    assert np.allclose(opens[101:], 1.5)
    assert np.allclose((after.high / before.high)[mine][100], 1.5)
    assert np.allclose((after.low / before.low)[mine][100], 1)


def test_the_low_of_a_short_shock_is_the_low_of_its_bar() -> None:
    shock = {"percent": -50, "duration": 60, "recovery": 60}
    before, after = altered({"shock": shock, "from": at(100)})
    row = int(np.flatnonzero((before.ts == START + 100 * HOUR) & (before.series == 0))[0])
    assert after.low[row] == pytest.approx(before.low[row] / 2)
    assert after.close[row] == pytest.approx(before.close[row])


def test_a_trend_grows_daily_and_keeps_its_level() -> None:
    before, after = altered({"trend": {"percentPerDay": 10}, "from": at(240), "to": at(480)})
    ratio = (after.close / before.close)[before.series == 1]
    assert ratio[239] == pytest.approx(1)
    assert ratio[263] == pytest.approx(1.1)
    assert ratio[479] == pytest.approx(1.1**10)
    assert np.allclose(ratio[479:], 1.1**10)


def test_spread_scales_only_shadows() -> None:
    before, after = altered({"spread": {"factor": 2.5}, "to": at(2_000)})
    inside = before.ts < START + 2_000 * HOUR
    for name in ("open", "close", "volume"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    top, bottom = np.maximum(before.open, before.close), np.minimum(before.open, before.close)
    factor = np.where(inside, 2.5, 1)
    assert np.allclose(np.log(after.high / top), factor * np.log(before.high / top), atol=1e-9)
    assert np.allclose(np.log(bottom / after.low), factor * np.log(bottom / before.low), atol=1e-9)


def test_volume_is_scaled_in_the_window() -> None:
    before, after = altered({"volume": {"factor": 4}, "from": at(10), "to": at(20)})
    inside = (before.ts >= START + 10 * HOUR) & (before.ts < START + 20 * HOUR)
    assert np.allclose(after.volume, np.where(inside, 4, 1) * before.volume)


def test_an_outage_removes_bars() -> None:
    before, after = altered({"outage": {}, "from": at(10), "to": at(20), "symbols": ["A/B"]})
    gone = set(zip(before.ts, before.series, strict=True)) - set(zip(after.ts, after.series, strict=True))
    assert gone == {(START + hour * HOUR, 0) for hour in range(10, 20)}
    source = ScenarioSource(market(), changes({"outage": {}, "from": at(10), "to": at(20), "symbols": ["A/B"]}))
    assert source.resolve().rows_by_symbol == {"A/B": 3_990, "B/B": 4_000}


def test_a_partial_outage_removes_its_percentage() -> None:
    before, after = altered({"outage": {"percent": 30}})
    check(len(after) / len(before), 0.7, math.sqrt(0.3 * 0.7 / len(before)))


def test_delays_have_their_length_and_jitter() -> None:
    before, after = altered({"delay": {"seconds": 90, "jitter": 7200}, "from": at(100)})
    late = (after.at - after.ts - HOUR) / 1000
    early = after.ts < START + 100 * HOUR
    assert (late[early] == 0).all()
    assert late[~early].min() >= 90
    assert late[~early].max() <= 7290
    n = int((~early).sum())
    check(late[~early].mean(), 90 + 3600, 7200 / math.sqrt(12 * n))
    assert sorted(zip(after.ts, after.series, after.close, strict=True)) == sorted(
        zip(before.ts, before.series, before.close, strict=True)
    )


def test_duplicates_are_copies_of_their_percentage() -> None:
    before, after = altered({"duplicates": {"percent": 25, "after": 30}})
    n = len(before)
    check(len(after) / n, 1.25, math.sqrt(0.25 * 0.75 / n))
    numbers = Counter(zip(after.ts, after.series, after.open, after.close, after.volume, strict=True))
    assert set(numbers) == set(zip(before.ts, before.series, before.open, before.close, before.volume, strict=True))
    assert set(numbers.values()) == {1, 2}
    assert set(after.at - after.ts - HOUR) == {0, 30_000}


def test_disorder_delays_its_percentage_by_up_to_its_bars() -> None:
    before, after = altered({"disorder": {"percent": 20, "bars": 3}})
    assert len(after) == len(before)
    mine = after.ts[after.series == 0]
    overtaken_by = np.maximum.accumulate(mine) - mine  # by how much later bars were published before it
    assert overtaken_by.max() == 3 * HOUR
    assert (after.at >= after.ts + HOUR).all()  # no bar is published before its close
    n = len(after)
    held = after.at > after.ts + HOUR
    check(held.mean(), 0.2, math.sqrt(0.2 * 0.8 / n))
    places = (after.at - after.ts - HOUR - 1)[held] // HOUR
    check(places.mean(), 2.0, math.sqrt(2 / 3 / held.sum()))


def test_shuffle_joins_segments_in_another_order() -> None:
    before, after = altered({"shuffle": {"seconds": 100 * 3600}, "seed": 5}, bars=4_050)
    assert np.array_equal(after.ts, before.ts)
    old = np.log(before.close / before.open)[before.series == 1]
    new = np.log(after.close / after.open)[after.series == 1]
    pieces = {tuple(np.round(old[i : i + 100], 9)): i // 100 for i in range(0, 4_000, 100)}
    order = [pieces[tuple(np.round(new[i : i + 100], 9))] for i in range(0, 4_000, 100)]
    assert sorted(order) == list(range(40))
    assert order != sorted(order)
    assert np.allclose(new[4_000:], old[4_000:])  # the incomplete last segment
    opens, closes = after.open[after.series == 1], after.close[after.series == 1]
    assert np.allclose(opens[1:], closes[:-1])


@pytest.mark.slow
def test_shuffle_with_replacement_repeats_segments() -> None:
    before, after = altered({"shuffle": {"seconds": 36_000, "replace": True}})
    old, new = (np.log(x.close / x.open)[x.series == 0].reshape(-1, 10).round(9) for x in (before, after))
    pieces = {tuple(piece) for piece in old}
    drawn = Counter(tuple(piece) for piece in new)
    assert set(drawn) <= pieces
    n = 400  # distinct segments: n (1 - (1 - 1/n)^n), of variance below n/e (1 - 2/e)
    check(len(drawn), n * (1 - (1 - 1 / n) ** n), math.sqrt(n / math.e * (1 - 2 / math.e)))


def test_changes_apply_in_order() -> None:
    shock = {"shock": {"percent": 50}, "from": at(0)}
    calm = {"volatility": {"factor": 0}, "from": at(0)}
    _, calm_last = altered(shock, calm)
    _, shock_last = altered(calm, shock)
    mine = calm_last.series == 0
    assert np.ptp(calm_last.close[mine]) < 1e-9  # the shock was flattened too
    assert shock_last.close[mine][-1] == pytest.approx(1.5 * shock_last.open[mine][0])


def test_random_numbers_are_uniform_and_independent() -> None:
    n = 100_000
    ts = np.arange(n, dtype=np.int64) * 60_000
    one, other = name_hashes(["A/B", "B/B"])
    rows = [uniforms(s, u, np.full(n, w), ts) for s, u, w in ((0, 0, one), (1, 0, one), (0, 1, one), (0, 0, other))]
    for row in rows:
        check(row.mean(), 0.5, math.sqrt(1 / 12 / n))
        counts = np.bincount((row * 100).astype(int), minlength=100)
        check(((counts - n / 100) ** 2 / (n / 100)).sum(), 99, math.sqrt(2 * 99))  # χ² of 99 degrees
    correlations = np.corrcoef(np.array([*rows, np.roll(rows[0], 1)])) - np.eye(5)
    assert abs(correlations).max() <= SIGMAS / math.sqrt(n)


windows = st.sampled_from([{}, {"from": at(20)}, {"to": at(150)}, {"from": at(30), "to": at(90), "symbols": ["B/B"]}])
seeds = st.integers(0, 2**53 - 1)


def a_change(kind: str, values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda v, w, s: {kind: v, "seed": s} | w, values, windows, seeds)


factors = st.fixed_dictionaries({"factor": st.sampled_from([0, 0.5, 3, 100])})
shares = st.sampled_from([0, 10, 50, 100])
a_shock = st.fixed_dictionaries(
    {
        "percent": st.sampled_from([-99, -20, 1000]),
        "duration": st.sampled_from([0, 7200]),
        "recovery": st.sampled_from([0, 9_999]),
    }
)
change = st.one_of(
    a_change("volatility", factors),
    a_change("spread", factors),
    a_change("volume", factors),
    st.builds(lambda v, s: {"shock": v, "from": at(50), "seed": s}, a_shock, seeds),
    a_change("trend", st.fixed_dictionaries({"percentPerDay": st.sampled_from([-50, 20])})),
    a_change("outage", st.fixed_dictionaries({"percent": shares})),
    st.builds(
        lambda n, r, s: {"shuffle": {"seconds": n * 3600, "replace": r}, "seed": s},
        st.sampled_from([1, 7, 60, 1_000]),
        st.booleans(),
        seeds,
    ),
    a_change(
        "delay",
        st.fixed_dictionaries({"seconds": st.sampled_from([0, 0.5, 9_000]), "jitter": st.sampled_from([0, 80_000])}),
    ),
    a_change("duplicates", st.fixed_dictionaries({"percent": shares, "after": st.sampled_from([0, 3600, 5_000])})),
    a_change("disorder", st.fixed_dictionaries({"percent": shares, "bars": st.integers(1, 30)})),
)


# A shuffle of a shuffle reads every segment once per segment: minutes for a few of them.
scenarios = st.lists(change, min_size=1, max_size=5).filter(lambda some: sum("shuffle" in one for one in some) < 2)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(scenarios, st.integers(1, 300), st.floats(0, 1), st.booleans())
def test_the_result_is_the_same_from_any_position(
    scenario: list[dict[str, Any]], rows: int, part: float, within: bool
) -> None:
    source = ScenarioSource(market(120), changes(*scenario))
    dataset = source.resolve()
    whole_blocks = list(source.blocks(dataset, None))
    assert sum(map(len, whole_blocks)) == dataset.rows
    if not whole_blocks:
        return
    whole = joined(iter(whole_blocks))
    prices = np.array([whole.open, whole.high, whole.low, whole.close])
    assert np.isfinite(prices).all()
    assert (prices > 0).all()
    assert (whole.low <= np.minimum(whole.open, whole.close)).all()
    assert (whole.high >= np.maximum(whole.open, whole.close)).all()

    chunks = [chunk for block in whole_blocks for chunk in encode_chunks(block, dataset)]
    keys = [chunk.order_key(i) for chunk in chunks for i in range(len(chunk))]
    assert keys == sorted(set(keys))  # the order key of each record is unique
    at_times = np.array([key[0] for key in keys])
    assert (at_times >= whole.ts + HOUR).all()
    assert (at_times <= whole.ts + HOUR + dataset.lateness).all()
    assert at_times[-1] <= dataset.last_event

    place = min(int(len(keys) * part), len(keys) - 1)
    after = dataset.start_after_record(keys[place]) if within else dataset.start_after_time(keys[place][0])
    begin = place + 1 if within else int(np.searchsorted(at_times, keys[place][0], side="right"))
    again = ScenarioSource(RechunkedSource(market(120), rows), changes(*scenario))  # another process
    rest = [chunk for block in again.blocks(dataset, after) for chunk in encode_chunks(block, dataset)]
    assert [v for c in rest for v in c.values] == [v for c in chunks for v in c.values][begin:]
    assert [c.order_key(i) for c in rest for i in range(len(c))] == keys[begin:]
    assert again.count(dataset, keys[place][0]) == int(np.searchsorted(at_times, keys[place][0], side="right"))


def test_a_shard_has_the_same_records_of_its_symbols() -> None:
    scenario = changes(
        {"volatility": {"factor": 2}, "from": at(10)},
        {"outage": {"percent": 20}},
        {"disorder": {"percent": 30, "bars": 4}},
        {"duplicates": {"percent": 30}},
    )
    source = ScenarioSource(market(500), scenario)
    dataset = source.resolve()
    shard = Dataset(dataset.exchange, ("B/B",), dataset.interval, dataset.start, dataset.end, {}, "", dataset.lateness)
    whole, part = joined(source.blocks(dataset, None)), joined(source.blocks(shard, None))
    assert isinstance(part, ScheduledBars)
    mine = whole.series == 1
    assert np.array_equal(part.at, whole.at[mine])
    assert np.array_equal(part.close, whole.close[mine])


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (
            {"trend": {"percentPerDay": 1}, "symbols": ["A/B", "X/Y"]},
            r"scenario\[0\]\.symbols: got X/Y, expected some of A/B",
        ),
        ({"shuffle": {"seconds": 5000}}, r"scenario\[0\]\.shuffle\.seconds: got 5000, expected a whole number"),
    ],
)
def test_changes_that_the_dataset_does_not_allow_are_rejected(scenario: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidReplay, match=message):
        ScenarioSource(market(10), changes(scenario)).resolve()


def test_a_shock_scales_prices_below_zero_too() -> None:
    source = ShiftedSource(market(200), 64)
    changed = ScenarioSource(source, changes({"shock": {"percent": -50}, "from": at(100)}))
    before, after = (joined(each.blocks(source.resolve(), None)) for each in (source, changed))
    assert before.low.min() < 0
    later = before.ts > START + 100 * HOUR
    for name in ("open", "high", "low", "close"):
        assert np.allclose(getattr(after, name)[later], getattr(before, name)[later] / 2)
    assert (after.low <= np.minimum(after.open, after.close)).all()
    assert (after.high >= np.maximum(after.open, after.close)).all()


@pytest.mark.parametrize(
    "change", [{"volatility": {"factor": 2}}, {"spread": {"factor": 2}}, {"shuffle": {"seconds": 36000}}]
)
def test_changes_in_proportion_to_prices_refuse_those_below_zero(change: dict[str, Any]) -> None:
    changed = ScenarioSource(ShiftedSource(market(200), 64), changes(change))
    with pytest.raises(InvalidReplay, match="expected prices above 0"):
        joined(changed.blocks(changed.resolve(), None))


def test_the_fingerprint_depends_on_the_scenario() -> None:
    prints = [
        ScenarioSource(market(10), changes({"volume": {"factor": factor}})).resolve().fingerprint
        for factor in (1, 2, 2)
    ]
    assert prints[0] != prints[1] == prints[2]
    assert prints[0].startswith(market(10).resolve().fingerprint)
