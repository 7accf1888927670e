"""The chart: what it renders, as a real API server with Pod Security `restricted` takes it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from kube_api import RIG_BIN, KubeApi, missing_binaries
from tapedeck.settings import Connections
from tapedeck_operator.cluster.settings import OperatorSettings
from tapedeck_operator.plan.pods import CONNECTION_FIELDS

Json = dict[str, Any]
CHART = Path(__file__).parents[2] / "charts/tapedeck"
HELM = str(RIG_BIN / "helm") if (RIG_BIN / "helm").exists() else shutil.which("helm")
EXTERNAL = {"kafka": {"bootstrap": "kafka.example:9092"}, "store": {"host": "db.example"}}
CLUSTER_SCOPED = {"CustomResourceDefinition": "customresourcedefinitions", "ClusterRole": "clusterroles",
                  "ClusterRoleBinding": "clusterrolebindings"}  # fmt: skip

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


def render(values: Json, *arguments: str) -> list[Json]:
    done = template(values, *arguments)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def template(values: Json, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HELM), "template", "td", str(CHART), "-n", "deck", "--kube-version", "1.34.0", "-f", "-", *arguments],
        input=yaml.safe_dump(values),
        capture_output=True,
        text=True,
        timeout=60,
    )


def find(documents: list[Json], kind: str, name: str) -> Json:
    return next(d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An API server with the namespace of the release, which takes restricted pods only."""
    if missing := missing_binaries():
        pytest.skip(f"needs {', '.join(missing)}: tests/e2e/rig/build")
    api = KubeApi(tmp_path_factory.mktemp("kube"))
    try:
        api.start()
        with api.client() as client:
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "deck", "labels": labels}}
            assert client.post("/api/v1/namespaces", json=namespace).status_code == 201
            yield client
    finally:
        api.stop()


def dry_run(client: httpx.Client, document: Json) -> httpx.Response:
    """A strict server-side dry run: unknown fields are errors."""
    kind, group = document["kind"], document["apiVersion"]
    base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    plural = CLUSTER_SCOPED.get(kind)
    path = f"{base}/{plural}" if plural else f"{base}/namespaces/deck/{_plural(kind)}"
    return client.post(path, params={"dryRun": "All", "fieldValidation": "Strict"}, json=document)


def _plural(kind: str) -> str:
    return kind.lower()[:-1] + "ies" if kind.endswith("cy") else kind.lower() + "s"


@pytest.mark.parametrize(
    "values",
    [
        EXTERNAL,
        {**EXTERNAL, "operator": {"watch": "release"}, "crds": {"enabled": False}},
        {"kafka": {"bootstrap": "k:9092"}, "timescaledb": {"enabled": True, "storageClass": "fast"}},
        {**EXTERNAL, "images": {"pullSecrets": ["p"]}, "recorder": {"replicas": 3, "tolerations": [{"key": "a"}]}},
    ],
    ids=["external", "one-namespace", "timescaledb", "placed"],
)
def test_a_real_api_server_takes_all_that_is_rendered(restricted: httpx.Client, values: Json) -> None:
    for document in render(values):
        answer = dry_run(restricted, document)
        assert answer.status_code == 201, f"{document['kind']} {document['metadata']['name']}: {answer.text}"
        spec = document.get("spec", {})
        if "template" in spec:  # the Pod Security admission refuses pods, and only warns of templates
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec["template"]["spec"]}
            pod["spec"].pop("serviceAccountName", None)
            for claim in spec.get("volumeClaimTemplates", []):
                pod["spec"]["volumes"].append({"name": claim["metadata"]["name"], "emptyDir": {}})
            answer = dry_run(restricted, pod)
            assert answer.status_code == 201, f"pod of {document['metadata']['name']}: {answer.text}"


def test_crds_can_be_kept_or_left_out() -> None:
    kept = [d for d in render(EXTERNAL) if d["kind"] == "CustomResourceDefinition"]
    assert {d["metadata"]["name"].split(".")[0] for d in kept} == {"feeds", "replays", "backtests"}
    assert all(d["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for d in kept)
    gone = [d for d in render({**EXTERNAL, "crds": {"keep": False}}) if d["kind"] == "CustomResourceDefinition"]
    assert len(gone) == 3
    assert not any("annotations" in d["metadata"] for d in gone)
    assert not [d for d in render({**EXTERNAL, "crds": {"enabled": False}}) if d["kind"].startswith("Custom")]


def test_connections_are_those_that_the_pods_mount(tmp_path: Path) -> None:
    values: Json = {
        "kafka": {
            "bootstrap": "k:9093",
            "securityProtocol": "SASL_SSL",
            "saslMechanism": "SCRAM-SHA-512",
            "ca": "PEM of the broker",
            "users": {"backtest": {"username": "bt", "password": "p w"}},
        },
        "store": {
            "host": "db",
            "sslMode": "verify-full",
            "ca": "PEM of the store",
            "roles": {"reader": {"username": "tapedeck_reader", "password": "a/b c"}},
        },
    }
    data = find(render(values), "Secret", "tapedeck-connections")["stringData"]
    for workload in ("feed", "replay", "backtest", "recorder", "gateway", "migrate"):
        assert {f"{workload}.{field}" for field in CONNECTION_FIELDS} <= set(data)
    for field in CONNECTION_FIELDS:
        (tmp_path / field).write_text(data[f"backtest.{field}"])
    read = Connections.read(tmp_path)
    assert (read.kafka_bootstrap, read.kafka_security_protocol) == ("k:9093", "SASL_SSL")
    assert (read.kafka_username, read.kafka_password.get_secret_value()) == ("bt", "p w")
    assert read.kafka_ca == tmp_path / "kafka_ca"
    assert read.store_dsn.get_secret_value() == (
        "postgresql://tapedeck_reader:a%2Fb%20c@db:5432/tapedeck?sslmode=verify-full"
        "&sslrootcert=/etc/tapedeck/connections/store_ca"
    )
    assert data["feed.store_dsn"] == ""
    assert "tapedeck_reader" not in data["recorder.store_dsn"]


def test_each_workload_has_a_role_of_its_own_where_roles_are_made() -> None:
    def role_of(values: Json) -> dict[str, str]:
        data = find(render(values), "Secret", "tapedeck-connections")["stringData"]
        workloads = ("replay", "backtest", "gateway", "recorder", "migrate")
        return {w: urlsplit(data[f"{w}.store_dsn"]).username or "" for w in workloads}

    assert set(role_of(EXTERNAL).values()) == {"tapedeck", "tapedeck_reader", "tapedeck_recorder"}
    own = {"kafka": EXTERNAL["kafka"], "timescaledb": {"enabled": True}}
    assert role_of(own) == {w: f"tapedeck_{w}" for w in ("replay", "backtest", "gateway", "recorder")} | {
        "migrate": "tapedeck"
    }
    named: Json = {"host": "d", "roles": {"backtest": {"username": "bt", "password": "p"}}}
    assert role_of({**EXTERNAL, "store": named})["backtest"] == "bt"
    (migrate,) = find(render(own), "Deployment", "td-recorder")["spec"]["template"]["spec"]["initContainers"]
    told = {variable["name"]: variable.get("value") for variable in migrate["env"]}
    assert told["TAPEDECK_MAKE_ROLES"] == "true"
    assert told["TAPEDECK_ROLES"] in {mount["mountPath"] for mount in migrate["volumeMounts"]}


def test_the_operator_understands_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = render(EXTERNAL)
    (container,) = find(documents, "Deployment", "td-operator")["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    key = base64.b64decode(find(documents, "Secret", "td-operator-key")["data"]["key"])
    (tmp_path / "key").write_bytes(key)
    monkeypatch.setenv("TAPEDECK_OPERATOR_KEY_FILE", str(tmp_path / "key"))
    settings = OperatorSettings().planning()  # type: ignore[call-arg]
    assert settings.images["replay"] == "ghcr.io/tapedeck/replay:0.1.0"
    assert settings.network is not None
    ports = [port["port"] for rule in settings.network.egress for port in rule["ports"]]
    assert ports == [53, 53, 9092, 5432]
    assert settings.network.ingress_from[0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "operator"


def test_rights_are_cluster_wide_or_of_one_namespace() -> None:
    kinds = {d["kind"] for d in render(EXTERNAL)}
    assert {"ClusterRole", "ClusterRoleBinding"} <= kinds
    documents = render({**EXTERNAL, "operator": {"watch": "release"}})
    assert not [d for d in documents if d["kind"].startswith("ClusterRole")]
    rules = find(documents, "Role", "td-operator")["rules"]
    assert any("replays" in rule["resources"] for rule in rules)
    secrets = [rule["verbs"] for rule in rules if "secrets" in rule["resources"]]
    assert secrets == [["create"]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "kafka.bootstrap: got nothing"),
        ({"kafka": {"bootstrap": "k:9092"}}, "store.host: got nothing"),
        ({"store": {"host": "d"}, "broker": {"enabled": True}}, "helm dependency build"),
        ({**EXTERNAL, "store": {"host": "d", "createRoles": True}}, "store.roles.backtest.password: got nothing"),
        ({**EXTERNAL, "recorder": {"replica": 2}}, "replica"),
        ({**EXTERNAL, "operator": {"watch": "some"}}, "watch"),
        ({**EXTERNAL, "kafka": {"bootstrap": "nowhere"}}, "bootstrap"),
    ],
)
def test_wrong_values_are_refused_with_their_name(values: Json, said: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert said in done.stderr


def test_monitors_are_rendered_only_when_asked_for() -> None:
    assert not [d for d in render(EXTERNAL) if d["apiVersion"].startswith("monitoring")]
    both = {"podMonitor": {"enabled": True, "labels": {"release": "kps"}}, "serviceMonitor": {"enabled": True}}
    documents = render({**EXTERNAL, "metrics": both})
    monitors = [d for d in documents if d["apiVersion"].startswith("monitoring")]
    assert {d["kind"] for d in monitors} == {"PodMonitor", "ServiceMonitor"}
    assert find(monitors, "PodMonitor", "td")["metadata"]["labels"]["release"] == "kps"
    assert json.dumps(documents)
