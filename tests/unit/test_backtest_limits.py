"""Limits of the strategy's process: output, time, quantities of memory. Others are tested with real processes."""

from __future__ import annotations

import os

import pytest

from tapedeck_backtest.supervisor.time_limit import GRACE_SECONDS, OWN_SECONDS, Overtime, TimeLimit
from tapedeck_common.sandbox.output import OutputCopy
from tapedeck_common.sandbox.running_time import RunningTime
from tapedeck_crds.pod import parse_quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [("512Mi", 536_870_912), ("2G", 2_000_000_000), ("1.5Gi", 1_610_612_736), ("900", 900), ("4096k", 4_096_000)],
)
def test_kubernetes_quantities(text: str, size: int) -> None:
    assert parse_quantity(text) == size


def test_output_stops_at_its_limit_with_one_notice(capfd: pytest.CaptureFixture[str]) -> None:
    output, written = os.pipe()
    copy = OutputCopy(output, 10)
    for part in (b"12345", "é7".encode(), b"89012345", b"more"):
        os.write(written, part)
    os.close(written)
    copy.finish(5)
    text = capfd.readouterr().err
    assert text.splitlines()[0] == "12345é789"[:9]
    assert text.count("is dropped") == 1
    assert "more" not in text


def test_a_process_that_is_silent_is_interrupted_once_and_then_ended() -> None:
    limit = TimeLimit(10.0)
    assert limit.overtime(1e9) is Overtime.NONE  # it has no work
    limit.work_begins(100.0)
    limit.strategy_runs(True)
    assert limit.overtime(109.9) is Overtime.NONE
    limit.heard(105.0)
    assert limit.overtime(114.9) is Overtime.NONE
    assert limit.overtime(115.0) is Overtime.INTERRUPT
    assert limit.overtime(115.1) is Overtime.NONE
    assert limit.overtime(115.0 + GRACE_SECONDS) is Overtime.KILL
    limit.heard(121.0)
    assert limit.overtime(122.0) is Overtime.NONE
    limit.strategy_runs(False)
    assert limit.overtime(121.0 + OWN_SECONDS - 0.1) is Overtime.NONE
    assert limit.overtime(121.0 + OWN_SECONDS) is Overtime.INTERRUPT
    limit.work_ends()
    limit.heard(1e9)  # a message without work is no work
    assert limit.overtime(2e9) is Overtime.NONE


def test_a_time_limit_does_not_count_while_the_pod_stands_still() -> None:
    wall = iter([100.0, 100.0, 109.0, 109.5, 170.0, 170.5, 171.0])
    clock = RunningTime(lambda: next(wall))
    limit = TimeLimit(2.0)
    limit.work_begins(clock.now())
    limit.strategy_runs(True)
    # Nine seconds without a look count as half a second, and so does a minute.
    ends = [limit.overtime(clock.now()) for _ in range(5)]
    assert ends == [Overtime.NONE] * 3 + [Overtime.INTERRUPT, Overtime.NONE]
