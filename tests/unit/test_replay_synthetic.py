"""Synthetic markets: their statistics compared with theory, and the same bars from any position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck_common.market import bar_problem
from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.source import Synthetic
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import Dataset, StartAfter
from tapedeck_replay.source.synthetic.correlation import cholesky
from tapedeck_replay.source.synthetic.source import SyntheticSource

HOUR_YEARS = 1 / (365 * 24)
BARS = 200_000
SIGMAS = 5.0  # standard errors; a false alarm once in two million


def synthetic(**values: Any) -> SyntheticSource:
    spec = {"symbols": [{"symbol": "A/B"}], "bars": BARS, "interval": "1h", "seed": 11} | values
    return SyntheticSource(Synthetic.model_validate(spec, by_alias=True, by_name=False))


def columns(source: SyntheticSource, after: StartAfter | None = None, dataset: Dataset | None = None) -> BarBlock:
    parts = list(source.blocks(dataset or source.resolve(), after))
    if not parts:
        none, numbers = np.empty(0), np.empty(0, np.int64)
        return BarBlock(numbers, numbers, none, none, none, none, none, numbers)
    return BarBlock(*(np.concatenate(column) for column in zip(*(vars(p).values() for p in parts), strict=True)))


def log_returns(source: SyntheticSource, series: int = 0) -> Any:
    block = columns(source)
    mine = block.series == series
    return np.log(block.close[mine] / block.open[mine])


def check(actual: float, expected: float, error: float) -> None:
    """The statistic is within SIGMAS standard errors of its expectation."""
    distance = abs(actual - expected)
    assert distance <= SIGMAS * error, f"{actual} is {distance / error:.1f} standard errors from {expected}"


def test_brownian_motion_has_its_mean_and_variance() -> None:
    mu, sigma = 8.0, 0.9
    returns = log_returns(synthetic(symbols=[{"symbol": "A/B", "drift": mu, "volatility": sigma}]))
    variance = sigma**2 * HOUR_YEARS
    check(returns.mean(), (mu - sigma**2 / 2) * HOUR_YEARS, math.sqrt(variance / BARS))
    check(returns.var(), variance, variance * math.sqrt(2 / BARS))
    check(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2, 3.0, math.sqrt(24 / BARS))
    check(np.corrcoef(returns[:-1], returns[1:])[0, 1], 0.0, 1 / math.sqrt(BARS))


def test_highs_and_lows_are_the_extremes_of_a_brownian_path() -> None:
    sigma = 0.9
    block = columns(synthetic(symbols=[{"symbol": "A/B", "drift": sigma**2 / 2, "volatility": sigma}]))
    scale = sigma * math.sqrt(HOUR_YEARS)  # a driftless path's maximum is |N(0, scale²)|
    error = scale * math.sqrt((1 - 2 / math.pi) / BARS)
    check(np.log(block.high / block.open).mean(), scale * math.sqrt(2 / math.pi), error)
    check(np.log(block.open / block.low).mean(), scale * math.sqrt(2 / math.pi), error)


def test_jumps_have_the_moments_of_merton() -> None:
    rate, mean, deviation, sigma, mu = 0.02, -0.03, 0.04, 0.5, 4.0
    returns = log_returns(
        synthetic(
            symbols=[{"symbol": "A/B", "drift": mu, "volatility": sigma}],
            jumps={"perYear": rate / HOUR_YEARS, "mean": mean, "deviation": deviation},
        )
    )
    variance = sigma**2 * HOUR_YEARS + rate * (mean**2 + deviation**2)
    fourth = rate * (mean**4 + 6 * mean**2 * deviation**2 + 3 * deviation**4)
    third = rate * (mean**3 + 3 * mean * deviation**2)
    # The fourth cumulant gives the error of the variance; batches estimate that of the higher moments.
    check(returns.var(), variance, math.sqrt((fourth + 2 * variance**2) / BARS))
    batches = (returns - returns.mean()).reshape(50, -1)
    for power, expected in ((3, third), (4, fourth + 3 * variance**2)):
        each = (batches**power).mean(axis=1)
        check(each.mean(), expected, each.std() / math.sqrt(50))
    growth = np.exp(returns)
    check(growth.mean(), math.exp(mu * HOUR_YEARS), growth.std() / math.sqrt(BARS))  # compensated


def test_returns_have_the_correlations_of_the_spec() -> None:
    matrix = [[1.0, 0.8, -0.3], [0.8, 1.0, 0.0], [-0.3, 0.0, 1.0]]
    names = ["C/B", "A/B", "B/B"]  # the matrix is in the spec's order, not the alphabetical one
    source = synthetic(symbols=[{"symbol": name} for name in names], correlation=matrix)
    assert source.resolve().symbols == ("A/B", "B/B", "C/B")
    returns = {name: log_returns(source, ("A/B", "B/B", "C/B").index(name)) for name in names}
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            expected = matrix[i][j]
            check(np.corrcoef(returns[one], returns[other])[0, 1], expected, (1 - expected**2) / math.sqrt(BARS))


def test_correlation_of_one_is_allowed() -> None:
    source = synthetic(symbols=[{"symbol": "A/B"}, {"symbol": "B/B"}], correlation=[[1, 1], [1, 1]], bars=100)
    assert np.allclose(log_returns(source, 0), log_returns(source, 1), atol=1e-7)


@given(st.integers(1, 8), st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_cholesky_reproduces_the_matrix(n: int, seed: int, rank: int) -> None:
    factors = np.random.default_rng(seed).standard_normal((n, rank))
    matrix = factors @ factors.T  # positive semidefinite, singular where rank < n
    scale = np.sqrt(np.diag(matrix))
    matrix /= np.outer(scale, scale)
    lower = cholesky(matrix)
    assert np.allclose(np.triu(lower, 1), 0)
    assert np.allclose(lower @ lower.T, matrix, atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], "not positive semidefinite"),
        ([[1, 0.5, 0], [0.4, 1, 0], [0, 0, 1]], "correlation[1][0]: got 0.4, expected 0.5"),
        ([[1, 0, 0], [0, 0.5, 0], [0, 0, 1]], "correlation[1][1]: got 0.5, expected 1"),
        ([[1, 0], [0, 1], [0, 0]], "expected 3 numbers in each row"),
    ],
)
def test_an_invalid_correlation_matrix_is_rejected(matrix: Any, message: str) -> None:
    with pytest.raises(InvalidReplay) as caught:
        synthetic(symbols=[{"symbol": name} for name in ("A/B", "B/B", "C/B")], correlation=matrix)
    assert caught.value.reason == "BadSynthetic"
    assert message in str(caught.value)


def test_a_start_inside_an_interval_is_rejected() -> None:
    with pytest.raises(InvalidReplay, match=r"source\.synthetic\.from: got 2024-01-01T00:30:00Z"):
        synthetic(**{"from": "2024-01-01T00:30:00Z"})


def test_regimes_have_their_mean_length_and_scale_volatility() -> None:
    calm, wild = 40.0, 10.0
    source = synthetic(
        symbols=[{"symbol": "A/B", "volatility": 0.5}],
        regimes=[{"volatility": 0, "meanBars": calm}, {"volatility": 2, "meanBars": wild}],
    )
    returns = log_returns(source)
    state = (returns != 0).astype(int)  # the returns of a regime without volatility are 0
    edges = np.flatnonzero(np.diff(state)) + 1
    runs = np.diff(edges)
    first = state[edges[0]]
    for name, mean in ((0, calm), (1, wild)):
        lengths = runs[(0 if first == name else 1) :: 2]
        check(lengths.mean(), mean, math.sqrt(mean * (mean - 1) / len(lengths)))  # geometric
    busy = returns[state == 1]
    variance = (2 * 0.5) ** 2 * HOUR_YEARS
    check(busy.var(), variance, variance * math.sqrt(2 / len(busy)))
    squares = returns**2
    assert np.corrcoef(squares[:-1], squares[1:])[0, 1] > 0.2  # clusters


def test_an_end_before_the_start_is_rejected() -> None:
    with pytest.raises(
        InvalidReplay, match=r"source\.synthetic\.to: got 2023-01-01T00:00:00Z, expected a time later than"
    ):
        synthetic(bars=None, to="2023-01-01T00:00:00Z")


def test_volumes_have_their_mean_and_deviation() -> None:
    volume = columns(synthetic(symbols=[{"symbol": "A/B", "volume": 12}], volumeDeviation=0.4)).volume
    check(volume.mean(), 12.0, 12 * math.sqrt(math.expm1(0.4**2) / BARS))
    check(np.log(volume).std(), 0.4, 0.4 / math.sqrt(2 * BARS))


specs = st.fixed_dictionaries(
    {
        "symbols": st.lists(
            st.fixed_dictionaries(
                {
                    "symbol": st.sampled_from(["A/B", "B/B", "C/B", "D/B"]),
                    "price": st.sampled_from([1e-6, 0.02, 1.0, 63_000.0]),
                    "drift": st.floats(-10, 10),
                    "volatility": st.floats(0, 10),
                }
            ),
            min_size=1,
            max_size=4,
            unique_by=lambda each: each["symbol"],
        ),
        "bars": st.integers(1, 20_000),
        "seed": st.integers(0, 2**53 - 1),
        "interval": st.sampled_from(["1s", "1m", "1d"]),
        "jumps": st.sampled_from([None, {"perYear": 100_000, "mean": -0.5, "deviation": 1.0}]),
        "regimes": st.sampled_from([None, [{"volatility": 1, "meanBars": 1}, {"volatility": 9, "meanBars": 3}]]),
    }
)


@settings(max_examples=25, deadline=None)
@given(specs)
def test_every_bar_is_valid(spec: Any) -> None:
    source = synthetic(**spec)
    dataset, bars = source.resolve(), columns(source)
    assert len(bars) == dataset.rows
    every = list(bars.bars(dataset.exchange, dataset.symbols, dataset.interval))
    assert [problem for bar in every[:500] + every[-500:] if (problem := bar_problem(bar))] == []
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
    places = list(zip(bars.ts.tolist(), bars.series.tolist(), strict=True))
    assert places == sorted(set(places))
    assert (bars.ts[0], bars.ts[-1]) == (dataset.start, dataset.end - dataset.interval_ms)


@settings(max_examples=25, deadline=None)
@given(specs, st.floats(0, 1), st.booleans())
def test_reading_from_any_position_gives_the_same_bars(spec: Any, part: float, within: bool) -> None:
    source = synthetic(**spec)
    dataset, whole = source.resolve(), columns(source)
    place = min(int(len(whole) * part), len(whole) - 1)
    key = (
        int(whole.ts[place]) + dataset.interval_ms,
        dataset.exchange,
        dataset.symbols[whole.series[place]],
        dataset.interval,
        0,
    )
    after = dataset.start_after_record(key) if within else dataset.start_after_time(key[0])
    rest = columns(synthetic(**spec), after)  # another process
    begin = place + 1 if within else int(np.searchsorted(whole.ts, whole.ts[place], side="right"))
    for mine, theirs in zip(vars(rest).values(), vars(whole).values(), strict=True):
        assert np.array_equal(mine, theirs[begin:])
    assert source.count(dataset, int(whole.ts[place]) + dataset.interval_ms) == int((whole.ts <= whole.ts[place]).sum())


def test_a_shard_has_the_same_bars_of_its_symbols() -> None:
    names = ["A/B", "B/B", "C/B"]
    source = synthetic(
        symbols=[{"symbol": n} for n in names], bars=9_000, correlation=[[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]
    )
    dataset = source.resolve()
    shard = Dataset(dataset.exchange, ("B/B", "C/B"), dataset.interval, dataset.start, dataset.end, {}, "")
    whole, part = columns(source), columns(source, dataset=shard)
    for index, series in enumerate((1, 2)):
        assert np.array_equal(part.close[part.series == index], whole.close[whole.series == series])


def test_a_spec_gives_the_same_bars_in_every_version() -> None:
    source = synthetic(bars=3, jumps={"perYear": 5_000}, seed=7, interval="1m")
    assert columns(source).close.tolist() == [100.06646, 100.04319, 100.15907]
    assert source.resolve().fingerprint.startswith("synthetic-1=")  # raise the version when the closes change
    assert synthetic(bars=3, seed=8).resolve().fingerprint != synthetic(bars=3, seed=7).resolve().fingerprint
