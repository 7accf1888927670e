"""The operator as a process on an API server, and the objects of a test's namespace."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Collection
from hashlib import sha256
from pathlib import Path

import httpx
import yaml

from kube.api import KubeApi
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.forkserver import ForkedModule
from waits import eventually

USER = "tapedeck-operator"
ROOT = Path(__file__).parents[2]
CRDS = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted((ROOT / "crds").glob("*.yaml"))]

PATHS = {
    "Feed": "/apis/tapedeck.dev/v1alpha1/namespaces/{}/feeds",
    "Replay": "/apis/tapedeck.dev/v1alpha1/namespaces/{}/replays",
    "Backtest": "/apis/tapedeck.dev/v1alpha1/namespaces/{}/backtests",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Event": "/apis/events.k8s.io/v1/namespaces/{}/events",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}
RULES = yaml.load((ROOT / "charts/tapedeck/files/operator-rules.yaml").read_text(), yaml.CSafeLoader)
KEY = b"0123456789abcdef0123456789abcdef"
IMAGES = {"feed": "i/feed:1", "replay": "i/replay:1", "transform": "i/transform:1", "backtest": "i/backtest:1"}


def rights(namespace: str, without: Collection[tuple[str, str]] = ()) -> list[Json]:
    """The operator's rights in one namespace, as the chart gives them, or with some (verb, resource) missing."""
    rules = [
        {**rule, "resources": [name], "verbs": [verb for verb in rule["verbs"] if (verb, name) not in without]}
        for rule in (*RULES["watched"], *RULES["own"])
        for name in rule["resources"]
    ]
    api = "rbac.authorization.k8s.io/v1"
    metadata = {"name": "tapedeck-operator", "namespace": namespace}
    return [
        {"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": [r for r in rules if r["verbs"]]},
        {
            "apiVersion": api,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tapedeck-operator"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        },
    ]


class OperatorProcess:
    """``python -m tapedeck_operator`` for one namespace, as the user of the chart's rights.

    It is forked from a process with its packages; with ``fresh`` it imports them itself, as in a pod.
    """

    def __init__(
        self, api: KubeApi, namespace: str, folder: Path, *, url: str | None = None, fresh: bool = False
    ) -> None:
        self._folder = folder
        self._fresh = fresh
        self.log = folder / "operator.log"
        kubeconfig = folder / "operator.kubeconfig"
        api.write_kubeconfig(kubeconfig, "operator", url or api.url)
        (folder / "operator-key").write_bytes(KEY)
        (folder / "results-key").write_bytes(KEY[::-1])
        self._port = 0
        self._process: subprocess.Popen[bytes] | ForkedModule | None = None
        self.environment = {
            "PATH": os.environ["PATH"],
            "USER": "tapedeck",
            "HOME": str(folder),
            "KUBECONFIG": str(kubeconfig),
            "TAPEDECK_OPERATOR_NAMESPACE": namespace,
            "TAPEDECK_OPERATOR_WATCH_NAMESPACE": namespace,
            "TAPEDECK_OPERATOR_IMAGES": json.dumps(IMAGES),
            "TAPEDECK_OPERATOR_KEY_FILE": str(folder / "operator-key"),
            "TAPEDECK_OPERATOR_RESULTS_KEY_FILE": str(folder / "results-key"),
            "TAPEDECK_OPERATOR_HTTP_HOST": "127.0.0.1",
            "TAPEDECK_OPERATOR_HTTP_PORT": "0",
            "TAPEDECK_OPERATOR_NETWORK_POLICIES": "true",
            "TAPEDECK_OPERATOR_EGRESS": json.dumps([{"ports": [{"protocol": "TCP", "port": 9092}]}]),
        }

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._offset = log.tell()
        if self._fresh:
            command = [sys.executable, "-m", "tapedeck_operator"]
            self._process = processes.start(command, log=self.log, env=self.environment)
        else:
            self._process = forkserver.start("tapedeck_operator", log=self.log, env=self.environment)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = processes.wait_exit(self._process, 60)
        self._process = None
        return code

    def url(self) -> str | None:
        """The URL of its HTTP server; None until it has logged it."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if b'"serving"' in line:
                    return f"http://127.0.0.1:{json.loads(line)['port']}"
        return None

    def ready(self) -> bool:
        return self.answer("/readyz")[0] == 200

    def answer(self, path: str) -> tuple[int, str]:
        """Status and body of a GET; status 0 if it does not answer."""
        url = self.url()
        if url is None:
            return 0, ""
        try:
            answer = httpx.get(url + path, timeout=60, trust_env=False)
        except httpx.HTTPError:
            return 0, ""
        return answer.status_code, answer.text


class Things:
    """Objects of a namespace: of the one given, or of a new one."""

    def __init__(self, client: httpx.Client, namespace: str = "") -> None:
        self.client = client
        self.namespace = namespace or f"t-{uuid.uuid4().hex[:8]}"
        if namespace:
            return
        self.must(
            client.post(
                "/api/v1/namespaces",
                json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            )
        )

    def clean(self) -> None:
        for kind in PATHS:
            self.client.delete(self._path(kind))

    def apply(self, document: Json) -> Json:
        """Server-side apply."""
        answer = self.client.patch(
            self._path(document["kind"], document["metadata"]["name"]),
            params={"fieldManager": "test", "force": "true"},
            headers={"content-type": "application/apply-patch+yaml"},
            content=json.dumps(document),
        )
        return self.must(answer)

    def resource(self, kind: str, name: str, spec: Json) -> Json:
        """Apply a Feed, Replay or Backtest."""
        metadata = {"name": name, "namespace": self.namespace}
        return self.apply({"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})

    def child_name(self, resource: Json) -> str:
        metadata = resource["metadata"]
        tag = sha256(metadata["uid"].encode()).hexdigest()[:8]
        return f"{resource['kind'].lower()}-{metadata['name']}-{tag}"

    def find(self, document: Json) -> Json | None:
        """The current version of an object; None if it is deleted or replaced."""
        answer = self.client.get(self._path(document["kind"], document["metadata"]["name"]))
        if answer.status_code == 404:
            return None
        found = self.must(answer)
        return found if found["metadata"]["uid"] == document["metadata"]["uid"] else None

    def again(self, document: Json) -> Json:
        found = self.find(document)
        assert found is not None, f"{document['kind']} {document['metadata']['name']} is gone"
        return found

    def wait(self, kind: str, *, owner: Json, part: str = "", other_than: str = "", seconds: float = 30) -> Json:
        """Wait for a child of a resource, or for that of a part such as its transforms."""
        path = self._path(kind, self.child_name(owner) + part)
        found: Json = {}

        def there() -> bool:
            answer = self.client.get(path)
            found.update(answer.json() if answer.status_code == 200 else {})
            return answer.status_code == 200 and found["metadata"]["uid"] != other_than

        self.until(there, seconds)
        assert any(o["uid"] == owner["metadata"]["uid"] for o in found["metadata"]["ownerReferences"])
        return {**found, "kind": kind}

    def status(self, resource: Json, holds: Callable[[Json], bool], seconds: float = 30) -> Json:
        """Wait until a condition holds of the status of a resource; returns the status."""
        seen: Json = {}

        def reached() -> bool:
            seen["status"] = self.again(resource).get("status", {})
            return bool(seen["status"]) and holds(seen["status"])

        try:
            self.until(reached, seconds)
        except AssertionError:
            raise AssertionError(f"the status is still {json.dumps(seen, indent=1)}") from None
        status: Json = seen["status"]
        return status

    def events(self, resource: Json, reason: str, count: int, seconds: float = 20) -> None:
        """Wait for ``count`` events of a reason, and check that there are no more."""

        def found() -> list[Json]:
            items = self.must(self.client.get(self._path("Event")))["items"]
            uid = resource["metadata"]["uid"]
            return [e for e in items if e["regarding"]["uid"] == uid and e["reason"] == reason]

        self.until(lambda: len(found()) >= count, seconds)
        assert len(found()) == count

    def secret_key(self, resource: Json) -> str:
        data = self.must(self.client.get(self._path("Secret", self.child_name(resource))))["data"]
        return b64decode(data["key"]).decode()

    def foreign_job(self, name: str) -> Json:
        """A Job of this name without an owner."""
        pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "other"}]}
        return self.apply(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"template": {"spec": pod}},
            }
        )

    def pod(self, job: Json, *, port: int = 8080, status: Json | None = None) -> Json:
        """Create a pod of a Job as the Job controller does, running and ready or with another status."""
        template = copy.deepcopy(job["spec"]["template"])
        template["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": port}]
        metadata = job["metadata"]
        pod = self.must(
            self.client.post(
                self._path("Pod"),
                json={
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": f"{metadata['name']}-0-{uuid.uuid4().hex[:5]}",
                        "labels": template["metadata"]["labels"],
                        "annotations": {"batch.kubernetes.io/job-completion-index": "0"},
                        "ownerReferences": [
                            {
                                "apiVersion": "batch/v1",
                                "kind": "Job",
                                "name": metadata["name"],
                                "uid": metadata["uid"],
                                "controller": True,
                            }
                        ],
                    },
                    "spec": template["spec"],
                },
            )
        )
        running = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self.patch(pod, {"status": status or running}, subresource="/status")
        return {**pod, "kind": "Pod"}

    def end_job(self, job: Json, how: str) -> None:
        """Write the final condition of a Job as the Job controller does."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        before = "SuccessCriteriaMet" if how == "Complete" else "FailureTarget"
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in (before, how)]
        status: Json = {"startTime": now, "conditions": conditions, "uncountedTerminatedPods": {}}
        if how == "Complete":
            status |= {"completionTime": now, "succeeded": 1, "completedIndexes": "0"}
        self.patch(job, {"status": status}, subresource="/status")

    def patch(self, document: Json, body: Json, subresource: str = "") -> Json:
        """JSON merge patch."""
        path = self._path(document["kind"], document["metadata"]["name"]) + subresource
        answer = self.client.patch(path, headers={"content-type": "application/merge-patch+json"}, json=body)
        return self.must(answer)

    def delete(self, document: Json) -> None:
        self.must(
            self.client.request(
                "DELETE",
                self._path(document["kind"], document["metadata"]["name"]),
                json={"propagationPolicy": "Background"},
            )
        )

    def until(self, holds: Callable[[], object], seconds: float) -> None:
        """Wait until a condition holds."""
        eventually(holds, seconds)

    def _path(self, kind: str, name: str = "") -> str:
        path = PATHS[kind].format(self.namespace)
        return f"{path}/{name}" if name else path

    @staticmethod
    def must(answer: httpx.Response) -> Json:
        assert answer.status_code < 300, answer.text
        body: Json = answer.json()
        return body
