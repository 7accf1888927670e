"""The plan of a live Feed: its Deployments, their state, and when it has failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tapedeck_common.settings import PodSettings
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan import Network, Observed, ObservedPod, Plan, Settings, plan
from tapedeck_operator.plan.pods import optional_keys

NOW = 1_700_000_000_000
SETTINGS = Settings(images={"feed": "i/feed:1"}, operator_key=b"secret", results_key=b"results")


def feed(status: Json | None = None, generation: int = 1, **spec: Any) -> Feed:
    document: Json = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Feed",
        "metadata": {"name": "x", "uid": "u-1", "generation": generation},
        "spec": {"exchange": "binance", "symbols": ["BTC/USDT"], **spec},
    }
    if status is not None:
        document["status"] = status
    parsed = parse_resource(document)
    assert isinstance(parsed, Feed)
    return parsed


def deployments(planned: Plan) -> list[Json]:
    return [one for one in planned.apply if one["kind"] == "Deployment"]


def pod(shard: int = 0, code: int | None = None, **report: Any) -> ObservedPod:
    status = FeedReport.model_validate({"state": "running", "reason": "Live", **report})
    return ObservedPod(f"p{shard}", shard, "Running" if code is None else "Failed", report=status, exit_code=code)


def test_each_shard_has_a_deployment() -> None:
    made = deployments(plan(feed(shards=3, apiKeySecret="my-key"), Observed(), NOW, SETTINGS))
    assert len({one["metadata"]["name"] for one in made}) == 3
    for shard, one in enumerate(made):
        spec = one["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        inner = spec["template"]["spec"]
        assert inner["restartPolicy"] == "Always"
        environment = {v["name"]: v.get("value") for v in inner["containers"][0]["env"]}
        assert environment["TAPEDECK_SHARD"] == str(shard)
        assert environment["TAPEDECK_EXCHANGE_KEYS"] == "/etc/tapedeck/exchange"
        assert environment.keys() <= {f"TAPEDECK_{name.upper()}" for name in PodSettings.model_fields}
        assert {"name": "exchange", **optional_keys("my-key", ("apiKey", "secret", "password"))} in inner["volumes"]
        assert one["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_the_template_follows_the_spec_and_not_the_settings() -> None:
    made = tuple(deployments(plan(feed(), Observed(), NOW, SETTINGS)))
    newer = replace(SETTINGS, images={"feed": "i/feed:2"})
    assert plan(feed(), Observed(deployments=made, pods=(pod(),)), NOW, newer).apply == ()
    changed = feed(generation=2, symbols=["BTC/USDT", "ETH/USDT"])
    (fresh,) = deployments(plan(changed, Observed(deployments=made, pods=(pod(),)), NOW, newer))
    assert fresh["spec"]["template"]["spec"]["containers"][0]["image"] == "i/feed:2"


def test_a_suspended_feed_has_no_pods_and_changed_replicas_are_restored() -> None:
    made = tuple(deployments(plan(feed(), Observed(), NOW, SETTINGS)))
    planned = plan(feed(generation=2, suspend=True), Observed(deployments=made), NOW, SETTINGS)
    assert [one["spec"]["replicas"] for one in deployments(planned)] == [0]
    assert planned.status["phase"] == "Suspended"
    scaled = ({**made[0], "spec": {**made[0]["spec"], "replicas": 4}},)
    (patch,) = plan(feed(), Observed(deployments=scaled, pods=(pod(),)), NOW, SETTINGS).patches
    assert (patch.kind, patch.spec) == ("Deployment", {"replicas": 1})


def test_counts_of_all_shards_are_added() -> None:
    pods = (pod(0, trades=3, bars=1, symbols=2), pod(1, trades=4, symbols=1, clock_skew_ms=-7))
    status = plan(feed(shards=2), Observed(pods=pods), NOW, SETTINGS).status
    assert status["phase"] == "Running"
    assert (status["trades"], status["bars"], status["symbols"], status["clockSkewMs"]) == (7, 1, 3, -7)


def test_refused_rows_are_told_apart_from_what_was_lost() -> None:
    """Errors are also gaps that no recovery fills, and symbols that are not traded."""
    shards = (pod(0, errors=7, refused_rows=2), pod(1, errors=5))
    backfill = replace(
        pod(0, errors=4, refused_rows=1, backfill={"rangeFrom": 0, "rangeTo": 1, "total": 9}), name="b", in_job=True
    )
    history = {"from": "2023-01-01T00:00:00Z", "intervals": ["1m"]}
    status = plan(feed(shards=2, backfill=history), Observed(pods=(*shards, backfill)), NOW, SETTINGS).status
    assert (status["errors"], status["refusedRows"]) == (16, 3)
    files = {"source": {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}}}
    read = parse_resource(feed().model_dump(by_alias=True) | {"spec": files})
    status = plan(read, Observed(pods=(pod(errors=7, refused_rows=2),)), NOW, SETTINGS).status
    assert (status["errors"], status["refusedRows"]) == (7, 2)


def test_a_problem_of_one_shard_is_reported() -> None:
    pods = (pod(0), pod(1, reason="Reconnecting", message="the connection was lost"))
    status = plan(feed(shards=2), Observed(pods=pods), NOW, SETTINGS).status
    assert (status["phase"], status["message"]) == ("Running", "the connection was lost")


def test_invalid_input_fails_the_feed_and_deletes_all_deployments() -> None:
    made = tuple(deployments(plan(feed(shards=2), Observed(), NOW, SETTINGS)))
    bad = pod(1, 64, state="failed", reason="UnknownSymbol", message="symbols: got 'A/B'")
    planned = plan(feed(shards=2), Observed(deployments=made, pods=(pod(0), bad)), NOW, SETTINGS)
    assert planned.apply == ()
    assert [kind for kind, _ in planned.delete] == ["Deployment"] * 2
    assert (planned.status["phase"], planned.status["message"]) == ("Failed", "symbols: got 'A/B'")
    assert planned.events[0].type == "Warning"
    assert plan(feed(planned.status, shards=2), Observed(), NOW, SETTINGS).apply == ()


def test_dropped_shards_are_deleted() -> None:
    made = tuple(deployments(plan(feed(shards=3), Observed(), NOW, SETTINGS)))
    planned = plan(feed(generation=2, shards=1), Observed(deployments=made), NOW, SETTINGS)
    assert {name for _, name in planned.delete} == {one["metadata"]["name"] for one in made[1:]}


def test_other_failures_are_restarted() -> None:
    crashed = pod(0, 1, state="failed", reason="Unreachable", message="no answer")
    planned = plan(feed(), Observed(pods=(crashed,)), NOW, SETTINGS)
    assert (planned.status["phase"], planned.status["message"]) == ("Pending", "no answer")
    assert [(event.type, event.reason) for event in planned.events] == [("Normal", "Restarting")]
    assert len(deployments(planned)) == 1
    planned = plan(feed(), Observed(pods=(crashed, crashed)), NOW, SETTINGS)
    assert [(event.type, event.reason) for event in planned.events] == [("Warning", "CrashLoop")]


def test_the_policy_allows_the_ports_of_the_exchange() -> None:
    with_policies = replace(SETTINGS, network=Network())
    endpoints = {"rest": "http://mirror.example:8080", "websocket": "wss://mirror.example"}
    planned = plan(feed(endpoints=endpoints), Observed(), NOW, with_policies)
    (policy,) = [one for one in planned.apply if one["kind"] == "NetworkPolicy"]
    assert [p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]] == [443, 8080]
