"""A live Feed: a Deployment of one pod for each shard, kept up until the Feed is deleted or its input is bad."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan import names, pods
from tapedeck_operator.plan.backfill import judge_backfill, plan_backfill, refused
from tapedeck_operator.plan.exchange import ports_of, with_keys
from tapedeck_operator.plan.job_plan import end_of_life, next_look
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.status import Verdict, as_json, compose, job_ended, of_type, transitions
from tapedeck_operator.plan.transforms import (
    deployment_name,
    transform_children,
    transform_patches,
    unwanted_transforms,
    with_transforms,
)
from tapedeck_operator.plan.types import Observed, ObservedPod, Patch, Plan, Settings

_SUMS = ("bars", "trades", "duplicates", "errors", "tickers", "symbols", "late", "missing", "reconnects")


def plan_live(feed: Feed, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """What should be of a live Feed."""
    shards = feed.spec.shards or 1
    verdict = _with_past(feed, observed, _judge(feed, _listening(observed), shards))
    verdict = with_transforms(feed, observed, verdict, now_ms)
    over = verdict.phase == "Failed"
    if feed.spec.suspend and not over:
        verdict = replace(verdict, phase="Suspended", reason="Suspended", message="suspended by its spec")
    status = compose(feed, verdict, now_ms, refusal=observed.failure)
    wanted = [] if over else [deployment(feed, settings, shard) for shard in range(shards)]
    known = {one["metadata"]["name"]: one for one in observed.deployments}
    unwanted = sorted(known.keys() - {one["metadata"]["name"] for one in wanted} - {deployment_name(feed)})
    policy = network_policy(feed, settings, ports=ports_of(feed))
    apply = [policy] if policy is not None and not over and not contains(observed.policy, policy) else []
    apply += [one for one in wanted if _outdated(known.get(one["metadata"]["name"]), one)]
    apply += [] if over else transform_children(feed, observed, settings)
    scaled = () if over else transform_patches(feed, observed)
    jobs, turned, ended = _past(feed, observed, now_ms, settings, over)
    return Plan(
        status=as_json(status),
        apply=(*apply, *jobs),
        patches=(*(_scaled(one) for one in wanted if _drifted(known, one)), *scaled, *turned),
        delete=tuple(("Deployment", name) for name in unwanted)
        + unwanted_transforms(feed, observed, settings, over)
        + ended
        + ((("NetworkPolicy", names.child_name(feed)),) if settings.network is None and observed.policy else ()),
        events=transitions(feed, status, verdict.trouble or observed.failure is not None),
        requeue_at_ms=end_of_life(feed, now_ms) if over else next_look(observed),
    )


def deployment(feed: Feed, settings: Settings, shard: int) -> Json:
    """The Deployment of a shard: never two pods of it at once, and none while the Feed is suspended."""
    name = f"{names.child_name(feed)}-{shard}"
    template = pods.run_job(feed, settings)["spec"]["template"]
    labels = {**template["metadata"]["labels"], names.SHARD_LABEL: str(shard)}
    pod = {**template["spec"], "restartPolicy": "Always"}
    container = pod["containers"][0]
    container["env"] = pods.numbered(container["env"], shard)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**names.child_metadata(feed), "name": name},
        "spec": {
            "replicas": 0 if feed.spec.suspend else 1,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {names.UID_LABEL: feed.metadata.uid, names.SHARD_LABEL: str(shard)}},
            "template": {"metadata": {"labels": labels}, "spec": with_keys(feed, pod)},
        },
    }


def _listening(observed: Observed) -> Observed:
    return replace(observed, pods=tuple(pod for pod in observed.pods if not pod.in_job))


def _past(
    feed: Feed, observed: Observed, now_ms: int, settings: Settings, over: bool
) -> tuple[tuple[Json, ...], tuple[Patch, ...], tuple[tuple[str, str], ...]]:
    """What the past wants made, turned and deleted: its Job."""
    if feed.spec.backfill is None:
        return (), (), ()
    if over:
        unfinished = observed.job is not None and not job_ended(observed.job)
        return (), (), ((("Job", names.child_name(feed)),) if unfinished else ())
    plan = plan_backfill(feed, feed.spec.backfill, observed, now_ms, settings)
    jobs = tuple(one for one in plan.apply if one["kind"] == "Job")
    return jobs, plan.patches, tuple(one for one in plan.delete if one[0] == "Job")


def _with_past(feed: Feed, observed: Observed, live: Verdict) -> Verdict:
    """The verdict on what listens, with how the past fares."""
    if feed.spec.backfill is None:
        return live
    past = judge_backfill(feed, feed.spec.backfill, observed)
    sums = {name: live.facts.get(name, 0) + past.facts[name] for name in ("bars", "errors") if name in past.facts}
    facts = past.facts | live.facts | sums
    if past.phase == "Failed" and refused(observed) and live.phase != "Failed":
        return replace(past, facts=facts)
    if past.phase == "Failed" and live.phase != "Failed":
        said = f"{live.message}; the backfill failed: {past.message}"
        return replace(live, reason="BackfillFailed", message=said, facts=facts, trouble=True)
    return replace(live, facts=facts)


def _judge(feed: Feed, observed: Observed, shards: int) -> Verdict:
    newest = [observed.newest(shard) for shard in range(shards)]
    bad = next((pod for pod in observed.pods if _refused(pod)), None)
    facts = _facts(observed, shards)
    if bad is not None:
        report = of_type(bad.report, FeedReport)
        said = report.message if report is not None and report.message else f"pod {bad.name} refuses its input"
        return Verdict("Failed", (report.reason if report is not None else "") or "BadInput", said, facts)
    for pod in newest:
        if pod is None or pod.phase == "Pending":
            why = (pod.reason, pod.problem) if pod is not None and pod.reason else ("Starting", "its pod is being made")
            return Verdict("Pending", why[0], why[1], facts, trouble=why[0] != "Starting")
        report = of_type(pod.report, FeedReport)
        if pod.phase in ("Failed", "Succeeded"):
            said = report.message if report is not None and report.message else pod.problem
            return Verdict("Pending", "Restarting", said or f"pod {pod.name} ended", facts, trouble=True)
        if report is None and feed.status is not None and feed.status.phase == "Running":
            return Verdict("Running", feed.status.conditions[0].reason, feed.status.message or "", facts)
        if report is None:
            return Verdict("Pending", "Starting", "its pod has not answered yet", facts)
        if report.state != "running":
            return Verdict("Pending", report.reason, report.message, facts, trouble=report.reason != "Connecting")
    reports = [report for pod in newest if pod is not None and (report := of_type(pod.report, FeedReport)) is not None]
    worst = next((report for report in reports if report.reason != "Live"), reports[0])
    return Verdict("Running", worst.reason, worst.message, facts)


def _refused(pod: ObservedPod) -> bool:
    """Whether the pod ended because trying again can't help."""
    return pod.exit_code == EXIT_BAD_INPUT


def _facts(observed: Observed, shards: int) -> Json:
    found = [of_type(pod.report, FeedReport) for n in range(shards) if (pod := observed.newest(n)) is not None]
    reports = [report for report in found if report is not None]
    if not reports:
        return {}
    facts: Json = {name: sum(getattr(report, name) for report in reports) for name in _SUMS}
    skews = [report.clock_skew_ms for report in reports if report.clock_skew_ms is not None]
    return facts | ({"clock_skew_ms": skews[0]} if skews else {})


def _outdated(known: Json | None, wanted: Json) -> bool:
    """A template follows the Feed's spec, not the operator's settings."""
    generation = wanted["metadata"]["labels"][names.GENERATION_LABEL]
    return known is None or known["metadata"].get("labels", {}).get(names.GENERATION_LABEL) != generation


def _drifted(known: dict[str, Json], wanted: Json) -> bool:
    live = known.get(wanted["metadata"]["name"])
    return live is not None and not _outdated(live, wanted) and live["spec"]["replicas"] != wanted["spec"]["replicas"]


def _scaled(wanted: Json) -> Patch:
    return Patch("Deployment", wanted["metadata"]["name"], {"replicas": wanted["spec"]["replicas"]})
