"""The operator against a real API server, without kubelet and controllers, whose parts the tests take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
import pytest

from kube.api import KubeApi, missing_binaries
from kube.operator import OperatorProcess, Things, rights
from metrics_page.exposed import documented, exposed
from metrics_page.sections import OF_OPERATOR
from tapedeck_common.pod.probe_server import ProbeServer
from tapedeck_common.settings import PodSettings
from tapedeck_crds.clock import Anchor
from tapedeck_crds.json import Json
from tapedeck_crds.report import ReplayReport
from waits import idle_clock

STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"}}
T0 = 1_522_800_000_000

pytestmark = pytest.mark.skipif(
    bool(missing_binaries()), reason=f"needs {', '.join(missing_binaries())}: tests/e2e/rig/build"
)


@pytest.fixture
def things(kube: KubeApi) -> Iterator[Things]:
    with kube.client() as client:
        made = Things(client)
        yield made
        made.clean()


@pytest.fixture
def operator(kube: KubeApi, things: Things, tmp_path: Path) -> Iterator[OperatorProcess]:
    for document in rights(things.namespace):
        things.apply(document)
    process = OperatorProcess(kube, things.namespace, tmp_path)
    process.start()
    yield process
    process.stop()


class FakeReplayPod:
    """The HTTP server of a Replay's pod, without a player: it accepts signed anchors and reports them."""

    def __init__(self, key: str, folder: Path) -> None:
        path = folder / "key"
        path.write_text(key)
        end = T0 + 600_000
        self.report = ReplayReport(
            state="waiting", range_from=T0, range_to=end, last_event=end, interval="1m", rows=10, topic="t"
        )
        self.accepted: list[Anchor] = []
        self._probe = ProbeServer(
            PodSettings(http_host="127.0.0.1", http_port=0, control_key_file=path),
            report=lambda: self.report,
            control=self._accept,
        )
        self.port = self._probe.port
        self._probe.start()

    def _accept(self, body: bytes) -> None:
        anchor = Anchor.model_validate_json(body)
        self.accepted.append(anchor)
        self.report = self.report.model_copy(
            update={"state": "paused" if anchor.paused else "running", "anchor": anchor, "position": anchor.v0}
        )

    def stop(self) -> None:
        self._probe.stop()


def test_a_replay_owns_a_job_a_secret_and_the_deployment_of_its_transforms(
    things: Things, operator: OperatorProcess
) -> None:
    own = {"module": "mine:f", "configMap": "code"}
    computed = {"transforms": [{"name": "mean", "sma": {}}, {"name": "own", "function": own}]}
    made = things.resource("Replay", "x", {"source": STORE, **computed})
    job = things.wait("Job", owner=made)
    beside = things.wait("Deployment", owner=made, part="-transform")
    assert beside["spec"]["template"]["spec"]["containers"][0]["image"] == "i/transform:1"
    policy = things.wait("NetworkPolicy", owner=made, part="-transform")
    things.delete(policy)
    things.wait("NetworkPolicy", owner=made, part="-transform", other_than=policy["metadata"]["uid"])
    things.patch(beside, {"spec": {"replicas": 0}})
    things.until(lambda: things.again(beside)["spec"]["replicas"] == 1, 30)
    assert job["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert job["spec"]["completionMode"] == "Indexed"
    managers = {entry["manager"] for entry in job["metadata"]["managedFields"]}
    assert managers == {"tapedeck-operator"}
    things.wait("Secret", owner=made)
    status = things.status(made, lambda s: s.get("phase") == "Pending")
    assert status["observedGeneration"] == 1
    assert "finalizers" not in things.again(made)["metadata"]
    assert "annotations" not in things.again(made)["metadata"]


def test_signed_controls_reach_the_pod(things: Things, operator: OperatorProcess, tmp_path: Path) -> None:
    made = things.resource("Replay", "x", {"source": STORE, "speed": 60.0})
    job = things.wait("Job", owner=made)
    pod_server = FakeReplayPod(things.secret_key(made), tmp_path)
    try:
        pod = things.pod(job, port=pod_server.port)
        things.status(made, lambda s: s.get("phase") == "Running" and s.get("speed") == "60x")
        seconds = []

        def delivered(spec: Json) -> Anchor:
            """The anchor that the pod gets after a change of the spec."""
            before = len(pod_server.accepted)
            with idle_clock() as clock:
                things.patch(made, {"spec": spec})
                things.until(lambda: len(pod_server.accepted) > before, 20)
            seconds.append(clock.spent)
            anchor = pod_server.accepted[-1]
            generation = things.again(made)["metadata"]["generation"]
            status = things.status(made, lambda s: s.get("observedGeneration") == generation)
            assert status["anchor"]["number"] == pod_server.accepted[-1].number
            return anchor

        assert delivered({"speed": 120.0}).speed == 120
        assert delivered({"paused": True}).paused
        assert delivered({"paused": False, "seek": {"to": "2018-04-04T00:05:00Z", "id": "a"}}).epoch == 1
        assert median(seconds) < 1.0
        assert things.again(pod)["metadata"]["uid"] == pod["metadata"]["uid"]
    finally:
        pod_server.stop()


def test_a_rejected_control_is_a_condition_until_the_pod_accepts_it(
    things: Things, operator: OperatorProcess, tmp_path: Path
) -> None:
    made = things.resource("Replay", "x", {"source": STORE})
    job = things.wait("Job", owner=made)
    pod_server = FakeReplayPod("0" * 64, tmp_path)  # the key of an earlier operator

    def applied(status: Json) -> Json:
        return next((c for c in status.get("conditions", []) if c["type"] == "Applied"), {})

    try:
        pod = things.pod(job, port=pod_server.port)
        condition = applied(things.status(made, lambda s: applied(s).get("status") == "False"))
        assert condition["reason"] == "ControlRejected"
        assert "signature does not match" in condition["message"]
        assert not pod_server.accepted
    finally:
        pod_server.stop()
    things.delete(pod)
    pod_server = FakeReplayPod(things.secret_key(made), tmp_path)
    try:
        things.pod(job, port=pod_server.port)
        things.status(made, lambda s: s.get("phase") == "Running" and applied(s).get("status") == "True", seconds=20)
    finally:
        pod_server.stop()


def test_the_operator_lists_the_uids_of_all_replays(things: Things, operator: OperatorProcess) -> None:
    def listed() -> list[str]:
        answer = httpx.get(f"{operator.url()}/replays", timeout=60, trust_env=False)
        uids: list[str] = answer.json() if answer.status_code == 200 else []
        return uids

    made = things.resource("Replay", "x", {"source": STORE})
    things.wait("Job", owner=made)
    assert listed() == [made["metadata"]["uid"]]
    metrics = httpx.get(f"{operator.url()}/metrics", timeout=60, trust_env=False).text
    assert exposed(metrics) == documented(*OF_OPERATOR)
    things.delete(made)
    things.until(lambda: listed() == [], 30)


def test_an_object_of_another_owner_is_not_changed(things: Things, operator: OperatorProcess) -> None:
    operator.stop()
    made = things.resource("Replay", "x", {"source": STORE})
    other = things.foreign_job(things.child_name(made))
    operator.start()
    status = things.status(made, lambda s: bool(s.get("conditions")))
    ready = status["conditions"][0]
    assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
    assert other["metadata"]["name"] in ready["message"]
    kept = things.again(other)
    assert kept["metadata"]["resourceVersion"] == other["metadata"]["resourceVersion"]
    things.events(made, "NameConflict", 1)
    things.delete(other)
    things.wait("Job", owner=made, seconds=30)
    things.status(
        made, lambda s: any(c["type"] == "Applied" and c["status"] == "True" for c in s["conditions"]), seconds=30
    )


def test_a_missing_right_is_named_and_affects_no_other_resource(things: Things, operator: OperatorProcess) -> None:
    for document in rights(things.namespace, without=[("create", "secrets")]):
        things.apply(document)
    replay = things.resource("Replay", "x", {"source": STORE})
    status = things.status(replay, lambda s: bool(s.get("conditions")))
    assert status["conditions"][0]["reason"] == "Forbidden"
    assert "create secrets" in status["conditions"][0]["message"]
    feed = things.resource(
        "Feed",
        "f",
        {"source": {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}}},
    )
    things.wait("Job", owner=feed)
    for document in rights(things.namespace):
        things.apply(document)
    things.wait("Job", owner=replay, seconds=30)


def test_a_rejected_child_is_named_and_affects_no_other_resource(things: Things, operator: OperatorProcess) -> None:
    bad = things.resource("Replay", "bad", {"source": STORE, "nodeSelector": {"no key!": "x"}})
    status = things.status(bad, lambda s: bool(s.get("conditions")))
    assert status["conditions"][0]["reason"] == "Rejected"
    assert "nodeSelector" in status["conditions"][0]["message"]
    things.events(bad, "Rejected", 1)
    things.wait("Job", owner=things.resource("Replay", "good", {"source": STORE}))


def test_changed_and_deleted_children_are_restored(things: Things, operator: OperatorProcess) -> None:
    made = things.resource("Replay", "x", {"source": STORE})
    job = things.wait("Job", owner=made)
    policy = things.wait("NetworkPolicy", owner=made)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    things.patch(job, {"spec": {"suspend": True}})
    things.until(lambda: not things.again(job)["spec"].get("suspend"), 30)
    things.patch(policy, {"spec": {"egress": [{}]}})
    things.until(lambda: things.again(policy)["spec"]["egress"] == policy["spec"]["egress"], 30)
    things.delete(job)
    again = things.wait("Job", owner=made, other_than=job["metadata"]["uid"], seconds=30)
    assert again["metadata"]["name"] == job["metadata"]["name"]
    things.delete(things.wait("Secret", owner=made))
    things.pod(again, status={"phase": "Pending", "startTime": "2018-04-04T00:00:00Z"})  # its volumes are missing
    things.wait("Secret", owner=made)


def test_the_status_explains_a_pod_that_cannot_start(things: Things, operator: OperatorProcess) -> None:
    made = things.resource("Replay", "x", {"source": STORE})
    job = things.wait("Job", owner=made)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image i/replay:1"}
    things.pod(
        job,
        status={
            "phase": "Pending",
            "containerStatuses": [
                {"name": "replay", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
                 "state": {"waiting": waiting}}
            ],
        },
    )  # fmt: skip
    status = things.status(made, lambda s: s["conditions"][0]["reason"] == "ImagePullBackOff")
    assert status["phase"] == "Pending"
    assert "i/replay:1" in status["message"]
    things.events(made, "ImagePullBackOff", 1)


def test_suspend_and_resume_reach_the_job(things: Things, operator: OperatorProcess) -> None:
    made = things.resource("Backtest", "b", {"strategy": {"builtin": "sma-cross"}, "data": STORE})
    job = things.wait("Job", owner=made)
    things.patch(made, {"spec": {"suspend": True}})
    things.until(lambda: things.again(job)["spec"].get("suspend"), 20)
    things.status(made, lambda s: s["phase"] == "Suspended")
    things.patch(made, {"spec": {"suspend": False}})
    things.until(lambda: not things.again(job)["spec"].get("suspend"), 20)
    things.status(made, lambda s: s["phase"] == "Pending")


def test_a_finished_run_is_deleted_after_its_ttl(things: Things, operator: OperatorProcess) -> None:
    made = things.resource(
        "Backtest", "b", {"strategy": {"builtin": "sma-cross"}, "data": STORE, "ttlSecondsAfterFinished": 2}
    )
    job = things.wait("Job", owner=made)
    things.end_job(job, "Complete")
    things.status(made, lambda s: s["phase"] == "Complete")
    things.until(lambda: things.find(made) is None, 30)


def test_a_restart_of_the_operator_changes_nothing(things: Things, operator: OperatorProcess, tmp_path: Path) -> None:
    made = things.resource("Replay", "x", {"source": STORE})
    job = things.wait("Job", owner=made)
    pod_server = FakeReplayPod(things.secret_key(made), tmp_path)
    try:
        things.pod(job, port=pod_server.port)
        things.status(made, lambda s: s.get("phase") == "Running")
        time.sleep(1)
        before = things.again(made)
        assert operator.stop() == 0
        operator.start()
        things.until(operator.ready, 60)
        time.sleep(2)
        after = things.again(made)
        assert after["status"]["anchor"] == before["status"]["anchor"]
        assert after["status"]["conditions"] == before["status"]["conditions"]
        assert things.again(job)["metadata"]["resourceVersion"] == job["metadata"]["resourceVersion"]
        assert {anchor.number for anchor in pod_server.accepted} == {1}
    finally:
        pod_server.stop()


@pytest.mark.slow
def test_the_operator_survives_an_outage_of_the_api_server(
    kube: KubeApi, things: Things, operator: OperatorProcess
) -> None:
    first = things.resource("Replay", "x", {"source": STORE})
    things.wait("Job", owner=first)
    kube.kill_server()
    time.sleep(15)
    assert operator.alive()
    kube.start_server()
    second = things.resource("Replay", "y", {"source": STORE})
    things.wait("Job", owner=second, seconds=30)
    assert operator.alive()
