"""The alerts, by `promtool test rules`: each case is a course of metrics and the alerts that fire at its end."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.rendered import CHART, EXTERNAL, HELM, find, render
from stores import debian
from stores.questdb import StoreNotInstallable

ALERTS = CHART / "files/alerts.yaml"
RUNBOOKS = Path(__file__).parents[2] / "docs/runbooks"
LAG = 'tapedeck_recorder_lag_records{pod="a",topic="t"}'
LAG_SECONDS = 'tapedeck_recorder_lag_seconds{pod="a",topic="t"}'
REJECTED = 'tapedeck_recorder_rejected_records_total{pod="a",topic="t"}'
REFUSED = 'tapedeck_resource_rows_total{kind="Feed",namespace="n",name="f",pod="%s",result="refused"}'
FAILED = 'tapedeck_resource_phase{kind="Backtest",namespace="n",name="b",phase="Failed"}'
READY = (
    'tapedeck_resource_condition{kind="Backtest",namespace="n",name="b",condition="Ready",status="false",reason="%s"}'
)
TRIALS = 'tapedeck_resource_expected_trials{kind="Backtest",namespace="n",name="b"}'
PLAYING = 'tapedeck_replay_playing{namespace="n",name="r",pod="r"}'
POSITION = 'tapedeck_replay_position_timestamp_seconds{namespace="n",name="r",pod="r"}'
LATENESS = 'tapedeck_replay_lateness_seconds_bucket{namespace="n",name="r",pod="r",le="%s"}'
LEASES = 'tapedeck_operator_watch_events_total{kind="Lease"}'
SILENT_WATCHES = 'tapedeck_operator_silent_watches_total{kind="Job"}'
LAST_RECORD = 'tapedeck_feed_last_record_timestamp_seconds{namespace="n",name="f",channel="trades",pod="f"}'
MISSED = 'tapedeck_feed_liveness_probes_total{namespace="n",name="f",pod="f",result="missed"}'
QUIET = MISSED.replace("missed", "quiet")
DOWN = 'tapedeck_feed_subscriptions{namespace="n",name="f",pod="f",state="down"}'
GAPS = 'tapedeck_feed_open_gaps{namespace="n",name="f",pod="f"}'
SINK = 'tapedeck_sink_up{pod="%s",sink="s"}'
BROKER, DATABASE = (f'tapedeck_gateway_dependency_up{{pod="g",dependency="{name}"}}' for name in ("broker", "database"))
UP = 'up{job="%s",namespace="n",pod="p"}'
CERTIFICATE = 'tapedeck_gateway_certificate_expiry_timestamp_seconds{namespace="n",pod="g"}'
FREE, SIZE = (
    f'kubelet_volume_stats_{name}_bytes{{namespace="n",persistentvolumeclaim="%s"}}'
    for name in ("available", "capacity")
)
STORE_CLAIM, LOG_CLAIM = "data-td-timescaledb-0", "datadir-redpanda-0"
DISK_FREE, DISK_SIZE = (
    f'redpanda_storage_disk_{name}_bytes{{namespace="n",pod="redpanda-0"}}' for name in ("free", "total")
)

# What is there in every case, so that alerts about its absence keep silent.
NORMAL = {
    LEASES: "0+6x120",
    'tapedeck_recorder_partitions{pod="a"}': "72x120",
    'tapedeck_recorder_wanted_replicas{pod="a"}': "1x120",
    UP % "operator": "1x120",
    UP % "gateway": "1x120",
}


@dataclass(frozen=True)
class Course:
    """Series with a sample each minute (`_`: none; `stale`: the pod ends). ``silent``: alerts that it is close to."""

    about: str
    series: dict[str, str]
    minute: int
    firing: tuple[str, ...] = ()
    silent: tuple[str, ...] = field(default=())


COURSES = [
    Course("nothing happens", {}, 60),
    Course(
        "one of several recorders is gone, and the other has its partitions",
        {
            'tapedeck_recorder_partitions{pod="a"}': "36x20 72x40",
            'tapedeck_recorder_partitions{pod="b"}': "36x20 stale",
            'tapedeck_recorder_wanted_replicas{pod="a"}': "2x60",
            'tapedeck_recorder_wanted_replicas{pod="b"}': "2x20 stale",
        },
        27,
        ("RecorderMissing",),
        ("RecorderDown",),
    ),
    Course(
        "all recorders are gone",
        {
            'tapedeck_recorder_partitions{pod="a"}': "72x20 stale",
            'tapedeck_recorder_wanted_replicas{pod="a"}': "1x20 stale",
        },
        24,
        ("RecorderDown",),
        ("RecorderMissing",),
    ),
    Course("a lag of records stays", {LAG: "5000000x60"}, 25, ("RecorderBehind",)),
    Course("old records are not stored", {LAG: "3x60", LAG_SECONDS: "0+60x60"}, 30, ("RecorderBehind",)),
    Course(
        "a large lag is caught up",
        {LAG: "5000000-80000x61 0x20", LAG_SECONDS: "600-10x60 0x20"},
        75,
        (),
        ("RecorderBehind",),
    ),
    Course(
        "records arrive fast and are stored at once",
        {LAG: "20000x60", LAG_SECONDS: "2x60"},
        40,
        (),
        ("RecorderBehind",),
    ),
    Course("a counter is first seen at 500", {REFUSED % "o": "_x10 500x50"}, 11, ("RowsRefused",)),
    Course("rows were refused long ago", {REFUSED % "o": "500x60"}, 30, (), ("RowsRefused",)),
    Course(
        "an operator that started again tells of old rows",
        {REFUSED % "o": "500x20 stale", REFUSED % "p": "_x21 500x39"},
        25,
        (),
        ("RowsRefused",),
    ),
    Course("a backfill meets errors after a while", {REFUSED % "o": "0x20 3x40"}, 22, ("RowsRefused",)),
    Course("a recorder rejects records from its first scrape", {REJECTED: "_x10 7x50"}, 11, ("RecorderRejects",)),
    Course("a recorder rejects more records", {REJECTED: "7x30 8x30"}, 32, ("RecorderRejects",)),
    Course("a recorder rejected records an hour ago", {REJECTED: "0x10 7x110"}, 70, (), ("RecorderRejects",)),
    Course(
        "a sink is unreachable for one recorder",
        {SINK % "a": "1x10 0x50", SINK % "b": "1x60"},
        25,
        ("SinkUnreachable",),
    ),
    Course("a sink is unreachable for a moment", {SINK % "a": "1x10 0x5 1x45"}, 30, (), ("SinkUnreachable",)),
    Course(
        "no gateway reaches the broker", {BROKER: "1x20 0x40", DATABASE: "1x60"}, 24, ("BrokerDown",), ("DatabaseDown",)
    ),
    Course(
        "no gateway reaches the database",
        {BROKER: "1x60", DATABASE: "1x20 0x40"},
        24,
        ("DatabaseDown",),
        ("BrokerDown",),
    ),
    Course("the exporter does not reach the database", {'pg_up{pod="e"}': "1x20 0x40"}, 24, ("DatabaseDown",)),
    Course(
        "one of two gateways has lost the broker",
        {BROKER: "0x60", BROKER.replace('"g"', '"h"'): "1x60"},
        30,
        (),
        ("BrokerDown",),
    ),
    Course("the gateway does not answer", {UP % "gateway": "1x20 0x40"}, 24, ("GatewayDown",), ("TargetDown",)),
    Course("the gateway starts again", {UP % "gateway": "1x20 0x1 1x39"}, 30, (), ("GatewayDown",)),
    Course("the pod of a replay is shut off", {UP % "replay": "1x20 0x40"}, 28, ("TargetDown",)),
    Course("a pod ends", {UP % "replay": "1x20 0x1 stale"}, 28, (), ("TargetDown",)),
    Course("a certificate expires in ten days", {CERTIFICATE: "864000x60"}, 20, ("CertificateExpires",)),
    Course("a certificate is fresh", {CERTIFICATE: "7776000x60"}, 20, (), ("CertificateExpires",)),
    Course(
        "the database's volume fills",
        {FREE % STORE_CLAIM: "20-1x15 5x40", SIZE % STORE_CLAIM: "100x60"},
        24,
        ("StoreVolumeFull",),
    ),
    Course("the broker's volume fills", {FREE % LOG_CLAIM: "5x60", SIZE % LOG_CLAIM: "100x60"}, 20, ("LogVolumeFull",)),
    Course("the broker tells that its disk fills", {DISK_FREE: "9x60", DISK_SIZE: "100x60"}, 20, ("LogVolumeFull",)),
    Course(
        "volumes are half full, and another's is full",
        {
            FREE % STORE_CLAIM: "50x60",
            SIZE % STORE_CLAIM: "100x60",
            DISK_FREE: "40x60",
            DISK_SIZE: "100x60",
            FREE % "data-other-0": "1x60",
            SIZE % "data-other-0": "100x60",
        },
        40,
        (),
        ("StoreVolumeFull", "LogVolumeFull"),
    ),
    Course("the operator is gone", {LEASES: "0+6x20 stale", UP % "operator": "1x20 stale"}, 25, ("OperatorDown",)),
    Course("the operator starts again", {UP % "operator": "1x20 0x1 1x39"}, 25, (), ("OperatorDown",)),
    Course("the operator's watches are silent", {LEASES: "0+6x20 120x40"}, 26, ("OperatorWatchSilent",)),
    Course(
        "the operator's watches pause for a minute", {LEASES: "0+6x20 120x1 121+6x39"}, 26, (), ("OperatorWatchSilent",)
    ),
    Course("watches stall again and again", {SILENT_WATCHES: "0x10 0+1x50"}, 20, ("OperatorWatchesStall",)),
    Course("a watch stalls once", {SILENT_WATCHES: "0x10 1x50"}, 20, (), ("OperatorWatchesStall",)),
    Course(
        "a resource waits for a worker", {"tapedeck_operator_queue_age_seconds": "0+20x60"}, 20, ("OperatorBehind",)
    ),
    Course(
        "a burst is worked off", {"tapedeck_operator_queue_age_seconds": "0x10 90x3 0x50"}, 20, (), ("OperatorBehind",)
    ),
    Course(
        "a run fails",
        {FAILED.replace("Failed", "Running"): "1x10 stale", FAILED: "_x11 1x49"},
        12,
        ("ResourceFailed",),
    ),
    Course("a run failed hours ago", {FAILED: "1x120"}, 90, (), ("ResourceFailed",)),
    Course(
        "pods of a sweep exceed their memory",
        {READY % "OOMKilled": "_x10 1x50", TRIALS: "500x60"},
        16,
        ("SweepShardFailing",),
        ("PodsFailing",),
    ),
    Course("pods of a run fail", {READY % "CrashLoop": "_x10 1x50"}, 16, ("PodsFailing",), ("SweepShardFailing",)),
    Course(
        "a pod of a sweep starts",
        {READY % "Starting": "1x60", TRIALS: "500x60"},
        30,
        (),
        ("SweepShardFailing", "PodsFailing"),
    ),
    Course(
        "a replay is later than the largest bucket",
        {LATENESS % "3600": "0x60", LATENESS % "+Inf": "0+600x60"},
        20,
        ("ReplayLate",),
    ),
    Course(
        "a replay is on time", {LATENESS % "0.01": "0+600x60", LATENESS % "+Inf": "0+600x60"}, 20, (), ("ReplayLate",)
    ),
    Course("a replay stands still", {PLAYING: "1x60", POSITION: "0+60x20 1200x40"}, 32, ("ReplayStalled",)),
    Course("a replay is paused", {PLAYING: "1x20 0x40", POSITION: "0+60x20 1200x40"}, 40, (), ("ReplayStalled",)),
    Course(
        "a feed gets nothing while its exchange trades",
        {LAST_RECORD: "60x60", MISSED: "0x10 0+1x50"},
        20,
        ("FeedSilent",),
    ),
    Course(
        "a feed's exchange is closed", {LAST_RECORD: "60x60", MISSED: "0x60", QUIET: "0+1x60"}, 40, (), ("FeedSilent",)
    ),
    Course("a feed connects again", {LAST_RECORD: "0+60x60", MISSED: "0x10 1x50"}, 20, (), ("FeedSilent",)),
    Course("a feed has lost its exchange", {DOWN: "0x10 3x50"}, 25, ("FeedDisconnected",)),
    Course("a feed loses a connection for a moment", {DOWN: "0x10 3x2 0x48"}, 25, (), ("FeedDisconnected",)),
    Course("gaps stay open", {GAPS: "0x10 2x50"}, 30, ("GapsOpen",)),
    Course("a gap is filled", {GAPS: "0x10 2x5 0x45"}, 40, (), ("GapsOpen",)),
]


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return debian.unpacked("prometheus") / "usr/bin/promtool"
    except StoreNotInstallable as reason:
        pytest.skip(f"no promtool: {reason}")


def rules(document: Any = None) -> dict[str, Any]:
    """The rules of a rule file, of the plain one by default, by the alert's name without the prefix."""
    groups = (document or yaml.safe_load(ALERTS.read_text()))["groups"]
    return {rule["alert"].removeprefix("Tapedeck"): rule for group in groups for rule in group["rules"]}


def test_each_course_makes_its_alerts_fire_and_no_others(promtool: Path, tmp_path: Path) -> None:
    every = " or ".join(f'ALERTS{{alertname="Tapedeck{name}",alertstate="firing"}}' for name in rules())
    tests = [
        {
            "name": course.about,
            "interval": "61s",  # of scrapes: a range of a minute then has one sample
            "input_series": [{"series": name, "values": text} for name, text in (NORMAL | course.series).items()],
            "promql_expr_test": [
                {
                    "expr": f"count by (alertname) ({every})",
                    "eval_time": f"{course.minute}m",
                    "exp_samples": [
                        {"labels": f'{{alertname="Tapedeck{name}"}}', "value": 1} for name in course.firing
                    ],
                }
            ],
        }
        for course in COURSES
    ]
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([str(promtool), "test", "rules", str(file)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_course_that_fires_it_and_one_that_is_close_to_it() -> None:
    assert {name for course in COURSES for name in course.firing} == set(rules())
    assert {name for course in COURSES for name in course.silent} == set(rules())
    assert not [course.about for course in COURSES if set(course.firing) & set(course.silent)]


@pytest.mark.parametrize("name", rules())
def test_an_alert_says_how_bad_it_is_and_leads_to_its_runbook(name: str) -> None:
    rule = rules()[name]
    assert rule["alert"] == f"Tapedeck{name}"
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    page = RUNBOOKS / rule["annotations"]["runbook_url"].rsplit("/", 1)[1]
    text = page.read_text()
    assert text.startswith(f"# Tapedeck{name}\n")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["Look", "Do"]


def test_each_runbook_is_that_of_an_alert() -> None:
    pages = {rule["annotations"]["runbook_url"].rsplit("/", 1)[1] for rule in rules().values()}
    assert {path.name for path in RUNBOOKS.iterdir()} == pages | {"README.md"}
    listed = re.findall(r"\]\(([a-z-]+\.md)\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(listed) == sorted(pages)


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
def test_the_chart_has_the_same_rules_with_thresholds_by_value() -> None:
    enabled = {**EXTERNAL, "metrics": {"alerts": {"enabled": True, "labels": {"release": "kps"}}}}
    installed = find(render(enabled), "PrometheusRule", "td")
    assert installed["metadata"]["labels"]["release"] == "kps"
    assert rules(installed["spec"]) == rules()
    thresholds = {"recorderLagRecords": 2_000_000, "volumeFreeRatio": 0.25, "gapsOpenFor": "2h"}
    enabled["metrics"]["alerts"] |= {"thresholds": thresholds, "runbooks": "https://wiki.example/td"}
    changed = rules(find(render(enabled), "PrometheusRule", "td")["spec"])
    behind = changed["RecorderBehind"]["expr"].replace("2e+06", "2000000")
    assert behind == rules()["RecorderBehind"]["expr"].replace("100000", "2000000")
    assert changed["StoreVolumeFull"]["expr"].endswith("< 0.25")
    assert changed["GapsOpen"]["for"] == "2h"
    assert changed["GapsOpen"]["annotations"]["runbook_url"] == "https://wiki.example/td/gaps-open.md"
