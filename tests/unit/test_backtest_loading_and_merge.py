"""Loading of strategies, their params and tracebacks, the clock, and the merge of partitions."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import backtrader as bt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_backtest.bars.clock import to_days, to_ms
from tapedeck_backtest.engine.feeds import feed_params
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.strategy_trace import TRACE_CHARS, strategy_trace
from tapedeck_backtest.sources.partition_merge import PartitionMerge
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.strategy_loader import checked_params, load_strategy, param_notes
from tapedeck_common.market import Bar
from tapedeck_crds.backtest import Builtin, ParamValue, Strategy
from tapedeck_crds.intervals import BAR_LENGTHS

MINUTE = 60_000


def test_builtins_match_the_crd() -> None:
    assert set(BUILTINS) == set(get_args(Builtin))
    assert all(issubclass(cls, bt.Strategy) for cls in BUILTINS.values())


class Params(bt.Strategy):  # type: ignore[misc]
    params = (
        ("count", 3), ("share", 0.5), ("fast", True), ("name", "x"), ("any", None), ("wide", np.float32(2)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("count", 4, 4),
        ("count", 1.5, 1.5),  # as of dev=2
        ("count", 20.0, 20),  # as of a period, which must count
        ("count", True, True),
        ("share", 1, 1.0),
        ("fast", False, False),
        ("fast", 0.02, 0.02),  # as of trail=False
        ("fast", 1, True),  # as of an axis, which has only numbers
        ("name", "y", "y"),
        ("any", 1.5, 1.5),
        ("wide", 2, 2),
    ],
)
def test_any_number_is_accepted_for_a_number(name: str, value: ParamValue, taken: ParamValue) -> None:
    checked = checked_params(Params, {name: value})[name]
    assert (type(checked), checked) == (type(taken), taken)
    assert checked == value


@pytest.mark.parametrize(
    ("name", "value", "noted"),
    [("fast", 0.02, True), ("fast", 2, True), ("count", True, True), ("fast", True, False), ("count", 1.5, False)],
)
def test_bool_in_place_of_a_number_is_noted(name: str, value: ParamValue, noted: bool) -> None:
    notes = param_notes(Params, {name: value})
    assert [note.partition(",")[0] for note in notes] == [f"strategy.params.{name}: got {value!r}"] * noted


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"cuont": 1}, "params.cuont: not a param of Params; it has count=3, share=0.5, fast=True, name='x'"),
        ({"count": "3"}, "params.count: got '3' (str), expected a number like its default 3"),
        ({"share": "1"}, "params.share: got '1' (str), expected a number like its default 0.5"),
        ({"fast": "no"}, "params.fast: got 'no' (str), expected a number like its default True"),
        ({"wide": "1"}, "params.wide: got '1' (str), expected a number"),
        ({"name": 1}, "params.name: got 1 (int), expected text like its default 'x'"),
    ],
)
def test_text_in_place_of_a_number_is_rejected(params: dict[str, ParamValue], expected: str) -> None:
    with pytest.raises(RunFailed) as failure:
        checked_params(Params, params)
    assert failure.value.reason == "BadParams"
    assert expected in failure.value.message


@pytest.mark.parametrize(
    ("source", "module", "expected"),
    [
        ("import nothing_of_the_kind", "broken_import:X", "cannot be imported: No module named 'nothing_of_the_kind'"),
        ("def (", "broken_syntax:X", "SyntaxError"),
        ("raise SystemExit(3)", "broken_exit:X", "SystemExit"),
        ("X = 3", "no_class:X", "got 'X', expected a backtrader.Strategy of no_class"),
    ],
)
def test_invalid_modules_are_rejected(tmp_path: Path, source: str, module: str, expected: str) -> None:
    (tmp_path / f"{module.split(':')[0]}.py").write_text(source)
    with pytest.raises(RunFailed) as failure:
        load_strategy(Strategy(module=module), tmp_path)
    assert failure.value.reason == "BadStrategy"
    assert expected in failure.value.message


def test_trace_shows_the_strategy_and_is_bounded(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(
        compile("def dig(n):\n    return dig(n - 1) if n else 1 / 0\n", str(tmp_path / "theirs.py"), "exec"), namespace
    )
    try:
        namespace["dig"](300)
    except ZeroDivisionError as error:
        text = strategy_trace(error)
    assert "theirs.py" in text
    assert text.endswith("ZeroDivisionError: division by zero")
    assert len(text) <= TRACE_CHARS + 1


def test_trace_is_valid_text_for_the_database() -> None:
    assert strategy_trace(ValueError("a\0b \ud800 é")) == "ValueError: ab ? é"


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_clock_equals_backtraders(ms: int) -> None:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    assert to_ms(to_days(ms)) == ms
    if ms % 1000 == 0:
        assert bt.num2date(to_days(ms)) == moment.replace(tzinfo=None)


def test_every_interval_has_a_timeframe() -> None:
    seconds = {
        bt.TimeFrame.Seconds: 1,
        bt.TimeFrame.Minutes: 60,
        bt.TimeFrame.Days: 86_400,
        bt.TimeFrame.Weeks: 7 * 86_400,
        bt.TimeFrame.Months: 31 * 86_400,
    }
    for interval, length in BAR_LENGTHS.items():
        params = feed_params("A", interval)
        assert seconds[params["timeframe"]] * params["compression"] * 1000 == length.ms


def bar(symbol: str, minute: int) -> Bar:
    return Bar("x", symbol, "1m", minute * MINUTE, 1, 1, 1, 1, 1)


@pytest.mark.parametrize("seed", range(20))
def test_merge_yields_every_bar_once_and_in_order(seed: int) -> None:
    rng = random.Random(seed)
    partition_of = {"A": 0, "B": 0, "C": 1, "D": 2}
    bars = [bar(symbol, minute) for minute in range(60) for symbol in partition_of if rng.random() < 0.7]
    pending: dict[int, list[Bar]] = {p: [b for b in bars if partition_of[b.symbol] == p] for p in range(3)}
    merge, merged = PartitionMerge(3), []
    watermarks = [0, 0, 0]
    while any(pending.values()):
        partition = rng.randrange(3)
        upto = watermarks[partition] + rng.randrange(5)
        while pending[partition] and pending[partition][0].ts <= upto * MINUTE - MINUTE:
            merge.add_bar(partition, pending[partition].pop(0))
        watermarks[partition] = upto
        merge.advance_watermark(partition, upto * MINUTE)
        for event, step in merge.steps():
            assert event <= min(watermarks) * MINUTE
            assert {b.ts + MINUTE for b in step} == {event}
            merged.extend(step)
    for partition in range(3):
        merge.end(partition)
    merged.extend(b for _, step in merge.steps() for b in step)
    assert merge.ended
    assert merged == sorted(bars, key=lambda b: (b.ts, b.symbol))


def test_merge_pauses_partitions_that_run_ahead() -> None:
    merge = PartitionMerge(2, limit=3)
    for minute in range(4):
        merge.add_bar(0, bar("A", minute))
    merge.advance_watermark(0, 4 * MINUTE)
    assert list(merge.steps()) == []
    assert merge.ahead() == {0}
    merge.advance_watermark(1, 2 * MINUTE)
    assert [event for event, _ in merge.steps()] == [MINUTE, 2 * MINUTE]
    assert merge.ahead() == set()


def test_merge_sorts_delayed_bars_and_drops_repeats() -> None:
    rng = random.Random(3)
    bars = [bar(symbol, minute) for minute in range(200) for symbol in ("A", "B")]
    late = [(b.ts + MINUTE + rng.randrange(10 * MINUTE), b) for b in bars] + [(b.ts + 6 * MINUTE, b) for b in bars[::7]]
    merge, merged = PartitionMerge(1), []
    for at, each in sorted(late, key=lambda item: item[0]):
        merge.advance_watermark(0, at - 10 * MINUTE - 1)
        merged += [b for _, step in merge.steps() for b in step]
        merge.add_bar(0, each)
    merge.end(0)
    assert merged + [b for _, step in merge.steps() for b in step] == bars


def test_merge_rejects_bars_before_the_watermark() -> None:
    merge = PartitionMerge(1)
    merge.advance_watermark(0, 9 * MINUTE)
    with pytest.raises(ValueError, match="expected an event time later"):
        merge.add_bar(0, bar("B", 8))
