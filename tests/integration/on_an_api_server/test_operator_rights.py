"""The operator's rights are those that it uses: an API server that writes down each call says so."""

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
# Of another symbol: who plays what a fill brings waits for its end.
FILLED = {"fill": True, "store": {"exchange": "coinbase", "symbols": ["ETH/USD"], "from": "2018-04-04T00:00:00Z"}}
LIVE = {"exchange": "binance", "symbols": ["BTC/USDT"]}
FILES = {"files": {"format": "csv", "exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}}
TRADING = {"strategy": {"builtin": "sma-cross"}}
RBAC = "/apis/rbac.authorization.k8s.io/v1"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_binaries()), reason=f"needs {', '.join(missing_binaries())}: tests/e2e/rig/build"),
]


class Right(NamedTuple):
    """As a rule of RBAC has it; a subresource stands behind its resource."""

    verb: str
    resource: str


def of(rules: list[Json]) -> set[Right]:
    return {Right(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


GIVEN = of([*RULES["watched"], *RULES["own"]])
SEEING = {right for right in GIVEN if right.verb in ("list", "watch")}
UNWANTED = {Right("delete", "networkpolicies")}  # what an operator does that was told to have no policies


class Audit:
    """What the operators did and were denied, by namespace."""

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
            seen.add(Right("create", resource))  # an apply that makes the object


@pytest.fixture(scope="module")
def audit(kube: KubeApi) -> Audit:
    return Audit(kube.audit)


class Life:
    """What an operator meets in a namespace: runs that end and go, one that is lost, a Feed that shrinks, a fill."""

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
        self.things.resource("Replay", "kept", {"source": STORE})
        self.things.resource("Replay", "filled", {"source": FILLED})

    def go_on(self) -> None:
        """What controllers and users do, as far as it can be done by now."""
        for made in self._ending:
            job = self._child("Job", made)
            if job is not None and not job.get("status", {}).get("conditions"):
                self.things.end_job(job, "Complete")
        if self._child("Deployment", self._live, "-1") is not None:
            self.things.resource("Feed", "live", {**LIVE, "shards": 1})
        if self._child("Job", self._bound) is not None and self.things.find(self._lost) is not None:
            self.things.delete(self._lost)

    def end(self) -> None:
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


def test_all_that_is_granted_is_used(kube: KubeApi, audit: Audit, tmp_path: Path) -> None:
    life = Life(kube)
    namespace = life.things.namespace
    operator = OperatorProcess(kube, namespace, tmp_path)

    def used(wanted: set[Right]) -> bool:
        life.go_on()
        return audit.used(namespace) >= wanted

    try:
        operator.start()
        life.things.until(lambda: used(GIVEN - UNWANTED), 60)
        without_policies(operator)
        life.things.until(lambda: used(GIVEN), 60)
        assert audit.used(namespace) == GIVEN
        assert not audit.denied(namespace)
    except AssertionError:
        pytest.fail(f"granted and not used: {sorted(GIVEN - audit.used(namespace))}")
    finally:
        operator.stop()
        life.end()


@pytest.mark.parametrize(("verb", "own"), [("list", "create"), ("watch", "patch")])
def test_each_right_to_see_is_missed(kube: KubeApi, audit: Audit, tmp_path: Path, verb: str, own: str) -> None:
    """Each is given once it was missed: at the start one kind waits for another. Of its own Leases one right each."""
    taken = {right for right in SEEING if right.verb == verb} | {Right(own, "leases")}
    life = Life(kube, without=taken)
    namespace = life.things.namespace
    operator = OperatorProcess(kube, namespace, tmp_path)
    left = set(taken)

    def all_missed() -> bool:
        found = missed(operator, audit, dict.fromkeys(left, namespace))
        left.difference_update(found)
        for document in rights(namespace, without=left) if found else ():
            life.things.apply(document)
        return not left

    try:
        operator.start()
        life.things.until(all_missed, 90)
    except AssertionError:
        pytest.fail(f"not missed: {left}")
    finally:
        operator.stop()
        life.end()


@pytest.fixture
def seeing_everywhere(kube: KubeApi) -> Iterator[None]:
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
@pytest.mark.usefixtures("seeing_everywhere")
def test_each_right_to_change_is_missed(kube: KubeApi, audit: Audit, tmp_path: Path) -> None:
    """One operator sees all namespaces, in each of which it lacks another right."""
    lives = {right: Life(kube, without={right, *SEEING}) for right in GIVEN - SEEING - of(RULES["own"])}
    home = Life(kube)
    operator = OperatorProcess(kube, home.things.namespace, tmp_path)
    operator.environment["TAPEDECK_OPERATOR_WATCH_NAMESPACE"] = ""
    lacking = {right: life.things.namespace for right, life in lives.items()}

    def all_but(rest: set[Right]) -> bool:
        for life in lives.values():
            life.go_on()
        time.sleep(1)  # a hundred questions each time
        return missed(operator, audit, lacking) >= lives.keys() - rest

    try:
        operator.start()
        home.things.until(lambda: all_but(UNWANTED), 120)
        without_policies(operator)
        home.things.until(lambda: all_but(set()), 60)
    except AssertionError:
        pytest.fail(f"not missed: {lives.keys() - missed(operator, audit, lacking)}")
    finally:
        operator.stop()
        for life in (home, *lives.values()):
            life.end()


DENIED = re.compile(r'cannot (\w+) resource "([^"]+)" in API group "[^"]*" in the namespace "([^"]+)"')


def missed(operator: OperatorProcess, audit: Audit, lacking: Mapping[Right, str]) -> set[Right]:
    """Those that the operator asked for, was denied and complained of, in the namespace that lacks them."""
    log = operator.log.read_text().replace("\\", "")  # JSON lines quote quotes
    told = {(Right(verb, resource), namespace) for verb, resource, namespace in DENIED.findall(log)}
    return {r for r, namespace in lacking.items() if (r, namespace) in told and r in audit.denied(namespace)}
