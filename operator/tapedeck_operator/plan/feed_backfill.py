"""The backfill of a Feed: one Indexed Job, and its state from the reports of all shards."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.backfill import Backfill
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.report import BackfillReport, FeedReport
from tapedeck_operator.plan import reasons
from tapedeck_operator.plan.feed_children import ChildChanges, backfill_job
from tapedeck_operator.plan.feed_refusals import status_with_refused
from tapedeck_operator.plan.job_plan import is_suspended, job_patches, unfinished_job
from tapedeck_operator.plan.run_status import RunStatus, reports_of_index, sharded_run_status
from tapedeck_operator.plan.types import Observed, Settings


def backfill_changes(
    feed: Feed, backfill: Backfill, state: RunStatus, observed: Observed, now_ms: int, settings: Settings
) -> ChildChanges:
    """Create the Job unless it exists or the Feed is suspended, keep it suspended or running as the spec says."""
    if state.final:
        return backfill_stop(feed, observed)
    return ChildChanges(
        apply=() if is_suspended(feed) else missing_job(feed, backfill, observed, now_ms, settings),
        patches=job_patches(feed, observed, backfill.shards),
    )


def backfill_stop(feed: Feed, observed: Observed) -> ChildChanges:
    """Delete the Job if it has not ended."""
    return ChildChanges(delete=unfinished_job(feed, observed))


def missing_job(
    feed: Feed, backfill: Backfill, observed: Observed, now_ms: int, settings: Settings
) -> tuple[Json, ...]:
    """The Job if it does not exist."""
    return (backfill_job(feed, backfill, now_ms, settings),) if observed.job is None else ()


def backfill_status(feed: Feed, backfill: Backfill, observed: Observed) -> RunStatus:
    """The state of the backfill by the pods of its Job; its fields are sums over all shards."""
    of_job = replace(observed, pods=tuple(pod for pod in observed.pods if pod.in_job))
    state = sharded_run_status(of_job, feed.status if backfill.only else None, backfill.shards)
    reports = {index: found for index in range(backfill.shards) if (found := _newest_report(of_job, index)) is not None}
    if not reports:
        return state
    if state.phase == "Complete" or state.reason == "Backfilling":
        state = replace(state, message=_summary(reports))
    if state.phase == "Complete" and _is_empty(reports):
        state = replace(
            state, phase="Failed", reason=reasons.NO_BARS, message=f"no bar was downloaded: {state.message}"
        )
    return status_with_refused(feed, replace(state, fields=_fields(reports)), list(reports.values()))


def rejected_input(observed: Observed) -> bool:
    """Whether a pod of the Job ended because of invalid input, so that a retry cannot succeed."""
    return any(pod.in_job and pod.exit_code == EXIT_BAD_INPUT for pod in observed.pods)


def _is_empty(reports: dict[int, FeedReport]) -> bool:
    """Whether the exchange has no bar of the whole range, and the store had none before."""
    shards = [report.backfill for report in reports.values() if report.backfill is not None]
    return 0 < sum(shard.total for shard in shards) == sum(shard.missing for shard in shards)


def _newest_report(observed: Observed, index: int) -> FeedReport | None:
    """The newest report of a shard that knows its total; a restarted pod needs a moment until it does."""
    reports = [report for report in reports_of_index(observed, index, FeedReport) if report.backfill is not None]
    with_total = (report for report in reports if report.backfill is not None and report.backfill.total)
    return next(with_total, reports[0] if reports else None)


def _fields(reports: dict[int, FeedReport]) -> Json:
    shards = [(index, report.backfill) for index, report in reports.items() if report.backfill is not None]
    return {
        "bars": sum(shard.rows for _, shard in shards),
        "errors": sum(report.errors for report in reports.values()),
        "refused_rows": sum(report.refused_rows for report in reports.values()),
        "symbols": max(report.symbols for report in reports.values()),
        "progress": f"{sum(shard.done for _, shard in shards)}/{sum(shard.total for _, shard in shards)}",
        "backfill": [_shard_fields(index, shard) for index, shard in shards],
    }


def _shard_fields(index: int, shard: BackfillReport) -> Json:
    fields = shard.model_dump(exclude={"range_from", "range_to", "last_error"})
    span = {"from": format_ms(shard.range_from), "to": format_ms(shard.range_to)}
    return {"shard": index, **span, **fields, "last_error": shard.last_error or None}


def _summary(reports: dict[int, FeedReport]) -> str:
    shards = [report.backfill for report in reports.values() if report.backfill is not None]
    done, total = sum(shard.done for shard in shards), sum(shard.total for shard in shards)
    missing = sum(shard.missing for shard in shards)
    rows = sum(shard.rows for shard in shards)
    etas = [shard.eta_seconds for shard in shards if shard.eta_seconds is not None]
    summary = f"{done} of {total} bars checked, {rows} downloaded"
    if missing:
        summary += f", {missing} not available"
    if done < total and etas:
        summary += f", about {max(etas)} s left"
    return summary
