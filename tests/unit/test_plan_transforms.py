"""The plan of transforms: their Deployment, and when a run with transforms is complete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tapedeck_common.settings import PodSettings
from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import FeedReport, ReplayReport, TransformReport, TransformsReport
from tapedeck_operator.plan import Network, Observed, ObservedPod, Plan, Settings, plan

NOW = 1_700_000_000_000
SETTINGS = Settings(
    images={name: f"i/{name}:1" for name in ("feed", "replay", "transform")},
    operator_key=b"secret",
    results_key=b"results",
    network=Network(egress=({"to": "broker"},)),
)
FILES = {"exchange": "x", "credentialsSecret": "s3-keys", "sets": [{"symbol": "A/B", "path": "a"}]}
OWN = [
    {"name": "mean", "sma": {}},
    {"name": "a", "function": {"module": "m:f", "configMap": "code"}},
    {"name": "b", "function": {"module": "n:g", "configMap": "code"}},
    {"name": "c", "function": {"module": "o:h", "configMap": "others"}},
]
LIVE: Json = {"exchange": "binance", "symbols": ["A/B"], "apiKeySecret": "my-key", "transforms": OWN}
FROM_FILES: Json = {"source": {"files": FILES}, "transforms": OWN[:1]}
TAPE: Json = {"source": {"store": {"exchange": "x", "symbols": ["A/B"]}}, "transforms": OWN[:1]}


def resource(kind: str, spec: Json, status: Json | None = None, generation: int = 1) -> Any:
    created = {"creationTimestamp": "2023-11-14T00:00:00Z", "generation": generation}
    document = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "uid": "u-1", **created},
        "spec": spec,
    }
    return parse_resource(document | ({"status": status} if status is not None else {}))


def deployments(planned: Plan) -> dict[str, Json]:
    return {one["metadata"]["name"]: one for one in planned.apply if one["kind"] == "Deployment"}


def transform_deployment(planned: Plan) -> Json:
    return next(one for name, one in deployments(planned).items() if name.endswith("-transform"))


def transform_pod(
    state: Any = "running", caught_up: int | None = None, message: str = "", kind: Any = FeedReport
) -> ObservedPod:
    results = (TransformReport(name="mean", points=7, errors=2, lookback=4),)
    report = TransformsReport(results=results, caught_up=caught_up)
    return ObservedPod(
        "t", 0, "Running", report=kind(state=state, message=message, transforms=report), part="transform"
    )


def complete(planned: Plan, at_ms: int) -> Json:
    job = next(one for one in planned.apply if one["kind"] == "Job")
    done = {"conditions": [{"type": "Complete", "status": "True"}], "completionTime": format_ms(at_ms)}
    return {**job, "status": done}


def test_functions_get_neither_exchange_keys_nor_access_to_the_exchange() -> None:
    planned = plan(resource("Feed", LIVE), Observed(), NOW, SETTINGS)
    assert len(deployments(planned)) == 2
    template = transform_deployment(planned)["spec"]["template"]
    container = template["spec"]["containers"][0]
    assert (container["image"], container["name"]) == ("i/transform:1", "transform")
    environment = {v["name"]: v.get("value") for v in container["env"]}
    assert None not in environment.values()  # without a Job there is no index to refer to
    folders = {name: environment.pop(name) for name in list(environment) if name.startswith("TAPEDECK_FUNCTIONS_")}
    assert set(folders.values()) == {"/opt/tapedeck/functions/code", "/opt/tapedeck/functions/others"}
    assert environment.keys() <= {f"TAPEDECK_{name.upper()}" for name in PodSettings.model_fields}
    assert (environment["TAPEDECK_KIND"], environment["TAPEDECK_SINCE"]) == ("Feed", "2023-11-14T00:00:00Z")
    assert "TAPEDECK_EXCHANGE_KEYS" not in environment
    maps = {v["configMap"]["name"] for v in template["spec"]["volumes"] if "configMap" in v}
    secrets = {v["secret"]["secretName"] for v in template["spec"]["volumes"] if "secret" in v}
    assert (maps, secrets) == ({"code", "others"}, {"tapedeck-connections"})
    mounts = {m["mountPath"] for m in container["volumeMounts"]}
    assert set(folders.values()) <= mounts
    policies = {one["metadata"]["name"]: one["spec"] for one in planned.apply if one["kind"] == "NetworkPolicy"}
    mine = policies.pop(transform_deployment(planned)["metadata"]["name"])
    assert mine["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert mine["egress"] == [{"to": "broker"}]
    (feeds,) = policies.values()
    assert feeds["podSelector"]["matchExpressions"] == [{"key": "tapedeck.dev/part", "operator": "DoesNotExist"}]
    assert len(feeds["egress"]) == 2


def test_a_changed_spec_replaces_the_deployment_and_one_without_transforms_deletes_it() -> None:
    planned = plan(resource("Feed", LIVE), Observed(), NOW, SETTINGS)
    seen = Observed(deployments=tuple(deployments(planned).values()))
    same = plan(resource("Feed", LIVE), seen, NOW, SETTINGS)
    assert deployments(same) == {}
    assert same.delete == ()
    other = LIVE | {"transforms": [{"name": "mean", "sma": {"over": 9}}]}
    assert len(deployments(plan(resource("Feed", other, generation=2), seen, NOW, SETTINGS))) == 2
    none = {name: value for name, value in LIVE.items() if name != "transforms"}
    before = {"phase": "Running", "transforms": [{"name": "mean", "points": 7}]}
    gone = plan(resource("Feed", none, before, generation=2), seen, NOW, SETTINGS)
    assert gone.status["transforms"] == []
    assert gone.delete == (("Deployment", transform_deployment(planned)["metadata"]["name"]),)


def test_changes_by_others_are_reverted() -> None:
    for kind, spec in (("Feed", LIVE), ("Replay", TAPE)):
        made = plan(resource(kind, spec), Observed(), NOW, SETTINGS)
        name = transform_deployment(made)["metadata"]["name"]
        of_run, of_part = (one for one in made.apply if one["kind"] == "NetworkPolicy")
        assert of_part["metadata"]["name"] == name
        job = next((one for one in made.apply if one["kind"] == "Job"), None)
        seen = Observed(job, policy=of_run, transform_policy=of_part, deployments=tuple(deployments(made).values()))
        same = plan(resource(kind, spec), seen, NOW, SETTINGS)
        assert (same.apply, same.patches, same.delete) == ((), (), ())
        assert plan(resource(kind, spec), replace(seen, transform_policy=None), NOW, SETTINGS).apply == (of_part,)
        open_ = {**of_part, "spec": {**of_part["spec"], "egress": [{}]}}
        assert plan(resource(kind, spec), replace(seen, transform_policy=open_), NOW, SETTINGS).apply == (of_part,)
        none = tuple({**one, "spec": {**one["spec"], "replicas": 0}} for one in seen.deployments)
        patches = plan(resource(kind, spec), replace(seen, deployments=none), NOW, SETTINGS).patches
        assert {patch.name for patch in patches} == {one["metadata"]["name"] for one in none}
        assert all(patch.spec == {"replicas": 1} for patch in patches)
        off = plan(resource(kind, spec), seen, NOW, replace(SETTINGS, network=None))
        assert ("NetworkPolicy", name) in off.delete


def test_a_live_feed_reports_failed_transforms_and_keeps_running() -> None:
    feed = resource("Feed", LIVE)
    pod = ObservedPod("p", 0, "Running", report=FeedReport(state="running", reason="Live", message="1 symbols"))
    seen = Observed(pods=(pod,), transform_pods=(transform_pod(),))
    status = plan(feed, seen, NOW, SETTINGS).status
    assert status["transforms"] == [{"name": "mean", "points": 7, "errors": 2, "lookback": 4}]
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Running", "Live")
    failed = plan(
        feed, replace(seen, transform_pods=(transform_pod("failed", message="no module m"),)), NOW, SETTINGS
    ).status
    assert (failed["phase"], failed["conditions"][0]["reason"]) == ("Running", "TransformsFailed")
    assert failed["message"] == "1 symbols; transforms failed: no module m"


def test_the_status_says_what_the_sandbox_of_functions_lacks() -> None:
    feed = resource("Feed", LIVE)
    pod = ObservedPod("p", 0, "Running", report=FeedReport(state="running", reason="Live", message="1 symbols"))
    transforms = transform_pod()
    assert transforms.report is not None
    lacking = replace(transforms, report=transforms.report.model_copy(update={"sandbox": "no Landlock"}))
    status = plan(feed, Observed(pods=(pod,), transform_pods=(lacking,)), NOW, SETTINGS).status
    assert (status["phase"], status["message"]) == ("Running", "1 symbols; no Landlock")


def test_a_run_is_complete_once_its_transforms_have_finished() -> None:
    for kind, spec, finished, report in (
        ("Feed", FROM_FILES, transform_pod(caught_up=NOW + 5_000), FeedReport),
        ("Replay", TAPE, transform_pod("complete", kind=ReplayReport), ReplayReport),
    ):
        planned = plan(resource(kind, spec), Observed(), NOW, SETTINGS)
        run = Observed(complete(planned, NOW), deployments=tuple(deployments(planned).values()))
        crashed = ObservedPod("t", 0, "Pending", problem="back-off 10s", reason="CrashLoopBackOff", part="transform")
        for behind in ((), (transform_pod(caught_up=NOW - 5_000, kind=report),), (crashed,)):
            waits = plan(resource(kind, spec), replace(run, transform_pods=behind), NOW + 9_000, SETTINGS)
            assert (waits.status["phase"], waits.status["conditions"][0]["reason"]) == ("Running", "Transforming")
            assert waits.delete == ()
            assert waits.requeue_at_ms == NOW + 600_000  # it is Complete then, although nothing else changes
        over = plan(resource(kind, spec), replace(run, transform_pods=(finished,)), NOW + 9_000, SETTINGS)
        assert over.status["phase"] == "Complete"
        assert over.delete == (("Deployment", transform_deployment(planned)["metadata"]["name"]),)
        broken = replace(run, transform_pods=(transform_pod("failed", message="no module m", kind=report),))
        without = plan(resource(kind, spec), broken, NOW + 9_000, SETTINGS).status
        assert (without["phase"], without["message"]) == ("Complete", "transforms failed: no module m")
        assert plan(resource(kind, spec), run, NOW + 600_000, SETTINGS).status["phase"] == "Complete"
        creating = ObservedPod("t", 0, "Pending", part="transform", recheck_at_ms=NOW + 30_000)
        slow = plan(resource(kind, spec), replace(run, transform_pods=(creating,)), NOW + 9_000, SETTINGS)
        assert slow.requeue_at_ms == NOW + 30_000


def test_the_transforms_of_a_feed_from_files_get_no_credentials_of_the_files() -> None:
    planned = plan(resource("Feed", FROM_FILES), Observed(), NOW, SETTINGS)
    pod = transform_deployment(planned)["spec"]["template"]["spec"]
    assert {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v} == {"tapedeck-connections"}
    suspended = plan(resource("Feed", FROM_FILES | {"suspend": True}), Observed(), NOW, SETTINGS)
    assert transform_deployment(suspended)["spec"]["replicas"] == 0
