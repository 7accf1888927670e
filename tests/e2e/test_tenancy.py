"""Two namespaces of one release: what a user of one may see and do, as docs/operate/tenancy.md says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from decks.runs import STORE, ended, is_running, pods, replay, running, trades
from kube.operator import PATHS, Things
from release import BUNDLED, Deck, install, kubectl
from secured.services import Authority, secured_values
from tapedeck_crds.json import Json

pytestmark = pytest.mark.skipif(BUNDLED, reason="needs the services of tests/e2e/images")

RESOURCES = ("feeds", "replays", "backtests")
WRITES = ("create", "update", "patch", "delete")
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


@dataclass(frozen=True)
class User:
    """A ServiceAccount of a namespace."""

    client: httpx.Client
    namespace: str
    name: str

    @property
    def username(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        """Whether the API server authorizes a request, such as ``patch`` of ``replays/status`` in a namespace."""
        plural, _, subresource = resource.partition("/")
        group = "tapedeck.dev" if plural in RESOURCES else ""
        wanted = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": namespace}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": self.username, "groups": groups, "resourceAttributes": wanted},
        }
        answer = self.client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=review)
        allowed: bool = Things.must(answer)["status"]["allowed"]
        return allowed

    def patch(self, document: Json, body: Json) -> httpx.Response:
        """A merge patch of a resource, made by this user."""
        metadata = document["metadata"]
        return self.client.patch(
            f"{PATHS[document['kind']].format(metadata['namespace'])}/{metadata['name']}",
            headers={"content-type": "application/merge-patch+json", "impersonate-user": self.username},
            json=body,
        )


@pytest.fixture(scope="module")
def users(secured: Deck, tenants: tuple[str, str]) -> dict[str, dict[str, User]]:
    """By namespace: a user with each of the ClusterRoles, bound in that namespace."""
    made: dict[str, dict[str, User]] = {}
    for namespace in tenants:
        made[namespace] = {}
        for role in ("view", "edit", "tapedeck-view", "tapedeck-edit"):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role}}
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": namespace}],
            }
            Things.must(secured.client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", json=account))
            Things.must(secured.client.post(RBAC.format(namespace), json=binding))
            made[namespace][role] = User(secured.client, namespace, role)
    return made


@pytest.fixture
def played(secured: Deck, tenants: tuple[str, str]) -> Iterator[tuple[Things, Json]]:
    """A Replay that plays in the first namespace."""
    things = Things(secured.client, tenants[0])
    made = replay(things, "mine", speed=1.0)
    things.status(made, is_running, seconds=60)
    yield things, made
    things.delete(made)


def test_rights_end_at_the_namespace(users: dict[str, dict[str, User]], tenants: tuple[str, str]) -> None:
    for own, other in (tenants, tenants[::-1]):
        for resource in RESOURCES:
            for role, user in users[own].items():
                edits = role.endswith("edit")
                assert user.may("get", resource, own)
                assert [user.may(verb, resource, own) for verb in WRITES] == [edits] * len(WRITES)
                assert not user.may("patch", f"{resource}/status", own)
                assert not any(user.may(verb, resource, other) for verb in ("get", "list", "watch", *WRITES))
        for role, user in users[own].items():
            # Whoever may read Secrets or enter pods has the connections of the namespace's workloads.
            assert user.may("get", "secrets", own) == user.may("create", "pods/exec", own) == (role == "edit")
            assert not any(user.may("get", each, other) for each in ("secrets", "pods", "pods/log", "configmaps"))


def test_controls_of_another_namespace_are_refused(
    played: tuple[Things, Json], users: dict[str, dict[str, User]], tenants: tuple[str, str]
) -> None:
    things, made = played
    document = {**made, "kind": "Replay"}
    first, second = (users[namespace]["tapedeck-edit"] for namespace in tenants)
    answer = second.patch(document, {"spec": {"speed": 600.0}})
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
    assert first.patch(document, {"spec": {"speed": 600.0}}).status_code == 200
    things.status(made, lambda s: s.get("speed") == "600x")


def test_runs_of_a_namespace_use_users_of_its_own(secured: Deck, tenants: tuple[str, str]) -> None:
    runs = []
    for namespace in tenants:
        things = Things(secured.client, namespace)
        data = things.must(secured.client.get(f"/api/v1/namespaces/{namespace}/secrets/tapedeck-connections"))["data"]
        names = {base64.b64decode(value).decode() for key, value in data.items() if key.endswith(".kafka_username")}
        assert names == {f"tapedeck-replay.{namespace}", f"tapedeck-backtest.{namespace}"}
        streamed = things.resource("Replay", "tape", {"source": {"store": STORE}, "unpaced": True})
        spec = {"strategy": {"builtin": "sma-cross"}, "data": {"replay": {"name": "tape"}}}
        runs.append((things, streamed, things.resource("Backtest", "run", spec)))
    for things, streamed, made in runs:
        ended(things, streamed)
        status = ended(things, made)
        things.until(partial(_are_recorded, secured, status), 30)


def _are_recorded(deck: Deck, status: Json) -> bool:
    expected: int = status["trades"]
    return len(trades(deck, status["runId"])) == expected > 0


def test_a_namespace_without_feeds_cannot_write_to_the_market(secured: Deck, tenants: tuple[str, str]) -> None:
    namespace = tenants[1]
    path = f"/api/v1/namespaces/{namespace}/secrets/tapedeck-connections"
    data = Things.must(secured.client.get(path))["data"]
    for workload in ("replay", "backtest"):
        files = {k.split(".")[1]: base64.b64decode(v).decode() for k, v in data.items() if k.startswith(workload)}
        refused = json.loads(
            kubectl(
                "-n", secured.namespace, "exec", "-i", "deploy/td-recorder", "-c", "recorder", "--", "python", "-",
                stdin=_PRODUCE.format(files=files, topics=["market.bars", "market.trades", "market.ingest"]),
            )
        )  # fmt: skip
        assert refused == dict.fromkeys(("market.bars", "market.trades", "market.ingest"), "TOPIC_AUTHORIZATION_FAILED")


# Writes to topics with the connections of a Secret; prints the error of each, null for a record that was written.
_PRODUCE = """
import json, tempfile
from pathlib import Path
from tapedeck_common.kafka import producer
from tapedeck_common.settings import Connections
folder = Path(tempfile.mkdtemp())
for name, value in {files!r}.items():
    (folder / name).write_text(value)
told = {{}}
for topic in {topics!r}:
    writer = producer(Connections.read(folder), "tests", {{"enable.idempotence": False}})
    writer.produce(topic, b"by a test", on_delivery=lambda error, _: told.update({{topic: error and error.name()}}))
    writer.flush(20)
print(json.dumps(told))
"""


def test_pods_of_a_run_admit_no_one_but_the_operator(played: tuple[Things, Json], secured: Deck) -> None:
    things, made = played
    policy = things.wait("NetworkPolicy", owner=made)["spec"]
    pod = running(things, made)
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": secured.namespace}
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "operator"
    container = pod["spec"]["containers"][0]
    assert container["resources"]["limits"].keys() == {"cpu", "memory", "ephemeral-storage"}
    assert len(pods(things, made)) == 1


def test_a_run_that_takes_too_long_is_ended(secured: Deck, tenants: tuple[str, str]) -> None:
    things = Things(secured.client, tenants[0])
    made = replay(things, "late", speed=1.0)
    things.status(made, is_running, seconds=60)
    things.patch(made, {"spec": {"activeDeadlineSeconds": 1}})
    status = things.status(made, lambda s: s.get("phase") == "Failed", seconds=60)
    assert status["conditions"][0]["reason"] == "DeadlineExceeded"
    things.delete(made)


def test_an_upgrade_keeps_the_passwords(secured: Deck, authority: Authority, tenants: tuple[str, str]) -> None:
    def passwords() -> Any:
        path = f"/api/v1/namespaces/{secured.namespace}/secrets/tapedeck-kafka-users"
        return Things.must(secured.client.get(path))["data"]

    def generation() -> Any:
        path = f"{PATHS['Deployment'].format(secured.namespace)}/td-recorder"
        return Things.must(secured.client.get(path))["metadata"]["generation"]

    before = passwords(), generation()
    allowed = {namespace: ["replay", "backtest"] for namespace in tenants}
    install(secured.namespace, secured_values(secured.services, authority, allowed))
    assert (passwords(), generation()) == before
