"""A Backtest of many trials: one Job of a pod for each shard, and what they found together."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Backtest
from tapedeck_crds.report import BacktestReport, TrialReport
from tapedeck_crds.sweep import Sweep
from tapedeck_operator.plan.job_plan import job_and_policy, run_plan
from tapedeck_operator.plan.status import Verdict, judge_run
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_sweep(backtest: Backtest, sweep: Sweep, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The plan of a sweep; how many pods run at once may change while it does."""
    at_once = min(sweep.parallelism or sweep.shards, sweep.shards)
    children = job_and_policy(backtest, observed, settings, completions=sweep.shards, parallelism=at_once)
    reports = [report for index in range(sweep.shards) if (report := _last_report(observed, index)) is not None]
    verdict = _judge(observed, backtest)
    if reports:
        verdict = replace(verdict, facts=_facts(sweep, reports))
    return run_plan(backtest, observed, verdict, now_ms, settings, children, parallelism=at_once)


def _judge(observed: Observed, backtest: Backtest) -> Verdict:
    """It runs while any shard does: others may wait for their turn."""
    running = tuple(replace(pod, index=0) for pod in observed.pods if pod.phase == "Running" and pod.report is not None)
    newest = tuple(replace(pod, index=0) for pod in observed.pods)
    return judge_run(replace(observed, pods=running or newest), backtest.status)


def _last_report(observed: Observed, index: int) -> BacktestReport | None:
    """The newest word of a shard; that of an earlier pod while its successor is still starting."""
    said = (pod.report for pod in reversed(observed.pods) if pod.index == index)
    return next((r for r in said if isinstance(r, BacktestReport) and r.trials), None)


def _facts(sweep: Sweep, reports: list[BacktestReport]) -> Json:
    best = [trial for report in reports for trial in report.best]
    tried = sum(report.tried for report in reports)
    return {
        "run_id": reports[0].run_id or None,
        "progress": f"{tried}/{reports[0].trials}",
        "best": [trial.model_dump() for trial in _ranked(sweep, best)],
    }


def _ranked(sweep: Sweep, trials: list[TrialReport]) -> list[TrialReport]:
    """The best first; the tests of a walk-forward in order of time."""
    if sweep.walk_forward is not None:
        return sorted(trials, key=lambda trial: trial.window)
    sign = -1.0 if sweep.objective.direction == "maximize" else 1.0
    return sorted(trials, key=lambda trial: (sign * trial.objective, trial.trial))[: sweep.keep]
