"""The Job of a sweep, and its status from the reports of its shards."""

from __future__ import annotations

from typing import Any

from tapedeck_crds.kinds import Backtest
from tapedeck_crds.report import BacktestReport, TrialReport
from tapedeck_operator.plan import Observed, ObservedPod, Settings, plan

DAY = 86_400_000
SETTINGS = Settings(images={"backtest": "bt"}, operator_key=b"k", results_key=b"results")


def a_sweep(**sweep: Any) -> Backtest:
    return Backtest.model_validate(
        {
            "apiVersion": "tapedeck.dev/v1alpha1",
            "kind": "Backtest",
            "metadata": {"name": "x", "uid": "u"},
            "spec": {
                "strategy": {"builtin": "sma-cross"},
                "data": {"store": {"exchange": "x", "symbols": ["A"]}},
                "sweep": {"params": [{"name": "fast", "values": [5, 10]}], "shards": 4, **sweep},
            },
        }
    )


def a_report(tried: int, *best: tuple[int, float], window: int = 0) -> BacktestReport:
    trials = tuple(
        TrialReport(window=window, trial=n, start=DAY * window, end=DAY * (window + 1), objective=o, params={"fast": n})
        for n, o in best
    )
    return BacktestReport(state="running", run_id="u", tried=tried, trials=40, best=trials)


def shard(index: int, report: BacktestReport | None, **more: Any) -> ObservedPod:
    return ObservedPod(**{"name": f"p{index}", "index": index, "phase": "Running", "report": report, **more})


def test_the_job_has_a_pod_for_each_shard_and_limits_parallelism() -> None:
    job = next(m for m in plan(a_sweep(parallelism=2), Observed(), 0, SETTINGS).apply if m["kind"] == "Job")
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (4, 2)
    assert job["spec"]["backoffLimit"] == 4 * 20
    (patch,) = plan(a_sweep(parallelism=9), Observed(job=job), 0, SETTINGS).patches
    assert patch.spec == {"parallelism": 4}


def test_the_trials_of_all_shards_are_ranked_together() -> None:
    job = next(m for m in plan(a_sweep(), Observed(), 0, SETTINGS).apply if m["kind"] == "Job")
    pods = (
        shard(0, a_report(7, (3, 1.5), (1, 0.5)), phase="Failed"),
        shard(1, a_report(9, (2, 1.75)), phase="Succeeded"),
        shard(0, None, name="p0b", phase="Pending"),
        shard(2, a_report(4, (8, 1.5))),
    )
    status = plan(a_sweep(keep=3), Observed(job=job, pods=pods), 0, SETTINGS).status
    assert (status["phase"], status["progress"]) == ("Running", "20/40")
    assert [(t["trial"], t["objective"]) for t in status["best"]] == [(2, 1.75), (3, 1.5), (8, 1.5)]
    least = a_sweep(keep=1, objective={"metric": "maxDrawdownPercent", "direction": "minimize"})
    assert [t["trial"] for t in plan(least, Observed(job=job, pods=pods), 0, SETTINGS).status["best"]] == [1]


def test_the_windows_of_a_walk_forward_are_in_order_of_time() -> None:
    rolling = a_sweep(walkForward={"trainDays": 5, "testDays": 1})
    job = next(m for m in plan(rolling, Observed(), 0, SETTINGS).apply if m["kind"] == "Job")
    pods = (shard(0, a_report(1, (-1, 9.0), window=4)), shard(1, a_report(1, (-1, 2.0), window=1)))
    status = plan(rolling, Observed(job=job, pods=pods), 0, SETTINGS).status
    assert [(t["window"], t["trial"], t["sample"], t["from"], t["to"]) for t in status["best"]] == [
        (1, -1, "outOfSample", "1970-01-02T00:00:00Z", "1970-01-03T00:00:00Z"),
        (4, -1, "outOfSample", "1970-01-05T00:00:00Z", "1970-01-06T00:00:00Z"),
    ]


def test_the_last_shard_reports_the_sweep_as_a_whole() -> None:
    rolling = a_sweep(walkForward={"trainDays": 5, "testDays": 1})
    job = next(m for m in plan(rolling, Observed(), 0, SETTINGS).apply if m["kind"] == "Job")
    whole = {"value": 900.0, "return_percent": -10.0, "windows": 2, "cold_windows": 1, "bars": 50, "daily_returns": 3}
    whole |= {"open_windows": 2, "bust_trials": 4, "failed_trials": 0}
    last = a_report(1, (-1, 2.0), window=1).model_copy(update={**whole, "undefined": ("sharpe: too short",)})
    pods = (shard(0, a_report(39, (-1, 9.0))), shard(1, last))
    status = plan(rolling, Observed(job=job, pods=pods), 0, SETTINGS).status
    assert status["progress"] == "40/40"
    figures = ("value", "returnPercent", "windows", "coldWindows", "emptyWindows", "bars", "dailyReturns")
    assert [status[name] for name in figures] == [900.0, -10.0, 2, 1, 0, 50, 3]
    assert [status[name] for name in ("openWindows", "bustTrials", "failedTrials")] == [2, 4, 0]
    assert status["undefined"] == ["sharpe: too short"]
    best = a_report(20, (3, 1.5)).model_copy(update={"deflated_sharpe": 0.25, "bust_trials": 7})
    pods = (shard(0, a_report(20, (1, 0.5))), shard(1, best))
    status = plan(a_sweep(), Observed(job=job, pods=pods), 0, SETTINGS).status
    assert (status["deflatedSharpe"], status["bustTrials"], status.get("windows")) == (0.25, 7, None)
    assert {trial["sample"] for trial in status["best"]} == {"inSample"}
