"""The planner: children, status, controls and events from a spec, an observed state and a time."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from planned import after, ended, job, resource
from tapedeck_common.settings import PodSettings
from tapedeck_crds.clock import Anchor
from tapedeck_crds.report import BacktestReport, FeedReport, ReplayReport
from tapedeck_operator.plan import Observed, ObservedPod, Settings, plan, reasons
from tapedeck_operator.plan.reasons import REASONS

NOW = 1_700_000_000_000
T0 = 1_522_800_000_000
SETTINGS = Settings(
    images={"feed": "i/feed:1", "replay": "i/replay:1", "backtest": "i/backtest:1"},
    operator_key=b"secret",
    results_key=b"results",
)
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"}}


def replay_pod(**report: Any) -> ObservedPod:
    facts = {"state": "running", "range_from": T0, "range_to": T0 + 600_000, "last_event": T0 + 660_000, **report}
    facts |= {"interval": "1m", "rows": 10}
    return ObservedPod("p", 0, "Running", "http://127.0.0.1:1", ReplayReport(**facts))


def test_children_have_deterministic_names_and_an_owner() -> None:
    one = plan(resource("Replay", {"source": STORE}), Observed(), NOW, SETTINGS)
    manifest = job(one)
    tag = sha256(b"u-1").hexdigest()[:8]
    assert manifest["metadata"]["name"] == f"replay-x-{tag}"
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert manifest["spec"]["completionMode"] == "Indexed"
    assert manifest["spec"]["backoffLimit"] == 20
    assert manifest["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [64]
    assert one == plan(resource("Replay", {"source": STORE}), Observed(), NOW, SETTINGS)
    long = resource("Replay", {"source": STORE}, name="a" * 40)
    assert len(job(plan(long, Observed(), NOW, SETTINGS))["metadata"]["name"]) <= 63


def test_the_environment_matches_the_workloads_settings() -> None:
    manifest = job(plan(resource("Replay", {"source": STORE}), Observed(), NOW, SETTINGS))
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    fields = {f"TAPEDECK_{name.upper()}" for name in PodSettings.model_fields}
    assert {variable["name"] for variable in container["env"]} <= fields
    spec = next(v["value"] for v in container["env"] if v["name"] == "TAPEDECK_SPEC")
    assert '"symbols":["BTC/USD"]' in spec


def test_pods_are_restricted_and_mount_no_service_account_token() -> None:
    for kind, spec in (
        ("Replay", {"source": STORE}),
        ("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE}),
    ):
        pod = job(plan(resource(kind, spec), Observed(), NOW, SETTINGS))["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        security = pod["containers"][0]["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        connections = next(each for each in pod["volumes"] if each["name"] == "connections")
        keys = [item["key"] for item in connections["secret"]["items"]]
        assert keys
        assert all(key.startswith(f"{kind.lower()}.") for key in keys)


def test_a_pod_template_is_not_changed_after_its_first_apply() -> None:
    first = resource("Replay", {"source": STORE})
    made = job(plan(first, Observed(), NOW, SETTINGS))
    newer = replace(SETTINGS, images={**SETTINGS.images, "replay": "i/replay:2"})
    assert plan(first, Observed(job=made, pods=(replay_pod(),)), NOW, newer).apply == ()


def test_a_deleted_control_secret_is_recreated_for_a_pod_that_does_not_start() -> None:
    replay = resource("Replay", {"source": STORE})
    first = plan(replay, Observed(), NOW, SETTINGS)
    waits = ObservedPod("p", 0, "Pending", reason="NotStarting", problem="its volumes may be missing")
    again = plan(replay, Observed(job=job(first), pods=(waits,)), NOW, SETTINGS)
    assert again.apply == tuple(made for made in first.apply if made["kind"] == "Secret") != ()


@pytest.mark.parametrize(("pod_reason", "reason"), [("OOMKilled", "OOMKilled"), ("", "PodFailed")])
def test_a_failed_pod_without_a_report_is_described_by_its_exit(pod_reason: str, reason: str) -> None:
    replay = resource("Replay", {"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    pod = ObservedPod("p", 0, "Failed", exit_code=137, problem="OOM-killed" if pod_reason else "", reason=pod_reason)
    status = plan(replay, Observed(ended(made, "Failed"), (pod,)), NOW, SETTINGS).status
    assert status["conditions"][0]["reason"] == reason
    assert status["message"] == (pod.problem or "pod p ended with exit code 137; see its log")


@pytest.mark.parametrize(("how", "phase"), [("Complete", "Complete"), ("Failed", "Failed")])
def test_an_ended_job_makes_the_resource_final(how: str, phase: str) -> None:
    feed = resource(
        "Feed",
        {"source": {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a.csv"}]}}},
    )
    made = job(plan(feed, Observed(), NOW, SETTINGS))
    report = FeedReport(state="failed", reason="BadFiles", message="no file", done=1, total=2, bars=5)
    pod = ObservedPod("p", 0, "Failed", None, report, 64)
    planned = plan(feed, Observed(ended(made, how), (pod,)), NOW, SETTINGS)
    assert planned.status["phase"] == phase
    assert planned.status["bars"] == 5
    assert planned.status["progress"] == "1/2"
    if how == "Failed":
        assert planned.status["message"] == "no file"
        assert planned.status["conditions"][0]["reason"] == "BadFiles"
    (event,) = planned.events
    assert event.type == ("Warning" if how == "Failed" else "Normal")
    final = plan(after(feed, planned), Observed(), NOW + 1, SETTINGS)
    assert (final.apply, final.delete, final.events, final.expired) == ((), (), (), False)
    assert final.status == planned.status


def test_a_finished_resource_expires_after_its_time_to_live() -> None:
    feed = resource(
        "Feed",
        {
            "source": {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}},
            "ttlSecondsAfterFinished": 10,
        },
        {"phase": "Complete", "finishedAt": "2023-11-14T22:13:20Z"},  # NOW
    )
    assert not plan(feed, Observed(), NOW + 9_999, SETTINGS).expired
    assert plan(feed, Observed(), NOW + 10_000, SETTINGS).expired


BACKTEST = {"strategy": {"builtin": "sma-cross"}, "data": {"replay": {"name": "r"}}}


def test_a_backtest_waits_for_its_replay_and_binds_to_its_uid() -> None:
    backtest = resource("Backtest", BACKTEST)
    waiting = plan(backtest, Observed(), NOW, SETTINGS)
    assert waiting.apply == ()
    assert waiting.status["conditions"][0]["reason"] == "WaitingForReplay"
    replay = resource("Replay", {"source": STORE}, name="r", uid="r-1")
    bound = plan(backtest, Observed(replay=replay), NOW, SETTINGS)
    env = job(bound)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "TAPEDECK_REPLAY_UID", "value": "r-1"} in env
    assert bound.status["replayUid"] == "r-1"


def test_a_backtest_over_a_replay_of_trades_fails() -> None:
    replay = resource("Replay", {"source": {"channel": "trades", **STORE}}, name="r", uid="r-1")
    refused = plan(resource("Backtest", BACKTEST), Observed(replay=replay), NOW, SETTINGS)
    assert (refused.apply, refused.status["phase"]) == ((), "Failed")
    assert refused.status["conditions"][0]["reason"] == "UnsupportedChannel"
    assert "data.replay.name: got r, which plays trades" in refused.status["message"]


@pytest.mark.parametrize(
    ("uid", "phase", "reason"), [("r-2", None, "ReplayDeleted"), ("r-1", "Failed", "ReplayFailed")]
)
def test_a_backtest_fails_with_its_replay(uid: str, phase: str | None, reason: str) -> None:
    backtest = resource("Backtest", BACKTEST)
    first = resource("Replay", {"source": STORE}, name="r", uid="r-1")
    bound = plan(backtest, Observed(replay=first), NOW, SETTINGS)
    status = {"phase": phase, "message": "no bars"} if phase else None
    now = resource("Replay", {"source": STORE}, status, name="r", uid=uid)
    planned = plan(after(backtest, bound), Observed(job(bound), (), now), NOW, SETTINGS)
    assert planned.status["phase"] == "Failed"
    assert planned.status["conditions"][0]["reason"] == reason
    assert planned.delete == (("Job", job(bound)["metadata"]["name"]),)


def test_a_killed_pod_is_reported_and_its_last_figures_are_kept() -> None:
    backtest = resource("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE})
    made = job(plan(backtest, Observed(), NOW, SETTINGS))
    report = BacktestReport(state="running", run_id="u-1", bars=7, total=10, trades=2, value=99.5)
    running = ObservedPod("p", 0, "Running", "http://127.0.0.1:1", report)
    first = plan(backtest, Observed(made, (running,)), NOW, SETTINGS)
    assert first.status["phase"] == "Running"
    assert (first.status["bars"], first.status["progress"], first.status["value"]) == (7, "7/10", 99.5)
    killed = ObservedPod("p", 0, "Failed", None, None, 137)
    second = plan(after(backtest, first), Observed(made, (killed,)), NOW + 5, SETTINGS)
    assert second.status["phase"] == "Pending"
    assert second.status["conditions"][0]["reason"] == "Restarting"
    assert "137" in second.status["message"]
    assert second.status["bars"] == 7
    assert second.status["startedAt"] == first.status["startedAt"]


def test_figures_are_those_of_the_last_report_alone() -> None:
    backtest = resource("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE})
    made = job(plan(backtest, Observed(), NOW, SETTINGS))
    short = BacktestReport(state="running", sortino=0.5, undefined=("sharpe: got 1 daily returns, expected 30",))
    first = plan(backtest, Observed(made, (ObservedPod("p", 0, "Running", None, short),)), NOW, SETTINGS)
    assert (first.status["sortino"], first.status["undefined"]) == (0.5, list(short.undefined))
    whole = BacktestReport(state="complete", sharpe=1.5)
    pod = ObservedPod("p", 0, "Succeeded", None, whole, 0)
    second = plan(after(backtest, first), Observed(ended(made, "Complete"), (pod,)), NOW + 5, SETTINGS)
    assert second.status["sharpe"] == 1.5
    assert not {"sortino", "undefined"} & second.status.keys()


def test_a_ruined_account_is_the_reason_of_a_complete_run() -> None:
    backtest = resource("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE})
    made = job(plan(backtest, Observed(), NOW, SETTINGS))
    message = "Bust: the account's value fell to -3.20"
    report = BacktestReport(
        state="complete", reason="Bust", message=message, lowest_value=-3.2, open_positions=1, unrealised_profit=-9.5
    )
    pod = ObservedPod("p", 0, "Succeeded", None, report, 0)
    planned = plan(backtest, Observed(ended(made, "Complete"), (pod,)), NOW, SETTINGS)
    assert (planned.status["phase"], planned.status["message"]) == ("Complete", message)
    assert {condition["reason"] for condition in planned.status["conditions"]} == {"Bust"}
    assert (planned.status["lowestValue"], planned.status["openPositions"]) == (-3.2, 1)
    assert planned.status["unrealisedProfit"] == -9.5
    assert [(event.type, event.reason) for event in planned.events] == [("Warning", "Bust")]


def test_the_first_restart_is_no_warning_and_the_second_is() -> None:
    replay = resource("Replay", {"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    report = ReplayReport(state="failed", reason="Unavailable", message="no broker")
    first, second = (ObservedPod(name, 0, "Failed", None, report, 1) for name in "ab")
    starting = ObservedPod("c", 0, "Pending")
    planned = plan(replay, Observed(made, (first,)), NOW, SETTINGS)
    assert [(each.type, each.reason, each.message) for each in planned.events] == [
        ("Normal", "Restarting", "no broker")
    ]
    replay = after(replay, planned)
    assert plan(replay, Observed(made, (first, starting)), NOW, SETTINGS).events == ()
    again = plan(replay, Observed(made, (first, second)), NOW, SETTINGS)
    assert [(each.type, each.reason) for each in again.events] == [("Warning", "CrashLoop")]
    assert plan(after(replay, again), Observed(made, (first, second, starting)), NOW, SETTINGS).events == ()


def test_the_failure_of_a_pod_is_reported_until_its_successor_works() -> None:
    replay = resource("Replay", {"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    report = ReplayReport(state="failed", reason="Unavailable", message="password authentication failed")
    failed = ObservedPod("a", 0, "Failed", None, report, 1)
    for successor in (
        ObservedPod("b", 0, "Pending"),
        ObservedPod("b", 0, "Running", "http://127.0.0.1:1"),
        ObservedPod("b", 0, "Running", "http://127.0.0.1:1", ReplayReport(state="starting")),
    ):
        status = plan(replay, Observed(made, (failed, successor)), NOW, SETTINGS).status
        assert (status["phase"], status["conditions"][0]["reason"]) == ("Pending", "Restarting")
        assert status["message"] == "password authentication failed"
    unpullable = ObservedPod("b", 0, "Pending", reason="ErrImagePull", problem="no such image")
    status = plan(replay, Observed(made, (failed, unpullable)), NOW, SETTINGS).status
    assert status["conditions"][0]["reason"] == "ErrImagePull"
    first = plan(replay, Observed(made, (failed, replay_pod())), NOW, SETTINGS)
    assert first.status["phase"] in ("Running", "Paused")
    unreported = ObservedPod("b", 0, "Running", "http://127.0.0.1:1")
    again = plan(after(replay, first), Observed(made, (failed, unreported)), NOW + 5, SETTINGS)
    assert again.status["phase"] == first.status["phase"]


def test_a_pod_that_reports_failed_is_not_ready() -> None:
    replay = resource("Replay", {"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    for before in (replay_pod(), replay_pod(state="starting")):
        first = plan(replay, Observed(made, (before,)), NOW, SETTINGS)
        lost = replay_pod(state="failed", reason="Unavailable", message="certificate verify failed")
        status = plan(after(replay, first), Observed(made, (lost,)), NOW + 5, SETTINGS).status
        assert (status["phase"], status["message"]) == ("Pending", "certificate verify failed")
        assert (status["conditions"][0]["status"], status["conditions"][0]["reason"]) == ("False", "Unavailable")


def test_a_run_is_requeued_when_a_pod_should_have_started() -> None:
    replay = resource("Replay", {"source": STORE, "shards": 2})
    made = job(plan(replay, Observed(), NOW, SETTINGS))

    def requeue(*recheck_at: int | None) -> int | None:
        pods = tuple(ObservedPod(f"p{at}", index, "Pending", recheck_at_ms=at) for index, at in enumerate(recheck_at))
        return plan(replay, Observed(made, pods), NOW, SETTINGS).requeue_at_ms

    assert requeue(NOW + 900, NOW + 700) == NOW + 700
    assert requeue(None, NOW + 700) == NOW + 700
    assert requeue(None, None) is None
    assert requeue() is None


def test_conditions_keep_their_transition_time_while_nothing_changes() -> None:
    replay = resource("Replay", {"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (replay_pod(),)), NOW, SETTINGS)
    following = replay_pod(anchor=Anchor.model_validate(first.status["anchor"]), position=T0 + 1)
    second = plan(after(replay, first), Observed(made, (following,)), NOW + 60_000, SETTINGS)
    times = [c["lastTransitionTime"] for c in second.status["conditions"]]
    assert times == [c["lastTransitionTime"] for c in first.status["conditions"]]
    assert second.events == ()


def test_a_run_over_stored_bars_waits_for_the_feed_that_loads_them() -> None:
    files = {"exchange": "coinbase", "sets": [{"symbol": "BTC/USD", "path": "a"}]}
    feed = resource("Feed", {"source": {"files": files}}, name="loader")
    other = resource("Feed", {"source": {"files": {**files, "exchange": "kraken"}}}, name="other")
    for kind, spec in (
        ("Replay", {"source": STORE}),
        ("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE}),
    ):
        run = resource(kind, spec)
        waiting = plan(run, Observed(active_feeds=(other, feed)), NOW, SETTINGS)
        assert waiting.apply == ()
        assert waiting.status["conditions"][0]["reason"] == "WaitingForFeed"
        assert "loader" in waiting.status["message"]
        assert plan(after(run, waiting), Observed(active_feeds=(other,)), NOW, SETTINGS).apply != ()


def test_condition_reasons_are_documented_and_defined_once() -> None:
    names = [str(reason) for reason in REASONS]
    assert len(names) == len(set(names)) > 20
    assert all(reason.isalnum() and reason[0].isupper() and reason.meaning.endswith(".") for reason in REASONS)
    also_used = ("Complete", "Suspended", "Applied")  # phases, and the type of a condition
    package = Path(reasons.__file__).parent
    literals = [f'"{name}"' for name in names if name not in also_used]
    for path in package.glob("*.py"):
        if path.name != "reasons.py":
            assert [text for text in literals if text in path.read_text()] == [], path.name
