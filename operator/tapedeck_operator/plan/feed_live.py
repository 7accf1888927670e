"""The live part of a Feed: one Deployment for each shard, and their state."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan import names, reasons
from tapedeck_operator.plan.feed_children import ChildChanges, live_deployment
from tapedeck_operator.plan.feed_refusals import status_with_refused
from tapedeck_operator.plan.run_status import RunStatus, not_running_status, of_shard, restarting
from tapedeck_operator.plan.transforms import transform_name
from tapedeck_operator.plan.types import Observed, ObservedPod, Patch, Settings

_SUMS = (
    "bars", "trades", "duplicates", "errors", "refused_rows", "tickers", "symbols", "late", "missing", "gaps",
    "reconnects",
)  # fmt: skip


def live_changes(feed: Feed, observed: Observed, settings: Settings) -> ChildChanges:
    """Apply missing and outdated Deployments, restore the replicas of changed ones, delete those of dropped shards."""
    desired = {one["metadata"]["name"]: one for one in _desired(feed, settings)}
    existing = {one["metadata"]["name"]: one for one in observed.deployments}
    outdated = {name for name, one in desired.items() if _outdated(existing.get(name), one)}
    scaled = {
        name: one["spec"]["replicas"]
        for name, one in desired.items()
        if name not in outdated and existing[name]["spec"]["replicas"] != one["spec"]["replicas"]
    }
    return ChildChanges(
        apply=tuple(one for name, one in desired.items() if name in outdated),
        patches=tuple(Patch("Deployment", name, {"replicas": replicas}) for name, replicas in scaled.items()),
        delete=_deletions(existing.keys() - desired.keys() - {transform_name(feed)}),
    )


def live_stop(feed: Feed, observed: Observed) -> ChildChanges:
    """Delete all Deployments."""
    existing = {one["metadata"]["name"] for one in observed.deployments}
    return ChildChanges(delete=_deletions(existing - {transform_name(feed)}))


def live_status(feed: Feed, observed: Observed) -> RunStatus:
    """The state of the live part: Failed after invalid input, else that of the first shard with a problem."""
    pods = [pod for pod in observed.pods if not pod.in_job]
    newest = [_newest(pods, shard) for shard in range(_shards(feed))]
    reports = [report for pod in newest if (report := _report(pod)) is not None]
    return status_with_refused(feed, _live_status(feed, pods, newest, reports), reports)


def _live_status(
    feed: Feed, pods: list[ObservedPod], newest: list[ObservedPod | None], reports: list[FeedReport]
) -> RunStatus:
    fields = _fields(reports)
    rejected = next((pod for pod in pods if pod.exit_code == EXIT_BAD_INPUT), None)
    if rejected is not None:
        return replace(_rejected_input(rejected), fields=fields)
    problems = [
        of_shard(problem, shard) if len(newest) > 1 else problem
        for shard, pod in enumerate(newest)
        if (problem := _problem(feed, pods, pod)) is not None
    ]
    if problems:
        return replace(min(problems, key=lambda problem: problem.failing is None), fields=fields)
    worst = next((report for report in reports if report.reason != "Live"), reports[0])
    return RunStatus("Running", worst.reason, worst.message, fields)


def _desired(feed: Feed, settings: Settings) -> list[Json]:
    return [live_deployment(feed, settings, shard) for shard in range(_shards(feed))]


def _shards(feed: Feed) -> int:
    return feed.spec.shards or 1


def _outdated(existing: Json | None, desired: Json) -> bool:
    """Whether the Deployment is missing or of an older spec. Changed operator settings do not replace it."""
    generation = desired["metadata"]["labels"][names.GENERATION_LABEL]
    return existing is None or existing["metadata"].get("labels", {}).get(names.GENERATION_LABEL) != generation


def _deletions(deployments: set[str]) -> tuple[tuple[str, str], ...]:
    return tuple(("Deployment", name) for name in sorted(deployments))


def _newest(pods: list[ObservedPod], shard: int) -> ObservedPod | None:
    return next((pod for pod in reversed(pods) if pod.index == shard), None)


def _report(pod: ObservedPod | None) -> FeedReport | None:
    return pod.report if pod is not None and isinstance(pod.report, FeedReport) else None


def _rejected_input(pod: ObservedPod) -> RunStatus:
    report = _report(pod)
    message = report.message if report is not None and report.message else f"pod {pod.name} rejects its input"
    reason = report.reason if report is not None else ""
    return RunStatus("Failed", reason or reasons.INVALID_INPUT, message)


def _problem(feed: Feed, pods: list[ObservedPod], pod: ObservedPod | None) -> RunStatus | None:
    """The state of a shard that does not report ``running``; None if it does."""
    report = _report(pod)
    if pod is not None and pod.phase in ("Failed", "Succeeded"):
        return restarting((each for each in pods if each.index == pod.index), pod)
    if pod is None or pod.phase == "Pending" or pod.reason:
        return not_running_status(pod)
    if report is None and feed.status is not None and feed.status.phase == "Running":
        return RunStatus("Running", feed.status.conditions[0].reason, feed.status.message or "")
    if report is None:
        return RunStatus("Pending", reasons.STARTING, "the pod has not reported yet")
    if report.state != "running":
        return RunStatus("Pending", report.reason, report.message, warning=report.reason != "Connecting")
    return None


def _fields(reports: list[FeedReport]) -> Json:
    if not reports:
        return {}
    fields: Json = {name: sum(getattr(report, name) for report in reports) for name in _SUMS}
    skews = [report.clock_skew_ms for report in reports if report.clock_skew_ms is not None]
    return fields | ({"clock_skew_ms": skews[0]} if skews else {})
