"""The plan of a Backtest: one Job, over stored bars, a Replay, a live Feed, or as a sweep with a pod for each shard."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Backtest, Replay
from tapedeck_crds.report import TRIAL_COUNTS, WINDOW_COUNTS, BacktestReport, TrialReport
from tapedeck_crds.sweep import Sweep
from tapedeck_operator.plan import reasons
from tapedeck_operator.plan.job_plan import job_children, job_plan, waiting_for_feed
from tapedeck_operator.plan.run_status import (
    PodFailure,
    RunStatus,
    newest_report,
    of_shard,
    report_message,
    reports_of_index,
    run_status,
)
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_backtest(backtest: Backtest, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The plan of a Backtest."""
    data = backtest.spec.data
    if (waiting := waiting_for_feed(data.store, observed)) is not None:
        return job_plan(backtest, observed, waiting, now_ms, settings, ())
    if backtest.spec.sweep is not None:
        return _plan_sweep(backtest, backtest.spec.sweep, observed, now_ms, settings)
    if data.feed is not None:
        return _plan_over_feed(backtest, data.feed.name, observed, now_ms, settings)
    if data.replay is not None:
        return _plan_over_replay(backtest, data.replay.name, observed, now_ms, settings)
    children = job_children(backtest, observed, settings, keyed=True)
    return job_plan(backtest, observed, _run_status(backtest, observed), now_ms, settings, children)


def _run_status(backtest: Backtest, observed: Observed) -> RunStatus:
    state = run_status(observed, backtest.status)
    report = newest_report(observed, BacktestReport)
    if report is None:
        return state
    if state.phase == "Complete" and report.state == "complete" and report.reason:  # such as Bust
        state = replace(state, reason=report.reason, warning=True)
    return replace(state, fields=_fields(report))


def _plan_over_replay(backtest: Backtest, name: str, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The run is bound to the Replay's uid: one of the same name that was created later is not the same data."""
    replay = observed.replay
    bound_uid = backtest.status.replay_uid if backtest.status is not None else None
    if bound_uid is None and replay is None:
        message = f"data.replay.name: no Replay named {name} in this namespace yet"
        waiting = RunStatus("Pending", reasons.WAITING_FOR_REPLAY, message)
        return job_plan(backtest, observed, waiting, now_ms, settings, ())
    if replay is not None and replay.spec.source.channel != "bars":
        message = f"data.replay.name: got {name}, which plays trades (its source.channel), expected one that plays bars"
        rejected = RunStatus("Failed", reasons.UNSUPPORTED_CHANNEL, message, warning=True)
        return job_plan(backtest, observed, rejected, now_ms, settings, ())
    uid = bound_uid or (replay.metadata.uid if replay is not None else "")
    state = _run_status(backtest, observed)
    if not state.final and (lost := _lost_replay(replay, uid, name)) is not None:
        state = replace(state, phase="Failed", reason=lost.reason, message=lost.message)
    state = replace(state, fields={**state.fields, "replay_uid": uid})
    children = job_children(backtest, observed, settings, keyed=True, extra_env={"TAPEDECK_REPLAY_UID": uid})
    return job_plan(backtest, observed, state, now_ms, settings, children)


def _plan_over_feed(backtest: Backtest, name: str, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The Feed must exist when the run starts. It may be deleted later: the run reads the topic, not the Feed."""
    feed = next((feed for feed in observed.active_feeds if feed.metadata.name == name), None)
    exchange = feed.spec.exchange if feed is not None else None
    if observed.job is None and exchange is None and not backtest.finished:
        message = f"data.feed.name: no active Feed named {name} in this namespace yet"
        if feed is not None:
            message = f"data.feed.name: Feed {name} reads files, expected one with spec.exchange"
        waiting = RunStatus("Pending", reasons.WAITING_FOR_FEED, message)
        return job_plan(backtest, observed, waiting, now_ms, settings, ())
    env = {"TAPEDECK_FEED_EXCHANGE": exchange or "", "TAPEDECK_SINCE": backtest.metadata.creation_timestamp}
    children = job_children(backtest, observed, settings, keyed=True, extra_env=env)
    return job_plan(backtest, observed, _run_status(backtest, observed), now_ms, settings, children)


def _lost_replay(replay: Replay | None, uid: str, name: str) -> RunStatus | None:
    """The state of a run whose Replay was deleted or has failed; None if it is neither."""
    if replay is None or replay.metadata.uid != uid:
        message = f"Replay {name} was deleted while this run was bound to it"
        return RunStatus("Failed", reasons.REPLAY_DELETED, message)
    if replay.status is not None and replay.status.phase == "Failed":
        message = f"Replay {name} failed: {replay.status.message or 'see its status'}"
        return RunStatus("Failed", reasons.REPLAY_FAILED, message)
    return None


_NOT_COPIED = {
    "state", "reason", "message", "sandbox", "transforms", "undefined", "total", "tried", "trials", "best",
    "deflated_sharpe", *WINDOW_COUNTS, *TRIAL_COUNTS,
}  # fmt: skip


def _fields(report: BacktestReport) -> Json:
    fields = report.model_dump(exclude=_NOT_COPIED)
    return {
        **fields,
        "undefined": list(report.undefined) or None,
        "progress": f"{report.bars}/{report.total or '?'}",
        **_run_id(report),
    }


def _run_id(report: BacktestReport) -> Json:
    """The field with the id of the run; none while its pod starts."""
    return {"run_id": report.run_id} if report.run_id else {}


def _plan_sweep(backtest: Backtest, sweep: Sweep, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The plan of a sweep. ``sweep.parallelism`` may change while it runs."""
    parallelism = min(sweep.parallelism or sweep.shards, sweep.shards)
    children = job_children(backtest, observed, settings, keyed=True, completions=sweep.shards, parallelism=parallelism)
    reports = [found for index in range(sweep.shards) if (found := _report_with_trials(observed, index)) is not None]
    state = _sweep_status(observed, backtest, sweep.shards)
    if reports:
        state = replace(state, fields=_sweep_fields(sweep, reports))
        if state.phase == "Complete":  # all shards have the same notes, and the last one the result's
            state = replace(state, message=max(map(report_message, reports), key=len))
    return job_plan(backtest, observed, state, now_ms, settings, children, parallelism=parallelism)


def _sweep_status(observed: Observed, backtest: Backtest, shards: int) -> RunStatus:
    """A sweep is running while any of its shards is; the others may be queued."""
    running = tuple(pod for pod in observed.pods if pod.phase == "Running" and pod.report is not None)
    of_newest = tuple(pod for pod in observed.pods if pod.index == observed.pods[-1].index)
    pods = tuple(replace(pod, index=0) for pod in running or of_newest)
    state = run_status(replace(observed, pods=pods), backtest.status)
    return replace(state, failing=_failing_shards(observed, shards, any_running=bool(running)))


def _failing_shards(observed: Observed, shards: int, *, any_running: bool) -> PodFailure | None:
    """Why shards fail; None if none does. One that no node accepts waits for those that run, as a queue would."""
    states = [of_shard(run_status(_of_index(observed, index), None), index) for index in range(shards)]
    found = [state.failing for state in states if state.failing is not None]
    if any_running:
        found = [failing for failing in found if failing.reason != reasons.UNSCHEDULABLE]
    if not found:
        return None
    return replace(found[0], message=f"{len(found)} of {shards} shards fail: {found[0].message}")


def _of_index(observed: Observed, index: int) -> Observed:
    return replace(observed, pods=tuple(replace(pod, index=0) for pod in observed.pods if pod.index == index))


def _report_with_trials(observed: Observed, index: int) -> BacktestReport | None:
    """The newest report of a shard that knows its trials; a restarted pod needs a moment until it does."""
    reports = reports_of_index(observed, index, BacktestReport)
    return next((report for report in reports if report.trials), None)


def _sweep_fields(sweep: Sweep, reports: list[BacktestReport]) -> Json:
    best = [trial for report in reports for trial in report.best]
    tried = sum(report.tried for report in reports)
    deflated = [report.deflated_sharpe for report in reports if report.deflated_sharpe is not None]
    return {
        **_whole_sweep(reports),
        **({"deflated_sharpe": deflated[0]} if deflated else {}),
        **_run_id(reports[0]),
        "progress": f"{tried}/{reports[0].trials}",
        "best": [_best_trial(trial) for trial in _ranked(sweep, best)],
    }


def _whole_sweep(reports: list[BacktestReport]) -> Json:
    """What the last shard reports of the sweep as a whole; none before it has ended."""
    last = next((report for report in reports if report.bust_trials is not None), None)
    if last is None:
        return {}
    of_windows = {**_fields(last), **last.model_dump(include=set(WINDOW_COUNTS))} if last.windows else {}
    return {**of_windows, **last.model_dump(include=set(TRIAL_COUNTS))}


def _best_trial(trial: TrialReport) -> Json:
    return {
        **trial.model_dump(exclude={"start", "end"}),
        "sample": "outOfSample" if trial.trial < 0 else "inSample",
        "from": format_ms(trial.start),
        "to": format_ms(trial.end),
    }


def _ranked(sweep: Sweep, trials: list[TrialReport]) -> list[TrialReport]:
    """The best trials first, at most ``sweep.keep``; for a walk-forward, the test windows in order of time."""
    if sweep.walk_forward is not None:
        return sorted(trials, key=lambda trial: trial.window)
    sign = -1.0 if sweep.objective.direction == "maximize" else 1.0
    return sorted(trials, key=lambda trial: (sign * trial.objective, trial.trial))[: sweep.keep]
