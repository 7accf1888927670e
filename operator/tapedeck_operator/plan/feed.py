"""A Feed: one Job that reads files, or Deployments that listen to an exchange and a Job that brings its past."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.kinds import Feed
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan.backfill import plan_backfill
from tapedeck_operator.plan.job_plan import job_and_policy, newest_report, run_plan
from tapedeck_operator.plan.live import plan_live
from tapedeck_operator.plan.status import judge_run, of_type
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_feed(feed: Feed, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """What should be of a Feed."""
    if feed.spec.backfill is not None and feed.spec.backfill.only:
        return plan_backfill(feed, feed.spec.backfill, observed, now_ms, settings)
    if feed.spec.exchange is not None:
        return plan_live(feed, observed, now_ms, settings)
    report = of_type(newest_report(observed), FeedReport)
    verdict = judge_run(observed, feed.status)
    if report is not None:
        verdict = replace(
            verdict,
            facts={
                "bars": report.bars,
                "trades": report.trades,
                "duplicates": report.duplicates,
                "errors": report.errors,
                "progress": f"{report.done}/{report.total}",
            },
        )
    return run_plan(feed, observed, verdict, now_ms, settings, job_and_policy(feed, observed, settings))
