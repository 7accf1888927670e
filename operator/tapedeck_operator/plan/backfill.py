"""A Feed's past: one Indexed Job, alone or beside the Deployments that listen."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.backfill import Backfill
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.report import BackfillReport, FeedReport
from tapedeck_operator.plan import pods
from tapedeck_operator.plan.exchange import ports_of, with_keys
from tapedeck_operator.plan.job_plan import run_plan
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.replay_shards import judge_shards
from tapedeck_operator.plan.status import Verdict
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_backfill(feed: Feed, asked: Backfill, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """What should be of a Feed that brings the past alone."""
    policy = network_policy(feed, settings, ports=ports_of(feed))
    children = [policy] if policy is not None and not contains(observed.policy, policy) else []
    if observed.job is None:
        children.append(_job(feed, asked, now_ms, settings))
    verdict = judge_backfill(feed, asked, observed)
    return run_plan(feed, observed, verdict, now_ms, settings, tuple(children), parallelism=asked.shards)


def judge_backfill(feed: Feed, asked: Backfill, observed: Observed) -> Verdict:
    """How the past fares, by the pods of the Job; its facts are those of all shards together."""
    mine = replace(observed, pods=tuple(pod for pod in observed.pods if pod.in_job))
    verdict = judge_shards(mine, feed.status if asked.only else None, asked.shards)
    reports = {index: report for index in range(asked.shards) if (report := _newest(mine, index)) is not None}
    if not reports:
        return verdict
    if verdict.phase == "Complete" or verdict.reason == "Backfilling":
        verdict = replace(verdict, message=_summary(reports))
    return replace(verdict, facts=_facts(reports))


def refused(observed: Observed) -> bool:
    """Whether a pod of the Job ended because trying again can't help."""
    return any(pod.in_job and pod.exit_code == EXIT_BAD_INPUT for pod in observed.pods)


def _job(feed: Feed, asked: Backfill, now_ms: int, settings: Settings) -> Json:
    # Said once, so that every pod of it, and each that follows one, has the same part of the range.
    until = {"TAPEDECK_BACKFILL_UNTIL": str(now_ms)}
    job = pods.run_job(feed, settings, extra_env=until, completions=asked.shards, parallelism=asked.shards)
    job["spec"]["template"]["spec"] = with_keys(feed, job["spec"]["template"]["spec"])
    return job


def _newest(observed: Observed, index: int) -> FeedReport | None:
    """The newest word of a shard; that of an earlier pod while its successor is still looking up what there is."""
    said = [pod.report for pod in reversed(observed.pods) if pod.index == index]
    found = [report for report in said if isinstance(report, FeedReport) and report.backfill is not None]
    return next((report for report in found if report.backfill and report.backfill.total), found[0] if found else None)


def _facts(reports: dict[int, FeedReport]) -> Json:
    shards = [(index, report.backfill) for index, report in reports.items() if report.backfill is not None]
    return {
        "bars": sum(shard.rows for _, shard in shards),
        "errors": sum(report.errors for report in reports.values()),
        "symbols": max(report.symbols for report in reports.values()),
        "progress": f"{sum(shard.done for _, shard in shards)}/{sum(shard.total for _, shard in shards)}",
        "backfill": [_progress(index, shard) for index, shard in shards],
    }


def _progress(index: int, shard: BackfillReport) -> Json:
    kept = shard.model_dump(exclude={"range_from", "range_to", "last_error"})
    span = {"from": format_ms(shard.range_from), "to": format_ms(shard.range_to)}
    return {"shard": index, **span, **kept, "last_error": shard.last_error or None}


def _summary(reports: dict[int, FeedReport]) -> str:
    shards = [report.backfill for report in reports.values() if report.backfill is not None]
    done, total = sum(shard.done for shard in shards), sum(shard.total for shard in shards)
    missing = sum(shard.missing for shard in shards)
    known = [shard.eta_seconds for shard in shards if shard.eta_seconds is not None]
    left = f", about {max(known)} s to go" if done < total and known else ""
    rows = sum(shard.rows for shard in shards)
    return (
        f"{done} of {total} bars looked at, {rows} brought" + (f", {missing} not to be had" if missing else "") + left
    )
