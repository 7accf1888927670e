"""A Backtest: one Job, bound to one Replay where it trades a stream."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Backtest, Replay
from tapedeck_crds.report import BacktestReport
from tapedeck_operator.plan.job_plan import job_and_policy, newest_report, run_plan, waiting_for_feed
from tapedeck_operator.plan.status import Verdict, judge_run, of_type
from tapedeck_operator.plan.sweep import plan_sweep
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_backtest(backtest: Backtest, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """A Backtest: one Job, bound to one Replay where it trades a stream."""
    report = of_type(newest_report(observed), BacktestReport)
    bound = backtest.status.replay_uid if backtest.status is not None else None
    wants = backtest.spec.data.replay
    verdict = judge_run(observed, backtest.status)
    if report is not None:
        verdict = replace(verdict, facts=_backtest_facts(report))
    if (waiting := waiting_for_feed(backtest.spec.data.store, observed)) is not None:
        return run_plan(backtest, observed, waiting, now_ms, settings, ())
    if backtest.spec.sweep is not None:
        return plan_sweep(backtest, backtest.spec.sweep, observed, now_ms, settings)
    if backtest.spec.data.feed is not None:
        return _plan_live(backtest, backtest.spec.data.feed.name, verdict, observed, now_ms, settings)
    if wants is None:
        return run_plan(backtest, observed, verdict, now_ms, settings, job_and_policy(backtest, observed, settings))
    replay = observed.replay
    if bound is None and replay is None:
        waiting = Verdict("Pending", "WaitingForReplay", f"no Replay named {wants.name} in this namespace yet")
        return run_plan(backtest, observed, waiting, now_ms, settings, ())
    if replay is not None and replay.spec.source.channel != "bars":
        message = f"data.replay.name: got {wants.name}, which plays trades (its source.channel), expected one of bars"
        refused = Verdict("Failed", "ReplayOfTrades", message, trouble=True)
        return run_plan(backtest, observed, refused, now_ms, settings, ())
    uid = bound or (replay.metadata.uid if replay is not None else "")
    if verdict.phase not in ("Complete", "Failed") and (lost := _lost_replay(replay, uid, wants.name)) is not None:
        verdict = replace(verdict, phase="Failed", reason=lost.reason, message=lost.message)
    verdict = replace(verdict, facts={**verdict.facts, "replay_uid": uid})
    children = job_and_policy(backtest, observed, settings, extra_env={"TAPEDECK_REPLAY_UID": uid})
    return run_plan(backtest, observed, verdict, now_ms, settings, children)


def _plan_live(
    backtest: Backtest, name: str, verdict: Verdict, observed: Observed, now_ms: int, settings: Settings
) -> Plan:
    """Once it runs, the Feed may come and go: its bars are on the log."""
    feed = next((feed for feed in observed.active_feeds if feed.metadata.name == name), None)
    exchange = feed.spec.exchange if feed is not None else None
    if observed.job is None and exchange is None and not backtest.finished:
        said = f"no Feed named {name} is at work in this namespace yet"
        if feed is not None:
            said = f"Feed {name} brings files, expected one with spec.exchange"
        return run_plan(backtest, observed, Verdict("Pending", "WaitingForFeed", said), now_ms, settings, ())
    env = {"TAPEDECK_FEED_EXCHANGE": exchange or "", "TAPEDECK_SINCE": backtest.metadata.creation_timestamp}
    children = job_and_policy(backtest, observed, settings, extra_env=env)
    return run_plan(backtest, observed, verdict, now_ms, settings, children)


def _lost_replay(replay: Replay | None, uid: str, name: str) -> Verdict | None:
    if replay is None or replay.metadata.uid != uid:
        return Verdict("Failed", "ReplayDeleted", f"Replay {name} was deleted while this run was bound to it")
    if replay.status is not None and replay.status.phase == "Failed":
        return Verdict("Failed", "ReplayFailed", f"Replay {name} failed: {replay.status.message or 'see its status'}")
    return None


def _backtest_facts(report: BacktestReport) -> Json:
    facts = report.model_dump(exclude={"state", "reason", "message", "total", "tried", "trials", "best"})
    return {**facts, "run_id": report.run_id or None, "progress": f"{report.bars}/{report.total or '?'}"}
