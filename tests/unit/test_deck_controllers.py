"""The deck's Job and Deployment controllers, and pod templates that run as processes."""

from __future__ import annotations

import signal
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.controllers import Decision, backoff, decide_deployment, decide_job, new_pod
from tapedeck_deck.embedded.pods import Start, UnsupportedTemplate, start_pod
from tapedeck_deck.embedded.processes import wait_exit
from tapedeck_deck.embedded.services import recorder
from tapedeck_operator.plan import Observed, Settings, plan

EACH_START = pytest.mark.parametrize("start", [processes.start_module, forkserver.start])
SETTINGS = Settings(images={"replay": "tapedeck_replay"}, operator_key=b"k", results_key=b"results", http_port=0)


def a_job() -> Json:
    replay = parse_resource(
        {
            "apiVersion": "tapedeck.dev/v1alpha1",
            "kind": "Replay",
            "metadata": {"name": "x", "uid": "u"},
            "spec": {"source": {"store": {"exchange": "coinbase", "symbols": ["A/B"]}}},
        }
    )
    job = next(m for m in plan(replay, Observed(), 0, SETTINGS).apply if m["kind"] == "Job")
    return {**job, "metadata": {**job["metadata"], "uid": "j", "generation": 1}}


def pod(owner: Json, index: int | None, **status: Any) -> Json:
    return {**new_pod(owner, index), "status": status}


def failed(owner: Json, at: float, code: int = 1, index: int | None = 0) -> Json:
    return pod(owner, index, phase="Failed", exitCode=code, finishedAt=at)


def test_a_job_creates_one_pod_for_each_index() -> None:
    job = a_job()
    job["spec"] |= {"completions": 2, "parallelism": 2}
    made = decide_job(job, [], 0.0).create
    assert [m["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for m in made] == ["0", "1"]
    running = [pod(job, 0, phase="Running"), pod(job, 1)]
    assert decide_job(job, running, 0.0).create == ()


def test_a_job_runs_no_more_pods_than_its_parallelism() -> None:
    job = a_job()
    job["spec"] |= {"completions": 3, "parallelism": 2}
    assert len(decide_job(job, [], 0.0).create) == 2
    two = [pod(job, 0, phase="Running"), pod(job, 1, phase="Running")]
    assert decide_job(job, two, 0.0) == Decision(
        status={"startTime": "1970-01-01T00:00:00Z", "succeeded": 0, "failed": 0}
    )
    next_one = decide_job(job, [pod(job, 0, phase="Succeeded"), two[1]], 0.0).create
    assert [m["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for m in next_one] == ["2"]
    job["spec"]["parallelism"] = 1
    assert decide_job(job, two, 0.0).delete == (two[1]["metadata"]["name"],)


def test_pods_that_have_not_started_count_as_active() -> None:
    job = a_job()
    assert decide_job(job, [new_pod(job, 0)], 0.0).create == ()
    owner = recorder({})
    owner["metadata"] |= {"uid": "d", "generation": 1}
    assert decide_deployment(owner, [new_pod(owner, None)], 0.0).create == ()


def test_a_suspended_job_deletes_its_pods_and_creates_none() -> None:
    job = a_job()
    job["spec"]["suspend"] = True
    assert decide_job(job, [], 0.0).create == ()
    running = pod(job, 0, phase="Running")
    assert decide_job(job, [running, failed(job, 1.0)], 0.0).delete == (running["metadata"]["name"],)


def test_a_failed_pod_is_replaced_with_backoff() -> None:
    job = a_job()
    assert [backoff(n) for n in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 10.0]
    assert decide_job(job, [failed(job, 100.0)], 100.4).create == ()
    assert len(decide_job(job, [failed(job, 100.0)], 100.5).create) == 1
    assert decide_job(job, [failed(job, 99.0), failed(job, 100.0)], 100.9).create == ()


def test_invalid_input_and_too_many_failures_are_final() -> None:
    job = a_job()
    bad = decide_job(job, [failed(job, 1.0, code=64)], 1e9)
    assert bad.create == ()
    assert bad.status is not None
    assert bad.status["conditions"][0]["type"] == "Failed"
    assert decide_job(job, [failed(job, 1.0)] * 20, 1e9).create != ()
    worn = decide_job(job, [failed(job, 1.0)] * 21, 1e9)
    assert worn.status is not None
    assert "failed 21 times" in worn.status["conditions"][0]["message"]


def test_a_job_that_takes_too_long_fails_and_its_pods_are_deleted() -> None:
    job = a_job()
    job["spec"]["activeDeadlineSeconds"] = 60
    begun = decide_job(job, [], 1_000.0)
    assert begun.wait == 60
    job["status"] = begun.status
    running = pod(job, 0, phase="Running")
    assert decide_job(job, [running], 1_059.5) == Decision(wait=0.5)
    ended = decide_job(job, [running], 1_060.0)
    assert ended.delete == (running["metadata"]["name"],)
    assert ended.status is not None
    (condition,) = ended.status["conditions"]
    assert (condition["type"], condition["reason"]) == ("Failed", "DeadlineExceeded")
    assert decide_job({**job, "status": ended.status}, [], 1_061.0) == Decision()
    succeeded = decide_job(job, [pod(job, 0, phase="Succeeded")], 1_061.0).status
    assert succeeded is not None
    assert succeeded["conditions"][0]["type"] == "Complete"


def test_a_suspension_does_not_count_towards_the_time_limit() -> None:
    job = a_job()
    job["spec"] |= {"activeDeadlineSeconds": 60, "suspend": True}
    job["status"] = {"startTime": "1970-01-01T00:00:00Z"}
    suspended = decide_job(job, [], 59.0)
    assert suspended.status == {}
    job["spec"]["suspend"] = False
    resumed = decide_job({**job, "status": {}}, [], 1_000.0)
    assert resumed.wait == 60


def test_a_finished_job_stays_finished() -> None:
    job = a_job()
    done = decide_job(job, [pod(job, 0, phase="Succeeded", exitCode=0, finishedAt=1.0)], 2.0)
    assert done.status is not None
    assert done.status["conditions"] == [{"type": "Complete", "status": "True"}]
    assert decide_job({**job, "status": done.status}, [], 3.0) == type(done)()


def test_a_deployment_replaces_pods_of_an_older_template() -> None:
    owner = recorder({})
    owner["metadata"] |= {"uid": "d", "generation": 1}
    (first,) = decide_deployment(owner, [], 0.0).create
    old = {**first, "status": {"phase": "Running"}}
    owner["metadata"]["generation"] = 2
    changed = decide_deployment(owner, [old], 0.0)
    assert len(changed.create) == 1
    assert changed.delete == (old["metadata"]["name"],)


def a_pod(tmp_path: Path, **changes: Any) -> tuple[Json, Any]:
    job = a_job()
    made = new_pod(job, 3)
    spec = made["spec"]
    spec["containers"][0] |= {"image": "timeit", "args": ["-n1", "-r1", "pass"]} | changes
    secrets = {
        "tapedeck-connections": {"data": {"replay.store_dsn": b64encode(b"dsn").decode(), "feed.x": "bm8="}},
        job["metadata"]["name"]: {"data": {"key": b64encode(b"k1").decode()}},
    }
    return made, lambda kind, name: secrets[name] if kind == "Secret" else {}


@EACH_START
def test_the_paths_of_a_template_are_mapped_to_local_ones(tmp_path: Path, start: Start) -> None:
    made, lookup = a_pod(tmp_path)
    running = start_pod(made, start=start, folder=tmp_path / "pod", log=tmp_path / "log", lookup=lookup)
    assert wait_exit(running.process, 60) == 0
    mounted = tmp_path / "pod" / "volumes"
    assert (mounted / "connections" / "store_dsn").read_text() == "dsn"
    assert not (mounted / "connections" / "x").exists()
    assert (mounted / "key" / "key").read_text() == "k1"
    assert (mounted / "key" / "key").stat().st_mode & 0o077 == 0


@EACH_START
def test_the_process_gets_the_environment_of_its_template(tmp_path: Path, start: Start) -> None:
    code = "import os,sys;print({k:v for k,v in os.environ.items() if k.startswith('TAPEDECK')})"
    made, lookup = a_pod(tmp_path, args=["-n1", "-r1", code])
    pod = start_pod(made, start=start, folder=tmp_path / "pod", log=tmp_path / "log", lookup=lookup)
    assert wait_exit(pod.process, 60) == 0
    output = (tmp_path / "log").read_text()
    assert f"'TAPEDECK_CONNECTIONS': '{tmp_path}/pod/volumes/connections'" in output
    assert f"'TAPEDECK_TERMINATION_LOG': '{tmp_path}/pod/termination'" in output
    assert f"'TAPEDECK_CONTROL_KEY_FILE': '{tmp_path}/pod/volumes/key/key'" in output
    assert "'TAPEDECK_SHARD': '3'" in output


@pytest.mark.parametrize(("where", "field"), [("pod", "hostNetwork"), ("container", "lifecycle"), ("volume", "nfs")])
def test_fields_that_need_a_cluster_are_rejected(tmp_path: Path, where: str, field: str) -> None:
    made, lookup = a_pod(tmp_path)
    spec = made["spec"]
    if where == "volume":
        spec["volumes"][1] = {"name": "tmp", field: {}}
    else:
        (spec if where == "pod" else spec["containers"][0])[field] = {}
    with pytest.raises(UnsupportedTemplate, match=field):
        start_pod(made, start=processes.start_module, folder=tmp_path / "pod", log=tmp_path / "log", lookup=lookup)


def test_a_forked_module_has_the_exit_code_of_a_process(tmp_path: Path) -> None:
    def ended(module: str, *arguments: str) -> int:
        return wait_exit(forkserver.start(module, arguments, log=tmp_path / "log", env={}), 60)

    assert ended("tapedeck_backtest") == 64  # it has no spec
    assert ended("no_such_module") == 1
    assert "No module named no_such_module" in (tmp_path / "log").read_text()
    sleeper = forkserver.start("timeit", ["-n1", "-r1", "import time; time.sleep(600)"], log=tmp_path / "log", env={})
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.wait(0.2)
    assert sleeper.poll() is None
    sleeper.terminate()
    assert wait_exit(sleeper, 60) == -signal.SIGTERM
