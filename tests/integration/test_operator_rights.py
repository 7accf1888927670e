"""The operator's rights are those that it uses: an API server that writes down each call says so."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kube.api import KubeApi, install_crds, missing_binaries
from kube.operator import CRDS, PATHS, RULES, OperatorProcess, Things, rights

Json = dict[str, Any]
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
FILLED = {"fill": True, "store": {**STORE["store"], "from": "2018-04-04T00:00:00Z"}}
LIVE = {"exchange": "binance", "symbols": ["BTC/USDT"]}
FILES = {"files": {"format": "csv", "exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}}
TRADING = {"strategy": {"builtin": "sma-cross"}}
AT_ONCE = 4
QUIET_SECONDS = 6.0
PATIENT_SECONDS = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_binaries()), reason=f"needs {', '.join(missing_binaries())}: tests/e2e/rig/build"),
]


class Right(NamedTuple):
    """As a rule of RBAC has it; a subresource stands behind its resource."""

    verb: str
    resource: str


GIVEN = {
    Right(verb, resource)
    for rule in (*RULES["watched"], *RULES["own"])
    for resource in rule["resources"]
    for verb in rule["verbs"]
}


class Audit:
    """What the operators did and were denied, by namespace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, bool], set[Right]] = {}

    def used(self, namespace: str) -> set[Right]:
        return self._read(namespace, denied=False)

    def denied(self, namespace: str) -> set[Right]:
        return self._read(namespace, denied=True)

    def _read(self, namespace: str, *, denied: bool) -> set[Right]:
        with self._lock:
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
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    api = KubeApi(tmp_path_factory.mktemp("kube"), audited="tapedeck-operator")
    try:
        api.start()
        with api.client() as client:
            install_crds(client, CRDS)
        yield api
    finally:
        api.stop()


@pytest.fixture(scope="module")
def audit(kube: KubeApi) -> Audit:
    return Audit(kube.audit)


class Life:
    """All that an operator meets: runs that end and go, one that is lost, one whose policies are switched off."""

    def __init__(self, kube: KubeApi, folder: Path, without: Collection[Right] = ()) -> None:
        folder.mkdir()
        self.things = Things(kube.client())
        for document in rights(self.things.namespace, without=without):
            self.things.apply(document)
        self.operator = OperatorProcess(kube, self.things.namespace, folder)
        soon = {"ttlSecondsAfterFinished": 0}
        self._ending = [
            self.things.resource("Feed", "ending", {"source": FILES, **soon}),
            self.things.resource("Replay", "ending", {"source": STORE, **soon}),
            self.things.resource("Backtest", "ending", {**TRADING, "data": STORE, **soon}),
        ]
        self._lost = self.things.resource("Replay", "lost", {"source": STORE})
        self._bound = self.things.resource("Backtest", "bound", {**TRADING, "data": {"replay": {"name": "lost"}}})
        self._kept = self.things.resource("Replay", "kept", {"source": STORE})
        self._live = self.things.resource("Feed", "live", {**LIVE, "shards": 2})
        self.things.resource("Replay", "filled", {"source": FILLED})
        self._plain = False
        self.operator.start()

    def go_on(self) -> None:
        """What controllers and users do, as far as it can be done by now."""
        for made in self._ending:
            job = self._child("Job", made)
            if job is not None and not job.get("status", {}).get("conditions"):
                self.things.end_job(job, "Complete")
        if self._child("Deployment", self._live, "-1") is not None:
            self.things.resource("Feed", "live", {**LIVE, "shards": 1})
        if self.things.find(self._lost) is not None:
            if self._child("Job", self._bound) is not None:
                self.things.delete(self._lost)
        elif not self._plain and self._child("Job", self._bound) is None and self._child("NetworkPolicy", self._kept):
            self._plain = True
            self.operator.stop()
            self.operator.environment["TAPEDECK_OPERATOR_NETWORK_POLICIES"] = "false"
            self.operator.start()

    def end(self) -> None:
        self.operator.stop()
        self.things.clean()
        self.things.client.close()

    def _child(self, kind: str, owner: Json, suffix: str = "") -> Json | None:
        path = PATHS[kind].format(self.things.namespace)
        answer = self.things.client.get(f"{path}/{self.things.child_name(owner)}{suffix}")
        return {**answer.json(), "kind": kind} if answer.status_code == 200 else None


def test_all_that_is_granted_is_used(kube: KubeApi, audit: Audit, tmp_path: Path) -> None:
    life = Life(kube, tmp_path / "all")
    try:

        def complete() -> bool:
            life.go_on()
            return audit.used(life.things.namespace) >= GIVEN

        try:
            life.things.until(complete, 60)
        except AssertionError:
            pytest.fail(f"granted and not used: {sorted(GIVEN - audit.used(life.things.namespace))}")
        assert audit.used(life.things.namespace) == GIVEN
        assert not audit.denied(life.things.namespace)
    finally:
        life.end()


@pytest.mark.timeout(400)
def test_each_right_that_is_taken_away_is_missed(kube: KubeApi, audit: Audit, tmp_path: Path) -> None:
    """Several at a time: one that hides the use of another leaves that to a life without fewer, or without it alone."""

    def missed(without: Collection[Right]) -> set[Right]:
        life = Life(kube, tmp_path / str(uuid.uuid4()), without=without)
        try:
            return _missed(life, audit, without)
        finally:
            life.end()

    verbs = sorted({right.verb for right in GIVEN})
    left = sorted(GIVEN)
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def search(groups: list[list[Right]]) -> None:
            left[:] = sorted(set(left).difference(*pool.map(missed, groups)))

        search([[right for right in GIVEN if right.verb == verb] for verb in verbs])
        search([left[first::5] for first in range(min(5, len(left)))])
        search([[right] for right in left])
    assert not left


def _missed(life: Life, audit: Audit, without: Collection[Right]) -> set[Right]:
    """Those that the operator asked for, was denied and complained of, until nothing new comes."""
    found: set[Right] = set()
    patience = QUIET_SECONDS if len(without) > 1 else PATIENT_SECONDS
    last = time.monotonic()
    while found < set(without) and time.monotonic() < last + patience:
        life.go_on()
        now = {right for right in without if right in audit.denied(life.things.namespace) and _told(life, right)}
        if now - found:
            found, last = now, time.monotonic()
        time.sleep(0.1)
    return found


def _told(life: Life, right: Right) -> bool:
    """Whether the log says what may not be done."""
    text = life.operator.log.read_text().replace("\\", "")  # JSON lines quote quotes
    return f'cannot {right.verb} resource "{right.resource}"' in text
