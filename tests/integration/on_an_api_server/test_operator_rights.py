"""The operator's RBAC rights are exactly those that it uses, by the audit log of an API server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from kube.api import KubeApi, missing_binaries
from kube.operator import PATHS, RULES, USER, OperatorProcess, Things, rights
from tapedeck_crds.json import Json

STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
# Of another symbol: a Replay of the filled symbols would wait for the end of the fill.
FILLED = {"fill": True, "store": {"exchange": "coinbase", "symbols": ["ETH/USD"], "from": "2018-04-04T00:00:00Z"}}
LIVE = {"exchange": "binance", "symbols": ["BTC/USDT"]}
FILES = {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}}
TRADING = {"strategy": {"builtin": "sma-cross"}}
RBAC = "/apis/rbac.authorization.k8s.io/v1"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_binaries()), reason=f"needs {', '.join(missing_binaries())}: tests/e2e/rig/build"),
]


class Right(NamedTuple):
    """A verb and a resource of an RBAC rule, with the subresource after a slash."""

    verb: str
    resource: str


def of(rules: list[Json]) -> set[Right]:
    return {Right(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


GIVEN = of([*RULES["watched"], *RULES["own"]])
READING = {right for right in GIVEN if right.verb in ("list", "watch")}
POLICY_REMOVAL = {Right("delete", "networkpolicies")}  # used once policies are disabled


class Audit:
    """The calls that operators made and that were denied, by namespace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._seen: dict[tuple[str, bool], set[Right]] = {}

    def used(self, namespace: str) -> set[Right]:
        return self._read(namespace, denied=False)

    def denied(self, namespace: str) -> set[Right]:
        return self._read(namespace, denied=True)

    def _read(self, namespace: str, *, denied: bool) -> set[Right]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
        return set(self._seen.get((namespace, denied), ()))

    def _take(self, event: Json) -> None:
        target, code = event.get("objectRef"), event["responseStatus"]["code"]
        if target is None:
            return
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        seen = self._seen.setdefault((target.get("namespace", ""), code == 403), set())
        seen.add(Right(event["verb"], resource))
        if event["verb"] == "patch" and (code == 201 or "cannot create" in event["responseStatus"].get("message", "")):
            seen.add(Right("create", resource))  # an apply that creates the object


@pytest.fixture(scope="module")
def audit(kube: KubeApi) -> Audit:
    return Audit(kube.audit)


class Workload:
    """Resources that need every right: runs that expire, are suspended or find their Job taken, a Feed that loses a
    shard, a deleted Replay, a fill."""

    def __init__(self, kube: KubeApi, without: Collection[Right] = ()) -> None:
        self.things = Things(kube.client())
        for document in rights(self.things.namespace, without=without):
            self.things.apply(document)
        soon = {"ttlSecondsAfterFinished": 0}
        self._ending = [
            self.things.resource("Feed", "ending", {"source": FILES, **soon}),
            self.things.resource("Replay", "ending", {"source": STORE, **soon}),
            self.things.resource("Backtest", "ending", {**TRADING, "data": STORE, **soon}),
        ]
        self._lost = self.things.resource("Replay", "lost", {"source": STORE})
        self._bound = self.things.resource("Backtest", "bound", {**TRADING, "data": {"replay": {"name": "lost"}}})
        self._live = self.things.resource("Feed", "live", {**LIVE, "shards": 2})
        self._held = self.things.resource("Backtest", "held", {**TRADING, "data": STORE})
        self.things.resource("Replay", "kept", {"source": STORE})
        self.things.foreign_job(self.things.child_name(self.things.resource("Replay", "taken", {"source": STORE})))
        self.things.resource("Replay", "filled", {"source": FILLED})

    def advance(self) -> None:
        """Take the next steps of controllers and users that are possible by now."""
        for made in self._ending:
            job = self._child("Job", made)
            if job is not None and not job.get("status", {}).get("conditions"):
                self.things.end_job(job, "Complete")
        if self._child("Deployment", self._live, "-1") is not None:
            self.things.resource("Feed", "live", {**LIVE, "shards": 1})
        if self._child("Job", self._held) is not None:
            self.things.resource("Backtest", "held", {**TRADING, "data": STORE, "suspend": True})
        if self._child("Job", self._bound) is not None and self.things.find(self._lost) is not None:
            self.things.delete(self._lost)

    def clean(self) -> None:
        self.things.clean()
        self.things.client.close()

    def _child(self, kind: str, owner: Json, suffix: str = "") -> Json | None:
        path = PATHS[kind].format(self.things.namespace)
        answer = self.things.client.get(f"{path}/{self.things.child_name(owner)}{suffix}")
        return {**answer.json(), "kind": kind} if answer.status_code == 200 else None


def without_policies(operator: OperatorProcess) -> None:
    operator.stop()
    operator.environment["TAPEDECK_OPERATOR_NETWORK_POLICIES"] = "false"
    operator.start()


def test_every_granted_right_is_used(kube: KubeApi, audit: Audit, tmp_path: Path) -> None:
    workload = Workload(kube)
    namespace = workload.things.namespace
    operator = OperatorProcess(kube, namespace, tmp_path)

    def used(expected: set[Right]) -> bool:
        workload.advance()
        return audit.used(namespace) >= expected

    try:
        operator.start()
        workload.things.until(lambda: used(GIVEN - POLICY_REMOVAL), 60)
        without_policies(operator)
        workload.things.until(lambda: used(GIVEN), 60)
        assert audit.used(namespace) == GIVEN
        assert not audit.denied(namespace)
    except AssertionError:
        pytest.fail(f"granted and not used: {sorted(GIVEN - audit.used(namespace))}")
    finally:
        operator.stop()
        workload.clean()


@pytest.mark.parametrize(("verb", "own"), [("list", "create"), ("watch", "patch")])
def test_every_right_to_list_and_watch_is_needed(
    kube: KubeApi, audit: Audit, tmp_path: Path, verb: str, own: str
) -> None:
    """Each right is granted once its lack was logged: kinds are listed in sequence. Leases need one right of each."""
    taken = {right for right in READING if right.verb == verb} | {Right(own, "leases")}
    workload = Workload(kube, without=taken)
    namespace = workload.things.namespace
    operator = OperatorProcess(kube, namespace, tmp_path)
    left = set(taken)

    def all_missed() -> bool:
        found = missed(operator, audit, dict.fromkeys(left, namespace))
        left.difference_update(found)
        for document in rights(namespace, without=left) if found else ():
            workload.things.apply(document)
        return not left

    try:
        operator.start()
        workload.things.until(all_missed, 90)
    except AssertionError:
        pytest.fail(f"not missed: {left}")
    finally:
        operator.stop()
        workload.clean()


@pytest.fixture
def reading_everywhere(kube: KubeApi) -> Iterator[None]:
    """The rights to list and watch, in all namespaces."""
    rules = [{**rule, "verbs": [v for v in rule["verbs"] if v in ("list", "watch")]} for rule in RULES["watched"]]
    metadata = {"name": USER}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}]
    role = {"metadata": metadata, "rules": [rule for rule in rules if rule["verbs"]]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER}
    with kube.client() as client:
        Things.must(client.post(f"{RBAC}/clusterroles", json=role))
        binding = {"metadata": metadata, "roleRef": reference, "subjects": subjects}
        Things.must(client.post(f"{RBAC}/clusterrolebindings", json=binding))
        yield
        for kind in ("clusterrolebindings", "clusterroles"):
            Things.must(client.delete(f"{RBAC}/{kind}/{USER}"))


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("reading_everywhere")
def test_every_right_to_change_is_needed(kube: KubeApi, audit: Audit, tmp_path: Path) -> None:
    """One operator watches all namespaces and lacks another right in each."""
    lives = {right: Workload(kube, without={right, *READING}) for right in GIVEN - READING - of(RULES["own"])}
    home = Workload(kube)
    operator = OperatorProcess(kube, home.things.namespace, tmp_path)
    operator.environment["TAPEDECK_OPERATOR_WATCH_NAMESPACE"] = ""
    lacking = {right: workload.things.namespace for right, workload in lives.items()}

    def all_but(rest: set[Right]) -> bool:
        for workload in lives.values():
            workload.advance()
        time.sleep(1)  # each round makes a hundred requests
        return missed(operator, audit, lacking) >= lives.keys() - rest

    try:
        operator.start()
        home.things.until(lambda: all_but(POLICY_REMOVAL), 120)
        without_policies(operator)
        home.things.until(lambda: all_but(set()), 60)
    except AssertionError:
        pytest.fail(f"not missed: {lives.keys() - missed(operator, audit, lacking)}")
    finally:
        operator.stop()
        for workload in (home, *lives.values()):
            workload.clean()


DENIED = re.compile(r'cannot (\w+) resource "([^"]+)" in API group "[^"]*" in the namespace "([^"]+)"')


def missed(operator: OperatorProcess, audit: Audit, lacking: Mapping[Right, str]) -> set[Right]:
    """The rights that the operator used, was denied and logged, in the namespace that lacks them."""
    log = operator.log.read_text().replace("\\", "")  # JSON lines quote quotes
    logged = {(Right(verb, resource), namespace) for verb, resource, namespace in DENIED.findall(log)}
    return {r for r, namespace in lacking.items() if (r, namespace) in logged and r in audit.denied(namespace)}
