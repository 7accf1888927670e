"""The plan of a Feed: a Job that reads files, a Job for a backfill alone, or live Deployments with a backfill Job."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.backfill import Backfill
from tapedeck_crds.kinds import Feed
from tapedeck_crds.refusals import REASONS_MAX
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan import reasons
from tapedeck_operator.plan.conditions import resource_status, status_document, transition_events
from tapedeck_operator.plan.feed_backfill import (
    backfill_changes,
    backfill_status,
    backfill_stop,
    missing_job,
    rejected_input,
)
from tapedeck_operator.plan.feed_children import ChildChanges, missing_policy
from tapedeck_operator.plan.feed_live import live_changes, live_status, live_stop
from tapedeck_operator.plan.feed_refusals import status_with_refused
from tapedeck_operator.plan.job_plan import (
    disabled_policy,
    expiry_ms,
    is_suspended,
    job_children,
    job_plan,
    next_recheck_ms,
    suspended_status,
)
from tapedeck_operator.plan.run_status import PodFailure, RunStatus, newest_report, run_status
from tapedeck_operator.plan.transforms import (
    obsolete_transforms,
    status_with_transforms,
    transform_children,
    transform_patches,
)
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_feed(feed: Feed, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The plan of a Feed."""
    if feed.spec.backfill is not None and feed.spec.backfill.only:
        return _plan_backfill(feed, feed.spec.backfill, observed, now_ms, settings)
    if feed.spec.exchange is not None:
        return _plan_live(feed, observed, now_ms, settings)
    return _plan_files(feed, observed, now_ms, settings)


def _plan_files(feed: Feed, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    state = run_status(observed, feed.status)
    report = newest_report(observed, FeedReport)
    if report is not None:
        fields = {
            "bars": report.bars,
            "trades": report.trades,
            "duplicates": report.duplicates,
            "errors": report.errors,
            "refused_rows": report.refused_rows,
            "missing": report.missing or None,
            "gaps": report.gaps or None,
            "progress": f"{report.done}/{report.total}",
        }
        state = status_with_refused(feed, replace(state, fields=fields), (report,))
    return job_plan(feed, observed, state, now_ms, settings, job_children(feed, observed, settings))


def _plan_backfill(feed: Feed, backfill: Backfill, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    children = (
        *missing_policy(feed, observed, settings),
        *missing_job(feed, backfill, observed, now_ms, settings),
    )
    state = backfill_status(feed, backfill, observed)
    return job_plan(feed, observed, state, now_ms, settings, children, parallelism=backfill.shards)


def _plan_live(feed: Feed, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The live part and the backfill are planned separately; their states and their changes are then joined."""
    live, backfill = live_status(feed, observed), _backfill_status(feed, observed)
    state = live if backfill is None else _joined_status(live, backfill, rejected_input(observed))
    state = status_with_transforms(feed, observed, state, now_ms)
    failed = state.phase == "Failed"
    changes = _stop(feed, observed) if failed else _run(feed, backfill, observed, now_ms, settings)
    obsolete = obsolete_transforms(feed, observed, settings, final=failed) + disabled_policy(feed, observed, settings)
    if is_suspended(feed) and not failed:
        state = suspended_status(state)
    status = resource_status(feed, state, now_ms, failure=observed.failure)
    return Plan(
        status=status_document(status),
        apply=changes.apply,
        patches=changes.patches,
        delete=changes.delete + obsolete,
        events=transition_events(feed, status, state.warning or observed.failure is not None),
        requeue_at_ms=expiry_ms(feed, now_ms) if failed else next_recheck_ms(observed, state),
    )


def _backfill_status(feed: Feed, observed: Observed) -> RunStatus | None:
    return None if feed.spec.backfill is None else backfill_status(feed, feed.spec.backfill, observed)


def _joined_status(live: RunStatus, backfill: RunStatus, rejected: bool) -> RunStatus:
    """The state of both parts. A failed backfill fails the Feed only if its input was ``rejected``."""
    counts = ("bars", "errors", "refused_rows") if backfill.fields else ()
    sums = {name: live.fields.get(name, 0) + backfill.fields[name] for name in counts}
    refused = (live.fields.get("refused", []) + backfill.fields.get("refused", []))[:REASONS_MAX]
    fields = backfill.fields | live.fields | sums | ({"refused": refused} if refused else {})
    live = replace(live, degraded=live.degraded or backfill.degraded, failing=live.failing or _of_backfill(backfill))
    if live.phase == "Failed" or backfill.phase != "Failed":
        return replace(live, fields=fields)
    if rejected:
        return replace(backfill, fields=fields)
    message = f"{live.message}; the backfill failed: {backfill.message}"
    return replace(live, reason=reasons.BACKFILL_FAILED, message=message, fields=fields, warning=True)


def _of_backfill(backfill: RunStatus) -> PodFailure | None:
    failing = backfill.failing
    return failing and replace(failing, message=f"backfill: {failing.message}")


def _run(feed: Feed, backfill: RunStatus | None, observed: Observed, now_ms: int, settings: Settings) -> ChildChanges:
    """The changes that keep all parts running."""
    policy = ChildChanges(apply=missing_policy(feed, observed, settings))
    transforms = ChildChanges(transform_children(feed, observed, settings), transform_patches(feed, observed))
    changes = policy + live_changes(feed, observed, settings) + transforms
    if feed.spec.backfill is None or backfill is None:
        return changes
    return changes + backfill_changes(feed, feed.spec.backfill, backfill, observed, now_ms, settings)


def _stop(feed: Feed, observed: Observed) -> ChildChanges:
    """The changes that end all parts of a failed Feed."""
    changes = live_stop(feed, observed)
    return changes if feed.spec.backfill is None else changes + backfill_stop(feed, observed)
