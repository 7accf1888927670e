"""The plan of a backfill: its Job, alone or with live Deployments, and the joined status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from tapedeck_common.settings import PodSettings
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Backtest, Feed
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan import Network, Observed, ObservedPod, Plan, Settings, plan
from tapedeck_operator.plan.pods import optional_keys

NOW = 1_700_000_000_000
SETTINGS = Settings(images={"feed": "i/feed:1"}, operator_key=b"secret", results_key=b"results")


def feed(status: Json | None = None, *, shards: int = 2, only: bool = False, **spec: Any) -> Feed:
    backfill = {"from": "2021-01-01T00:00:00Z", "shards": shards, "only": only}
    document: Json = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Feed",
        "metadata": {"name": "x", "uid": "u-1", "generation": 1},
        "spec": {"exchange": "binance", "symbols": ["BTC/USDT"], "backfill": backfill, **spec},
    }
    if status is not None:
        document["status"] = status
    parsed = parse_resource(document)
    assert isinstance(parsed, Feed)
    return parsed


def of_kind(planned: Plan, kind: str) -> list[Json]:
    return [one for one in planned.apply if one["kind"] == kind]


def job(*conditions: str) -> Json:
    (made,) = of_kind(plan(feed(), Observed(), NOW, SETTINGS), "Job")
    return made | {"status": {"conditions": [{"type": each, "status": "True"} for each in conditions]}}


def backfill_pod(shard: int, done: int, rows: int, *, code: int | None = None, **more: Any) -> ObservedPod:
    report = FeedReport.model_validate(
        {
            "state": "running" if code is None else "complete" if code == 0 else "failed",
            "reason": "Backfilling",
            "symbols": 1,
            "backfill": {
                "range_from": NOW - 60_000 * 1000,
                "range_to": NOW,
                "done": done,
                "total": 1000,
                "rows": rows,
                **more,
            },
        }
    )
    if code is None:
        return ObservedPod(f"j{shard}", shard, "Running", report=report, in_job=True)
    phase: Literal["Succeeded", "Failed"] = "Failed" if code else "Succeeded"
    return ObservedPod(f"j{shard}", shard, phase, report=report, exit_code=code, in_job=True)


def live_pod(**report: Any) -> ObservedPod:
    status = FeedReport.model_validate({"state": "running", "reason": "Live", "message": "live", **report})
    return ObservedPod("d0", 0, "Running", report=status)


def test_a_live_feed_with_a_backfill_has_a_job_with_a_pod_for_each_shard() -> None:
    with_policies = replace(SETTINGS, network=Network())
    planned = plan(feed(shards=3, apiKeySecret="my-key"), Observed(), NOW, with_policies)
    assert len(of_kind(planned, "Deployment")) == len(of_kind(planned, "NetworkPolicy")) == 1
    (made,) = of_kind(planned, "Job")
    spec = made["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    pod = spec["template"]["spec"]
    environment = {v["name"]: v.get("value") for v in pod["containers"][0]["env"]}
    assert environment["TAPEDECK_BACKFILL_UNTIL"] == str(NOW)
    assert environment["TAPEDECK_EXCHANGE_KEYS"] == "/etc/tapedeck/exchange"
    assert environment.keys() <= {f"TAPEDECK_{name.upper()}" for name in PodSettings.model_fields}
    assert {"name": "exchange", **optional_keys("my-key", ("apiKey", "secret", "password"))} in pod["volumes"]
    (deployed,) = of_kind(planned, "Deployment")
    listener = deployed["spec"]["template"]["spec"]["containers"][0]
    assert "TAPEDECK_BACKFILL_UNTIL" not in {v["name"] for v in listener["env"]}
    assert of_kind(plan(feed(), Observed(job=job()), NOW + 1, SETTINGS), "Job") == [], "the Job is not applied again"


def test_a_backfill_alone_is_one_job() -> None:
    planned = plan(feed(only=True), Observed(), NOW, SETTINGS)
    assert [one["kind"] for one in planned.apply] == ["Job"]
    done = (backfill_pod(0, 1000, 900, code=0, missing=100), backfill_pod(1, 1000, 1000, code=0))
    over = plan(feed(only=True), Observed(job=job("Complete"), pods=done), NOW, SETTINGS)
    assert (over.status["phase"], over.status["progress"]) == ("Complete", "2000/2000")
    assert over.status["message"] == "2000 of 2000 bars checked, 1900 downloaded, 100 not available"
    assert (over.apply, over.status["bars"]) == ((), 1900)


def test_the_status_lists_each_shard() -> None:
    pods = (
        backfill_pod(0, 500, 400, rate=20.5, retries=3, eta_seconds=25, last_error="too many requests", missing=100),
        backfill_pod(1, 1000, 1000, code=0),
    )
    status = plan(feed(only=True), Observed(job=job(), pods=pods), NOW, SETTINGS).status
    assert (status["phase"], status["progress"]) == ("Running", "1500/2000")
    assert status["message"] == "1500 of 2000 bars checked, 1400 downloaded, 100 not available, about 25 s left"
    first, second = status["backfill"]
    assert first == {
        "shard": 0, "from": "2023-11-14T05:33:20Z", "to": "2023-11-14T22:13:20Z", "done": 500, "total": 1000,
        "rows": 400, "missing": 100, "rate": 20.5, "retries": 3, "etaSeconds": 25, "lastError": "too many requests",
    }  # fmt: skip
    assert (second["shard"], second["done"]) == (1, 1000)


def test_a_restarted_shard_keeps_its_predecessors_progress_until_it_knows_its_total() -> None:
    begun = ObservedPod("j0-2", 0, "Running", report=backfill_pod(0, 0, 0, total=0).report, in_job=True)
    pods = (backfill_pod(0, 500, 400, code=1), begun, backfill_pod(1, 0, 0))
    status = plan(feed(only=True), Observed(job=job(), pods=pods), NOW, SETTINGS).status
    assert status["progress"] == "500/2000"


def test_the_counts_of_both_parts_are_added() -> None:
    pods = (live_pod(bars=7, trades=9, symbols=1), backfill_pod(0, 10, 10), backfill_pod(1, 20, 20))
    status = plan(feed(), Observed(job=job(), pods=pods), NOW, SETTINGS).status
    assert (status["phase"], status["message"]) == ("Running", "live")
    assert (status["bars"], status["trades"], status["progress"]) == (37, 9, "30/2000")


def test_a_failed_backfill_ends_the_live_part_only_after_invalid_input() -> None:
    crashed = backfill_pod(0, 10, 10, code=1)
    status = plan(feed(), Observed(job=job("Failed"), pods=(live_pod(), crashed)), NOW, SETTINGS).status
    assert status["phase"] == "Running"
    assert status["conditions"][0]["reason"] == "BackfillFailed"
    assert status["message"].startswith("live; the backfill failed: ")
    bad = backfill_pod(0, 0, 0, code=64)
    ended = plan(feed(), Observed(job=job("Failed"), pods=(live_pod(), bad)), NOW, SETTINGS)
    assert ended.status["phase"] == "Failed"
    assert of_kind(ended, "Deployment") == []


@pytest.mark.parametrize("only", [True, False])
def test_both_parts_can_be_suspended(only: bool) -> None:
    planned = plan(feed(only=only, suspend=True), Observed(job=job()), NOW, SETTINGS)
    assert planned.status["phase"] == "Suspended"
    assert ("Job", {"suspend": True}) in [(patch.kind, patch.spec) for patch in planned.patches]
    assert all(one["spec"]["replicas"] == 0 for one in of_kind(planned, "Deployment"))


def test_invalid_input_of_the_live_part_ends_the_backfill() -> None:
    refused = ObservedPod("d0", 0, "Failed", report=FeedReport(state="failed", reason="WrongKey"), exit_code=64)
    planned = plan(feed(), Observed(job=job(), pods=(refused, backfill_pod(0, 1, 1))), NOW, SETTINGS)
    assert planned.status["phase"] == "Failed"
    assert "Job" in [kind for kind, _ in planned.delete]


@pytest.mark.parametrize(
    ("spec", "symbols", "waits"),
    [
        ({"only": True}, ["BTC/USDT"], True),
        ({"only": True, "symbols": ["*/USDT"]}, ["BTC/USDT"], True),
        ({"only": True}, ["ETH/USDT"], False),
        ({"only": True, "exchange": "kraken"}, ["BTC/USDT"], False),
        ({"only": False}, ["BTC/USDT"], False),
    ],
)
def test_a_run_over_stored_bars_waits_for_a_backfill_alone(spec: Json, symbols: list[str], waits: bool) -> None:
    data = {"store": {"exchange": "binance", "symbols": symbols}}
    document = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "b", "uid": "u-2", "generation": 1},
        "spec": {"strategy": {"builtin": "sma-cross"}, "data": data},
    }
    backtest = parse_resource(document)
    assert isinstance(backtest, Backtest)
    images = replace(SETTINGS, images={"backtest": "i/backtest:1"})
    planned = plan(backtest, Observed(active_feeds=(feed(**spec),)), NOW, images)
    assert (planned.status["conditions"][0]["reason"] == "WaitingForFeed") is waits
    assert bool(of_kind(planned, "Job")) is not waits
