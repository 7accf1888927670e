"""Transforms compared with pandas, and with themselves after a restart at any record."""

from __future__ import annotations

import random
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tapedeck_common.market import Bar, Point, Ticker, Trade
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.kinds import Replay
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.transforms import FunctionTransform
from tapedeck_transform.execution_plan import InvalidTransforms, plan_series, sort_by_dependency
from tapedeck_transform.functions import ENDS_MAX, InvalidFunction, UserFunction, UserFunctions
from tapedeck_transform.series import SeriesState, ignore_failure
from tapedeck_transform.stages import FunctionFailed
from tapedeck_transform.stats import TransformStats
from waits import eventually

pytestmark = pytest.mark.slow

MINUTE = 60_000
T0 = 1_522_800_000_000


def transforms(*specs: dict[str, Any]) -> list[Any]:
    """The transforms of a Feed, sorted by dependency."""
    live = {"exchange": "x", "symbols": ["A/B"], "channels": ["trades", "bars", "ticker"]}
    return sort_by_dependency(FeedSpec.model_validate(live | {"transforms": list(specs)}).transforms or [])


def bar(n: int, close: float, *, rev: int = 0, interval: str = "1m") -> Bar:
    return Bar("x", "A/B", interval, T0 + n * MINUTE, close - 1, close + 2, close - 3, close, close / 10, True, rev)


def mean_of_closes(_name: str, window: list[dict[str, Any]]) -> float | None:
    """Stands for a user's function: no result for some closes, an error for others."""
    last = window[-1].get("close", window[-1].get("value", 0.0))
    if last % 7 == 0:
        raise FunctionFailed("multiples of seven fail")
    return None if last % 5 == 0 else sum(each.get("close", 0.0) for each in window) / len(window)


def series(given: list[Any], channel: Any = "bars", interval: str = "1m") -> SeriesState:
    return SeriesState(plan_series(given, channel, interval), mean_of_closes)


def results(points: list[Point], name: str) -> dict[int, float | None]:
    return {point.ts: point.value for point in points if point.series == name}


def run(state: SeriesState, records: list[Any]) -> list[Point]:
    return [point for at, record in enumerate(records) for point in state.update(record, at, ignore_failure)]


def test_transforms_of_bars_equal_pandas() -> None:
    rng = random.Random(7)
    closes = [round(100 + rng.uniform(-9, 9), 2) for _ in range(400)]
    points = run(
        series(
            transforms(
                {
                    "name": "rising",
                    "input": "above",
                    "filter": {"above": 0},
                },  # before its dependency
                {"name": "sma5", "sma": {}},
                {"name": "opens", "field": "open", "sma": {"over": 3}},
                {"name": "ema9", "ema": {"over": 9}},
                {"name": "moved", "change": {}},
                {"name": "above", "change": {"reference": "sma5"}},
                {"name": "when", "filter": {"by": "above", "above": -1, "below": 1}},
                {"name": "five", "resample": {"interval": "5m"}},
                {"name": "slow", "input": "five", "sma": {"over": 4}},
                {"name": "ofsome", "input": "rising", "sma": {"over": 3}},
                {"name": "hourly", "interval": "1h", "sma": {}},
            )
        ),
        [bar(n, close) for n, close in enumerate(closes, 3)],
    )
    frame = pd.DataFrame({"close": closes, "ts": [T0 + n * MINUTE for n in range(3, 403)]}).set_index("ts")
    sma = frame.close.rolling(5).mean()
    above = frame.close - sma
    rising = above[above > 0]
    ema = frame.close.rolling(36, min_periods=9).apply(lambda w: w.ewm(span=9).mean().iloc[-1])
    by_time = frame.assign(open=frame.close - 1, high=frame.close + 2, low=frame.close - 3, volume=frame.close / 10)
    five = by_time.groupby(by_time.index // 300_000 * 300_000).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    five = five.iloc[1:-1]  # the first is incomplete, the last has not ended
    for name, expected in {
        "sma5": sma,
        "opens": (frame.close - 1).rolling(3).mean(),
        "ema9": ema,
        "moved": frame.close.diff(),
        "above": above,
        "rising": rising,
        "when": frame.close[(above > -1) & (above < 1)],
        "five": five.close,
        "slow": five.close.rolling(4).mean(),
        "ofsome": rising.rolling(3).mean(),
        "hourly": pd.Series(dtype=float),
    }.items():
        assert results(points, name) == pytest.approx(expected.dropna().to_dict()), name
    resampled = [point for point in points if point.series == "five"]
    assert {(p.ts, p.interval, p.open, p.high, p.low) for p in resampled} == {
        (ts, "5m", row.open, row.high, row.low) for ts, row in five.iterrows()
    }
    assert [p.volume for p in resampled] == pytest.approx(list(five.volume))


def test_transforms_of_trades_and_tickers() -> None:
    trades = [Trade("x", "A/B", T0 + n * 7_000, str(n), 100.0 + n % 4, 1.0, "buy") for n in range(40)]
    found = run(
        series(transforms({"name": "m", "channel": "trades", "resample": {"interval": "1m"}}), "trades", ""),
        [*trades, *trades[:5]],  # repeats
    )
    frame = pd.DataFrame({"price": [t.price for t in trades], "ts": [t.ts for t in trades]})
    by_minute = frame.groupby(frame["ts"] // MINUTE * MINUTE)["price"]
    expected = by_minute.agg(["first", "max", "min", "last", "count"]).iloc[1:-1]
    assert [(p.ts, p.open, p.high, p.low, p.value, p.volume) for p in found] == [
        (ts, *row) for ts, *row in expected.itertuples()
    ]
    tickers = [Ticker("x", "A/B", T0 + n, 10.0 * n, bid=None if n == 2 else 9.0 * n) for n in (0, 1, 2, 3, 3, 1)]
    bids = series(transforms({"name": "b", "channel": "ticker", "field": "bid", "change": {}}), "ticker", "")
    assert results(run(bids, tickers), "b") == {T0 + 1: 9.0, T0 + 3: 18.0}


def test_the_end_of_a_replay_closes_the_bars_under_way() -> None:
    state = series(
        transforms(
            {"name": "five", "resample": {"interval": "5m"}},
            {"name": "quarter", "input": "five", "resample": {"interval": "15m"}},
            {"name": "moved", "input": "five", "change": {}},
        )
    )
    run(state, [bar(n, float(n)) for n in range(13)])  # 13 minutes from T0, whole five minutes twice
    last = state.finish(ignore_failure)
    assert results(last, "five") == {T0 + 10 * MINUTE: 12.0}
    assert results(last, "quarter") == {T0: 12.0}
    assert results(last, "moved") == {T0 + 10 * MINUTE: 12.0 - 9.0}
    assert state.finish(ignore_failure) == [], "closed once"


def test_a_failed_function_has_no_result_for_that_record() -> None:
    failed: list[tuple[str, str, str]] = []
    state = series(transforms({"name": "own", "function": {"module": "m:f", "lookback": 2}}, {"name": "s", "sma": {}}))
    closes = [1.0, 2.0, 14.0, 10.0, 3.0]
    points = [
        point
        for at, close in enumerate(closes)
        for point in state.update(bar(at, close), at, lambda name, r, why: failed.append((name, f"{r.ts - T0}", why)))
    ]
    assert results(points, "own") == {T0 + MINUTE: 1.5, T0 + 4 * MINUTE: 6.5}
    assert results(points, "s") == {T0 + 4 * MINUTE: 6.0}
    assert failed == [("own", "120000", "multiples of seven fail")]


def test_a_correction_is_followed_by_the_results_that_it_changes() -> None:
    state = series(
        transforms(
            {"name": "mean", "sma": {"over": 3}},
            {"name": "up", "input": "mean", "filter": {"above": 10}},
        )
    )
    before = run(state, [bar(n, close) for n, close in enumerate((9.0, 9.0, 12.0, 12.0, 12.0))])
    assert results(before, "up") == {T0 + 3 * MINUTE: 11.0, T0 + 4 * MINUTE: 12.0}
    after = state.update(bar(2, 6.0, rev=1), 5, ignore_failure)
    assert {(p.series, p.ts - T0, p.value, p.rev) for p in after} == {
        ("mean", 2 * MINUTE, 8.0, 1), ("mean", 3 * MINUTE, 9.0, 1), ("mean", 4 * MINUTE, 10.0, 1),
        ("up", 3 * MINUTE, None, 1), ("up", 4 * MINUTE, None, 1),
    }  # fmt: skip
    assert state.update(bar(2, 6.0, rev=1), 6, ignore_failure) == []
    assert results(state.update(bar(5, 18.0), 7, ignore_failure), "mean") == {T0 + 5 * MINUTE: 14.0}


USER_MODULE = """
import os, signal, threading, time
def calm(window): return len(window) + 0.5
def nothing(window): return None
def odd(window): return float("nan")
def text(window): return "much"
def gone(window): os._exit(3)
def stuck(window): time.sleep(600)
def stops(window):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return 1.0
"""


def process_of(folder: Path, name: str, seconds: float = 30) -> UserFunction:
    function = FunctionTransform(module=f"own:{name}", lookback=1, seconds=seconds)
    return UserFunction("x", function, [folder])


def test_user_functions(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(USER_MODULE)
    with ExitStack() as stack:
        processes = {name: process_of(tmp_path, name) for name in ("calm", "nothing", "odd", "text", "gone")}
        processes["stuck"] = process_of(tmp_path, "stuck", 0.5)
        for process in processes.values():
            stack.callback(process.close)
        assert processes["calm"].call([{}, {}]) == 2.5
        assert processes["nothing"].call([{}]) is None
        for name, message in {
            "odd": "got nan, expected a finite number or None",
            "text": "ValueError: could not convert string to float: 'much'",
            "gone": "its process exited with code 3",
            "stuck": "took longer than 0.5 s, and was killed",
        }.items():
            with pytest.raises(FunctionFailed) as failed:
                processes[name].call([{}])
            assert str(failed.value).startswith(message)
        for _ in range(ENDS_MAX - 1):
            with pytest.raises(FunctionFailed):
                processes["stuck"].call([{}])
        with pytest.raises(
            FunctionFailed, match="disabled: 5 consecutive calls ended its process; the last took longer"
        ):
            processes["stuck"].call([{}])
    for name, message in {"none": "'none' is no function of own", "time": "'time' is no function of own"}.items():
        with pytest.raises(InvalidFunction, match=message):
            process_of(tmp_path, name).start()


def test_a_function_that_stops_reading_is_killed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(USER_MODULE)
    with closing(process_of(tmp_path, "stops", 5)) as stops:
        assert stops.call([{}]) == 1.0
        eventually(lambda: any(each.status() == psutil.STATUS_STOPPED for each in psutil.Process().children()))
        with pytest.raises(FunctionFailed, match=r"took longer than 5 s, and was killed"):
            stops.call([{"text": "x" * 1_000_000}])  # more than the pipe's buffer
        assert stops.call([{}]) == 1.0


def test_the_example_is_valid(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "more" / "transforms.yaml"
    code, replay = yaml.safe_load_all(example.read_text())
    for name, text in code["data"].items():
        (tmp_path / name).write_text(text)
    parsed = parse_resource(replay)
    assert isinstance(parsed, Replay)
    given = sort_by_dependency(parsed.spec.transforms or ())
    functions = UserFunctions(given, [tmp_path])
    try:
        functions.start()
        bars = [{"high": 12.0, "low": 9.0, "close": 10.0}, {"high": 11.5, "low": 10.5, "close": 11.0}]
        assert functions.call("true_range", bars) == 1.5
    finally:
        functions.close()
    assert {each.name for each in given if each.function is not None} == {"true_range"}


def test_failures_are_counted_and_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, int]] = []
    monkeypatch.setattr("tapedeck_transform.stats.log.warning", lambda _, **e: logged.append((e["reason"], e["times"])))
    stats = TransformStats(transforms({"name": "s", "sma": {}}))
    for reason in ("one", "two", "three"):
        stats.count_error("s", reason)
    monkeypatch.setattr("tapedeck_transform.stats.LOG_SECONDS", 0.0)
    stats.count_error("s", "four")
    assert logged == [("one", 1), ("four", 3)]
    assert stats.report({"s": 4}, {}).results[0].model_dump() == {
        "name": "s", "points": 0, "errors": 4, "lookback": 4, "message": "four",
    }  # fmt: skip


EVERYTHING = (
    {"name": "mean", "sma": {"over": 3}},
    {"name": "soft", "ema": {"over": 2}},
    {"name": "moved", "change": {}},
    {"name": "above", "change": {"reference": "mean"}},
    {"name": "rising", "input": "above", "filter": {"above": 0}},
    {"name": "seldom", "input": "rising", "sma": {"over": 4}},
    {"name": "five", "resample": {"interval": "5m"}},
    {"name": "slow", "input": "five", "change": {}},
    {"name": "own", "function": {"module": "m:f", "lookback": 3}},
    {"name": "deep", "input": "own", "sma": {"over": 2}},
)


@st.composite
def a_log(draw: st.DrawFn) -> list[Bar]:
    """Bars with gaps, repeats, corrections and late ones."""
    log: list[Bar] = []
    at = 0
    for _ in range(draw(st.integers(1, 60))):
        kind = draw(st.sampled_from(("next", "next", "next", "next", "gap", "repeat", "correct", "late")))
        close = float(draw(st.integers(1, 30)))
        if kind in ("next", "gap") or not log:
            at += 1 if kind == "next" else draw(st.integers(2, 9))
            log.append(bar(at, close))
        elif kind == "repeat":
            log.append(draw(st.sampled_from(log[-4:])))
        elif kind == "correct":
            old = draw(st.sampled_from(log[-6:]))
            newest = max(each.rev for each in log if each.ts == old.ts)
            log.append(bar((old.ts - T0) // MINUTE, close, rev=newest + 1))
        else:
            log.append(bar(max(at - draw(st.integers(1, 20)), 0), close))
    return log


@st.composite
def a_log_of_trades(draw: st.DrawFn) -> list[Trade]:
    """Trades whose ids are not numeric, some repeated as by a restarted Feed."""
    log: list[Trade] = []
    at = 0
    for n in range(draw(st.integers(1, 40))):
        at += draw(st.sampled_from((0, 0, 1, 40_000)))
        log.append(Trade("x", "A/B", T0 + at, f"{n * 7 % 40:x}-", float(draw(st.integers(1, 30))), 1.0, "buy"))
        log += log[-draw(st.sampled_from((0, 0, 1, 3))) or len(log) :]
    return log


OF_TRADES = (
    {"name": "mean", "channel": "trades", "sma": {"over": 3}},
    {"name": "minutes", "channel": "trades", "resample": {"interval": "1m"}},
    {"name": "moved", "input": "minutes", "change": {}},
)


@pytest.mark.parametrize("corrected", [1, 16])
def test_output_does_not_depend_on_restarts(corrected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapedeck_transform.series.CORRECTABLE_BARS", corrected)
    same_after_restarts()


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.one_of(a_log(), a_log(), a_log_of_trades()), st.data())
def same_after_restarts(log: list[Any], data: st.DataObject) -> None:
    """A restart at any record, reading again from the state's first needed offset, changes no result."""
    of_trades = isinstance(log[0], Trade)
    chosen = (transforms(*(OF_TRADES if of_trades else EVERYTHING)), *(("trades", "") if of_trades else ()))
    uninterrupted = series(*chosen)
    once = [uninterrupted.update(record, at, ignore_failure) for at, record in enumerate(log)]
    if of_trades:
        ids = [point.id for points in once for point in points if point.series == "mean"]
        assert len(set(ids)) == len(ids) == max(len({trade.id for trade in log}) - 2, 0)
    cuts = data.draw(st.lists(st.integers(0, len(log)), max_size=3))
    state, done = series(*chosen), 0
    again: list[list[Point]] = []
    for cut in [*sorted(cuts), len(log)]:
        again += [state.update(log[at], at, ignore_failure) for at in range(done, cut)]
        done = cut
        first = state.first_needed
        state = series(*chosen)
        for at in range(done if first is None else first, done):
            state.update(log[at], at, ignore_failure)
    assert again == once


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ({"name": "a", "input": "b", "sma": {}}, {"name": "b", "input": "a", "sma": {}}),
            "transforms: got the cycle",
        ),
        (
            ({"name": "a", "channel": "trades", "sma": {}}, {"name": "b", "change": {"reference": "a"}}),
            "transforms.b: got a, which is computed from trades, expected a transform of bars",
        ),
    ],
)
def test_invalid_transforms_are_rejected(given: tuple[dict[str, Any], ...], message: str) -> None:
    with pytest.raises(InvalidTransforms, match=message):
        transforms(*given)


def test_lookback_of_each_transform() -> None:
    chosen = transforms(
        {"name": "a", "sma": {}},
        {"name": "b", "input": "a", "ema": {"over": 3}},
        {"name": "c", "change": {"reference": "b"}},
        {"name": "d", "resample": {"interval": "5m"}},
        {"name": "e", "input": "d", "sma": {"over": 2}},
    )
    assert plan_series(chosen, "bars", "1m").lookback == {"a": 4, "b": 15, "c": 15, "d": 9, "e": 14}
