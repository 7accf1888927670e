"""The alerts, by `promtool test rules`: each case is a course of metrics and the alerts that fire at its end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stores import debian
from stores.questdb import StoreNotInstallable

ALERTS = Path(__file__).parents[2] / "charts/tapedeck/files/alerts.yaml"
LAG = 'tapedeck_recorder_lag_messages{pod="a"}'
REJECTED = 'tapedeck_recorder_rejected_total{pod="a"}'
REFUSED = 'tapedeck_resource_rows_total{kind="Feed",namespace="n",name="f",pod="%s",result="refused"}'
FAILED = 'tapedeck_resource_phase{kind="Backtest",namespace="n",name="b",phase="Failed"}'
PLAYING = 'tapedeck_replay_playing{namespace="n",pod="r"}'
POSITION = 'tapedeck_replay_position_seconds{namespace="n",pod="r"}'
LATENESS = 'tapedeck_replay_lateness_seconds_bucket{namespace="n",pod="r",le="%s"}'
LEASES = 'tapedeck_operator_watch_events_total{kind="Lease"}'
# What is there in every case, so that alerts about its absence keep silent.
WELL = {
    LEASES: "0+6x60",
    'tapedeck_recorder_partitions{pod="a"}': "72x60",
    'tapedeck_recorder_replicas{pod="a"}': "1x60",
}

# Name, series (a sample a minute), minute, alerts that fire. `_`: a minute without a sample; `stale`: the pod ends.
CASES: list[tuple[str, dict[str, str], int, list[str]]] = [
    ("all is well", {}, 60, []),
    (
        "one of several recorders is gone, and the other has its partitions",
        {
            'tapedeck_recorder_partitions{pod="a"}': "36x20 72x40",
            'tapedeck_recorder_partitions{pod="b"}': "36x20 stale",
            'tapedeck_recorder_replicas{pod="a"}': "2x60",
            'tapedeck_recorder_replicas{pod="b"}': "2x20 stale",
        },
        27,
        ["TapedeckRecorderMissing"],
    ),
    (
        "all recorders are gone",
        {
            'tapedeck_recorder_partitions{pod="a"}': "72x20 stale",
            'tapedeck_recorder_replicas{pod="a"}': "1x20 stale",
        },
        24,
        ["TapedeckRecorderDown"],
    ),
    ("a lag stays at five million", {LAG: "5000000x60"}, 25, ["TapedeckRecorderBehind"]),
    ("a lag grows", {LAG: "0+5000x60"}, 30, ["TapedeckRecorderBehind"]),
    ("a lag of five million is being caught up", {LAG: "5000000-80000x60"}, 40, []),
    ("a counter is first seen at 500", {REFUSED % "o": "_x10 500x50"}, 11, ["TapedeckRowsRefused"]),
    ("rows were refused long ago", {REFUSED % "o": "500x60"}, 30, []),
    (
        "an operator that started again tells of old rows",
        {REFUSED % "o": "500x20 stale", REFUSED % "p": "_x21 500x39"},
        25,
        [],
    ),
    (
        "a backfill meets errors after a while",
        {REFUSED % "o": "0x20 3x40"},
        22,
        ["TapedeckRowsRefused"],
    ),
    ("a recorder rejects messages from its first scrape", {REJECTED: "_x10 7x50"}, 11, ["TapedeckRecorderRejects"]),
    ("a recorder rejects more messages", {REJECTED: "7x30 8x30"}, 32, ["TapedeckRecorderRejects"]),
    (
        "the operator's watches are silent, scraped once a minute",
        {LEASES: "0+6x20 120x40"},
        26,
        ["TapedeckOperatorWatchSilent"],
    ),
    ("the operator is gone", {LEASES: "0+6x20 stale"}, 23, ["TapedeckOperatorWatchSilent"]),
    (
        "a replay stands still",
        {PLAYING: "1x60", POSITION: "0+60x20 1200x40"},
        32,
        ["TapedeckReplayStandsStill"],
    ),
    (
        "a replay is paused",
        {PLAYING: "1x20 0x40", POSITION: "0+60x20 1200x40"},
        40,
        [],
    ),
    (
        "a replay is later than the largest bucket",
        {LATENESS % "3600": "0x60", LATENESS % "+Inf": "0+600x60"},
        20,
        ["TapedeckReplayLate"],
    ),
    (
        "a run fails",
        {FAILED.replace("Failed", "Running"): "1x10 stale", FAILED: "_x11 1x49"},
        12,
        ["TapedeckResourceFailed"],
    ),
    (
        "a run failed hours ago",
        {FAILED: "1x120"},
        60,
        [],
    ),
]


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return debian.unpacked("prometheus") / "usr/bin/promtool"
    except StoreNotInstallable as reason:
        pytest.skip(f"no promtool: {reason}")


def names() -> list[str]:
    return [rule["alert"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]]


@pytest.mark.parametrize(("series", "minute", "firing"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_fires(promtool: Path, tmp_path: Path, series: dict[str, str], minute: int, firing: list[str]) -> None:
    inputs = [{"series": name, "values": values} for name, values in (WELL | series).items()]
    expected = " or ".join(f'ALERTS{{alertname="{name}",alertstate="firing"}}' for name in names())
    tests: dict[str, Any] = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "61s",  # of scrapes: a range of a minute then has one sample
                "input_series": inputs,
                "promql_expr_test": [
                    {
                        "expr": f"count by (alertname) ({expected})",
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(tests))
    done = subprocess.run([str(promtool), "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_of_the_data_has_a_case() -> None:
    fired = {name for _, _, _, firing in CASES for name in firing}
    others = {"TapedeckSinkUnreachable", "TapedeckOperatorWatchesStall", "TapedeckOperatorBehind"}
    assert fired | others == set(names())
