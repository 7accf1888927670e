"""The gateway's calls of a real API server, with the chart's rights: each is needed, and there are no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from kube.api import KubeApi, missing_binaries
from kube.operator import ROOT, Things
from tapedeck_crds.errors import Conflict, InvalidInput, NotFound
from tapedeck_crds.json import Json
from tapedeck_gateway.resources.activity import events_of
from tapedeck_gateway.resources.connection import connect_resources
from tapedeck_gateway.resources.controls import parse_controls, patch_of
from tapedeck_gateway.resources.errors import ReadOnlyGateway
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi
from tapedeck_gateway.resources.listing import ListPlace, list_page
from tapedeck_gateway.resources.manifests import parse_manifest
from tapedeck_gateway.resources.strategy_sources import StrategySource, delete_source, store_source
from waits import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_binaries()), reason=f"needs {', '.join(missing_binaries())}: tests/e2e/rig/build"),
]
RULES: dict[str, list[Json]] = yaml.safe_load((ROOT / "charts/tapedeck/files/gateway-rules.yaml").read_text())
EVERY = [rule for part in RULES.values() for rule in part]
RIGHTS = [(verb, name) for rule in EVERY for name in rule["resources"] for verb in rule["verbs"]]
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
SPECS: dict[str, tuple[str, Json]] = {
    "feeds": ("Feed", {"exchange": "binance", "symbols": ["BTC/USDT"]}),
    "replays": ("Replay", {"source": STORE}),
    "backtests": ("Backtest", {"data": STORE, "strategy": {"builtin": "sma-cross"}}),
}
API = "rbac.authorization.k8s.io"


class Account:
    """A ServiceAccount of a namespace with the gateway's rights there, or without one of them."""

    def __init__(self, kube: KubeApi, things: Things, folder: Path) -> None:
        self._things = things
        things.must(
            things.client.post(
                f"/api/v1/namespaces/{things.namespace}/serviceaccounts",
                json={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gateway"}},
            )
        )
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{things.namespace}/serviceaccounts/gateway/token"
        (folder / "token").write_text(things.must(things.client.post(path, json=asked))["status"]["token"])
        (folder / "ca.crt").write_bytes((kube.folder / "ca.crt").read_bytes())
        api = connect_resources(kube.url, folder)
        assert api is not None
        self.api: KubernetesApi = api
        things.apply(
            {
                "apiVersion": f"{API}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "gateway", "namespace": things.namespace},
                "roleRef": {"apiGroup": API, "kind": "Role", "name": "gateway"},
                "subjects": [{"kind": "ServiceAccount", "name": "gateway", "namespace": things.namespace}],
            }
        )
        self.may()

    def may(self, without: tuple[str, str] = ("", "")) -> None:
        """Give the rights of the chart, all but one."""
        rules = [
            {**rule, "resources": [name], "verbs": verbs}
            for rule in EVERY
            for name in rule["resources"]
            if (verbs := [verb for verb in rule["verbs"] if (verb, name) != without])
        ]
        metadata = {"name": "gateway", "namespace": self._things.namespace}
        self._things.apply({"apiVersion": f"{API}/v1", "kind": "Role", "metadata": metadata, "rules": rules})


@pytest.fixture
def account(kube: KubeApi, tmp_path: Path) -> Iterator[tuple[Account, Things]]:
    things = Things(kube.client())
    account = Account(kube, things, tmp_path)
    yield account, things
    account.api.close()
    things.clean()
    things.client.close()


def created(api: KubernetesApi, plural: str, namespace: str, name: str, *, dry_run: bool = False) -> Json:
    kind, filled = SPECS[plural]
    document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
    text = json.dumps({**document, "spec": filled}).encode()
    return api.create(plural, parse_manifest(text, kind, namespace), dry_run=dry_run)


def test_a_cluster_answers_as_a_deck_does(account: tuple[Account, Things]) -> None:
    (gateway, things), namespace = account, account[1].namespace
    api = gateway.api
    for number in range(3):
        created(api, "replays", namespace, f"tape-{number}")
    first, following = list_page(api, "replays", [namespace], 2, ListPlace())
    assert following is not None
    second, end = list_page(api, "replays", [namespace], 2, following)
    assert [each["metadata"]["name"] for each in first + second] == ["tape-0", "tape-1", "tape-2"]
    assert end is None
    assert {each["kind"] for each in first} == {"Replay"}
    with pytest.raises(Conflict):
        created(api, "replays", namespace, "tape-0")
    with pytest.raises(NotFound):
        api.get("replays", namespace, "none")

    patched = api.patch("replays", namespace, "tape-0", patch_of(parse_controls(b'{"step": 2, "speed": 60}')))
    assert (patched["spec"]["paused"], patched["spec"]["step"]["intervals"], patched["spec"]["speed"]) == (True, 2, 60)
    for patch, field in (({"shards": 2}, "shards"), ({"speed": 0}, "spec.speed"), ({"nothing": 1}, "nothing")):
        with pytest.raises(InvalidInput, match=field):
            api.patch("replays", namespace, "tape-0", {"spec": patch})
    tried = api.patch("replays", namespace, "tape-0", {"spec": {"speed": 5}}, dry_run=True)
    assert (tried["spec"]["speed"], api.get("replays", namespace, "tape-0")["spec"]["speed"]) == (5, 60)

    uid = patched["metadata"]["uid"]
    regarding = {"kind": "Replay", "namespace": namespace, "name": "tape-0", "uid": uid}
    event = {"reason": "Paused", "type": "Normal", "action": "Reconcile", "note": "it is paused"}
    for number, about in enumerate((uid, "another")):
        things.must(
            things.client.post(
                f"/apis/events.k8s.io/v1/namespaces/{namespace}/events",
                json={
                    "apiVersion": "events.k8s.io/v1",
                    "kind": "Event",
                    "metadata": {"name": f"e{number}", "namespace": namespace},
                    "eventTime": "2026-01-01T00:00:01.500000Z",
                    "reportingController": "tapedeck.dev/operator",
                    "reportingInstance": "i",
                    "regarding": regarding | {"uid": about},
                    **event,
                },
            )
        )
    (found,), earlier = events_of(api, patched, None, 100)
    assert earlier is None
    assert (found.ts, found.count, found.reason, found.message) == (1_767_225_601_500, 1, "Paused", "it is paused")
    for source in ("x = 1", "x = 2"):
        store_source(api, namespace, StrategySource(name="mine", source=source))
    assert api.config_map(namespace, "mine")["data"] == {"strategy.py": "x = 2"}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": namespace}}
    things.must(things.client.post(f"/api/v1/namespaces/{namespace}/configmaps", json=other))
    with pytest.raises(Conflict, match="without the label"):
        delete_source(api, namespace, "other")
    with pytest.raises(Conflict, match="without the label"):
        store_source(api, namespace, StrategySource(name="other", source="x"))
    api.delete("replays", namespace, "tape-0", dry_run=False)
    with pytest.raises(NotFound):
        api.get("replays", namespace, "tape-0")


def test_every_right_of_the_chart_is_needed(account: tuple[Account, Things]) -> None:
    (gateway, things), namespace = account, account[1].namespace
    api = gateway.api
    for plural in SPECS:
        created(api, plural, namespace, "kept")
    store_source(api, namespace, StrategySource(name="kept", source="x"))
    pod = {
        "metadata": {"name": "p", "labels": {"tapedeck.dev/uid": "u"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    things.must(
        things.client.post(f"/api/v1/namespaces/{namespace}/pods", json={"apiVersion": "v1", "kind": "Pod", **pod})
    )
    calls: dict[tuple[str, str], Callable[[], object]] = {
        ("list", "events"): lambda: api.events(namespace, "u"),
        ("list", "pods"): lambda: api.pods(namespace, "u"),
        ("get", "pods/log"): lambda: api.log(namespace, "p", 10),
        ("get", "configmaps"): lambda: api.config_map(namespace, "kept"),
        ("create", "configmaps"): lambda: store_source(api, namespace, StrategySource(name="new", source="x")),
        ("patch", "configmaps"): lambda: store_source(api, namespace, StrategySource(name="kept", source="y")),
        ("delete", "configmaps"): lambda: api._json(
            "DELETE", f"/api/v1/namespaces/{namespace}/configmaps/kept", {"dryRun": "All"}
        ),
    }
    for name in SPECS:
        calls |= {
            ("get", name): lambda name=name: api.get(name, namespace, "kept"),  # type: ignore[misc]
            ("list", name): lambda name=name: api.page(name, namespace, 10, ""),  # type: ignore[misc]
            ("create", name): lambda name=name: created(api, name, namespace, "new", dry_run=True),  # type: ignore[misc]
            ("patch", name): lambda name=name: api.patch(name, namespace, "kept", {"metadata": {"labels": {"a": "b"}}}),  # type: ignore[misc]
            ("delete", name): lambda name=name: api.delete(name, namespace, "kept", dry_run=True),  # type: ignore[misc]
        }
    assert calls.keys() == set(RIGHTS)
    for right, call in calls.items():
        gateway.may(without=right)
        eventually(lambda call=call, right=right: refusal_of(call) == right, 20)  # type: ignore[misc]
    gateway.may()
    for call in calls.values():
        eventually(lambda call=call: refusal_of(call) is None, 20)  # type: ignore[misc]
    for path in ("/api/v1/secrets", "/apis/tapedeck.dev/v1alpha1/replays", f"/api/v1/namespaces/{namespace}/secrets"):
        with pytest.raises(ReadOnlyGateway):
            api._json("GET", path)


def refusal_of(call: Callable[[], object]) -> tuple[str, str] | None:
    """The right that the API server misses for a call; None where it permits it."""
    try:
        call()
    except ReadOnlyGateway as error:
        found = re.search(r'cannot (\w+) resource "([a-z/]+)"', str(error))
        assert found is not None, str(error)
        return found[1], found[2]
    return None
