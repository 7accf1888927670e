"""The rendered chart, validated by a real API server with Pod Security `restricted`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import httpx
import pytest

from charts.rendered import CHART, DIGESTS, EXTERNAL, HELM, SETS, find, render, template
from kube.api import KubeApi, missing_binaries
from tapedeck_common.settings import Connections
from tapedeck_common.store.retention import RetainedTable
from tapedeck_common.topics import PERMANENT_TOPICS
from tapedeck_crds.json import Json
from tapedeck_maintenance.retention_job import RetentionSettings
from tapedeck_operator.cluster.settings import OperatorSettings
from tapedeck_operator.plan.pods import CONNECTION_FIELDS
from tapedeck_operator.plan.types import Settings

SCHEMA = CHART / "values.schema.json"
CLUSTER_SCOPED = {"CustomResourceDefinition": "customresourcedefinitions", "ClusterRole": "clusterroles",
                  "ClusterRoleBinding": "clusterrolebindings"}  # fmt: skip

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An API server with the release's namespace, which accepts only restricted pods."""
    if missing := missing_binaries():
        pytest.skip(f"needs {', '.join(missing)}: tests/e2e/rig/build")
    api = KubeApi(tmp_path_factory.mktemp("kube"))
    try:
        api.start()
        with api.client() as client:
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            for name in ("deck", "team-a", "team-b"):
                namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
                assert client.post("/api/v1/namespaces", json=namespace).status_code == 201
            yield client
    finally:
        api.stop()


def dry_run(client: httpx.Client, document: Json) -> httpx.Response:
    """A strict server-side dry run: unknown fields are errors."""
    kind, group = document["kind"], document["apiVersion"]
    base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    plural = CLUSTER_SCOPED.get(kind)
    namespace = document["metadata"].get("namespace", "deck")
    path = f"{base}/{plural}" if plural else f"{base}/namespaces/{namespace}/{_plural(kind)}"
    return client.post(path, params={"dryRun": "All", "fieldValidation": "Strict"}, json=document)


def _plural(kind: str) -> str:
    name = kind.lower()
    if name.endswith("cy"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith("s") else "s")


@pytest.mark.parametrize("name", SETS)
def test_an_api_server_accepts_every_rendered_object(restricted: httpx.Client, name: str) -> None:
    for document in render(SETS[name]):
        if document["apiVersion"].startswith("monitoring.coreos.com"):
            continue
        answer = dry_run(restricted, document)
        assert answer.status_code == 201, f"{document['kind']} {document['metadata']['name']}: {answer.text}"
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:  # Pod Security admission rejects pods, but only warns about templates
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec["template"]["spec"]}
            if not any("projected" in volume for volume in pod["spec"]["volumes"]):  # a token needs its account
                pod["spec"].pop("serviceAccountName", None)
            for claim in spec.get("volumeClaimTemplates", []):
                pod["spec"]["volumes"].append({"name": claim["metadata"]["name"], "emptyDir": {}})
            answer = dry_run(restricted, pod)
            assert answer.status_code == 201, f"pod of {document['metadata']['name']}: {answer.text}"


def test_crds_can_be_kept_or_omitted() -> None:
    kept = [d for d in render(EXTERNAL) if d["kind"] == "CustomResourceDefinition"]
    assert {d["metadata"]["name"].split(".")[0] for d in kept} == {"feeds", "replays", "backtests"}
    kept.append(find(render(EXTERNAL), "Secret", "td-operator-key"))  # it signs the controls of the kept Replays
    assert all(d["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for d in kept)
    gone = [d for d in render({**EXTERNAL, "crds": {"keep": False}}) if d["kind"] == "CustomResourceDefinition"]
    assert len(gone) == 3
    assert not any("annotations" in d["metadata"] for d in gone)
    unkept = render({**EXTERNAL, "crds": {"keep": False}})
    assert "annotations" not in find(unkept, "Secret", "td-operator-key")["metadata"]
    assert not [d for d in render({**EXTERNAL, "crds": {"enabled": False}}) if d["kind"].startswith("Custom")]


def test_the_connections_have_the_keys_that_pods_mount(tmp_path: Path) -> None:
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
    for workload in ("feed", "replay", "transform", "backtest", "recorder", "gateway", "migrate"):
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
    assert "tapedeck_reader" not in data["recorder.store_dsn"]


def test_each_workload_has_its_own_role_if_roles_are_created() -> None:
    def role_of(values: Json) -> dict[str, str]:
        data = find(render(values), "Secret", "tapedeck-connections")["stringData"]
        workloads = ("feed", "replay", "transform", "backtest", "gateway", "recorder", "migrate")
        return {w: urlsplit(data[f"{w}.store_dsn"]).username or "" for w in workloads}

    assert set(role_of(EXTERNAL).values()) == {"tapedeck", "tapedeck_reader", "tapedeck_recorder"}
    own = {"kafka": EXTERNAL["kafka"], "timescaledb": {"enabled": True}}
    assert role_of(own) == {
        w: f"tapedeck_{w}" for w in ("feed", "replay", "transform", "backtest", "gateway", "recorder")
    } | {"migrate": "tapedeck"}
    named: Json = {"host": "d", "roles": {"backtest": {"username": "bt", "password": "p"}}}
    assert role_of({**EXTERNAL, "store": named})["backtest"] == "bt"
    (migrate,) = find(render(own), "Deployment", "td-recorder")["spec"]["template"]["spec"]["initContainers"]
    told = _environment(migrate)
    assert told["TAPEDECK_MAKE_ROLES"] == "true"
    assert told["TAPEDECK_ROLES"] in {mount["mountPath"] for mount in migrate["volumeMounts"]}


def operator_settings(documents: list[Json], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that the operator reads from its rendered environment."""
    (container,) = find(documents, "Deployment", "td-operator")["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    for name, text in find(documents, "Secret", "td-operator-key")["data"].items():
        (folder / name).write_bytes(base64.b64decode(text))
    monkeypatch.setenv("TAPEDECK_OPERATOR_KEY_FILE", str(folder / "key"))
    monkeypatch.setenv("TAPEDECK_OPERATOR_RESULTS_KEY_FILE", str(folder / "results"))
    return OperatorSettings().planning()


def test_the_operator_reads_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = operator_settings(render(EXTERNAL), tmp_path, monkeypatch)
    assert settings.images["replay"] == "ghcr.io/tapedeck/replay:0.1.0"
    assert settings.network is not None
    ports = [port["port"] for rule in settings.network.egress for port in rule["ports"]]
    assert ports == [53, 53, 9092, 5432]
    assert settings.network.ingress_from[0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "operator"


def test_images_are_named_by_digest_if_one_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = render(SETS["everything"])
    settings = operator_settings(documents, tmp_path, monkeypatch)
    assert settings.images["replay"] == f"ghcr.io/tapedeck/replay@{DIGESTS['replay']}"
    assert settings.images["feed"] == "ghcr.io/tapedeck/feed:1.2.3"
    pod = find(documents, "Deployment", "td-gateway")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"ghcr.io/tapedeck/gateway@{DIGESTS['gateway']}"
    assert pod["initContainers"][0]["image"] == "ghcr.io/tapedeck/recorder:1.2.3"


def test_rights_are_cluster_wide_or_limited_to_a_namespace() -> None:
    kinds = {d["kind"] for d in render(EXTERNAL)}
    assert {"ClusterRole", "ClusterRoleBinding"} <= kinds
    documents = render({**EXTERNAL, "operator": {"watch": "release"}})
    of_cluster = [d["metadata"]["name"] for d in documents if d["kind"].startswith("ClusterRole")]
    assert of_cluster == ["tapedeck-edit", "tapedeck-view"]  # come with the CRDs
    assert not [d for d in render(SETS["one-namespace"]) if d["kind"].startswith("ClusterRole")]
    rules = find(documents, "Role", "td-operator")["rules"]
    assert any("replays" in rule["resources"] for rule in rules)
    secrets = [rule["verbs"] for rule in rules if "secrets" in rule["resources"]]
    assert secrets == [["create"]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "kafka.bootstrap: got nothing"),
        ({"kafka": {"bootstrap": "k:9092"}}, "store.host: got nothing"),
        ({"store": {"host": "d"}, "broker": {"enabled": True}}, "helm dependency update"),
        ({**EXTERNAL, "store": {"host": "d", "createRoles": True}}, "store.roles.feed.password: got nothing"),
        ({**EXTERNAL, "images": {"digests": {"replays": "sha256:" + 64 * "0"}}}, "replays"),
        ({**EXTERNAL, "images": {"digests": {"replay": "sha256:0123"}}}, "/images/digests/replay"),
        ({**EXTERNAL, "recorder": {"replica": 2}}, "replica"),
        ({**EXTERNAL, "operator": {"watch": "some"}}, "watch"),
        ({**EXTERNAL, "store": {"host": "d", "retention": {"days": {"candles": 3}}}}, "candles"),
        ({**EXTERNAL, "store": {"host": "d", "retention": {"days": {"bars": -1}}}}, "/store/retention/days/bars"),
        ({**EXTERNAL, "store": {"host": "d", "retention": {"schedule": "daily"}}}, "schedule"),
        ({**EXTERNAL, "store": {"host": "d", "roles": {"writer": {"username": "w"}}}}, "writer"),
        ({**EXTERNAL, "kafka": {"bootstrap": "k:1", "topics": {"replication": 0}}}, "replication"),
        ({**EXTERNAL, "kafka": {"bootstrap": "k:1", "topics": {"retentionHours": {"market.news": 1}}}}, "market.news"),
        ({**EXTERNAL, "metrics": {"dashboards": {"enabled": True, "prometheus": ""}}}, "prometheus"),
        ({**EXTERNAL, "metrics": {"alerts": {"thresholds": {"recorderLag": 1}}}}, "recorderLag"),
        ({**EXTERNAL, "metrics": {"alerts": {"thresholds": {"gapsOpenFor": "soon"}}}}, "gapsOpenFor"),
        ({**EXTERNAL, "gateway": {"service": {"port": 70000}}}, "port"),
        ({**EXTERNAL, "kafka": {"bootstrap": "nowhere"}}, "bootstrap"),
    ],
)
def test_invalid_values_are_rejected_with_their_name(values: Json, message: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert message in done.stderr


def test_monitoring_is_rendered_only_if_enabled() -> None:
    foreign = ("PodMonitor", "ServiceMonitor", "PrometheusRule", "ConfigMap")
    assert not [d for d in render(EXTERNAL) if d["kind"] in foreign]
    documents = render(SETS["everything"])
    assert {d["kind"] for d in documents} >= set(foreign)
    assert find(documents, "PodMonitor", "td")["metadata"]["labels"]["release"] == "kps"
    board = json.loads(find(documents, "ConfigMap", "td-dashboard-backtest")["data"]["backtest.json"])
    chosen = {v["name"]: v["current"]["value"] for v in board["templating"]["list"] if v["type"] == "datasource"}
    assert chosen == {"datasource": "Prometheus", "store": "Market"}
    addresses = [link["url"] for link in board["links"] if link["title"] in ("Page", "Logs")]
    assert addresses[0] == "https://deck.example" and "@" not in "".join(addresses)


def test_retention_is_off_unless_a_table_is_listed() -> None:
    for days in ({}, {"bars": 0}):
        values = {**EXTERNAL, "store": {"host": "d", "retention": {"days": days}}}
        assert not [d for d in render(values) if d["kind"] == "CronJob"]
    documents = render(SETS["everything"])
    job = find(documents, "CronJob", "td-retention")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    told = _environment(job["containers"][0])
    settings = RetentionSettings(retention_days=json.loads(told["TAPEDECK_RETENTION_DAYS"]))
    assert settings.retention_days == {"bars": 3650, "trades": 30, "runs": 0}
    (migrate,) = find(documents, "Deployment", "td-recorder")["spec"]["template"]["spec"]["initContainers"]
    told = _environment(migrate)
    assert json.loads(told["TAPEDECK_RETENTION_DAYS"]) == settings.retention_days
    assert json.loads(told["TAPEDECK_RETENTION_HOURS"]) == {"market.trades": 48, "market.bars": 0}
    assert told["TAPEDECK_REPLICATION"] == "3"


def test_the_values_schema_has_the_tables_and_topics_of_the_code() -> None:
    store, kafka = (json.loads(SCHEMA.read_text())["properties"][part]["properties"] for part in ("store", "kafka"))
    assert set(store["retention"]["properties"]["days"]["properties"]) == set(get_args(RetainedTable))
    assert set(kafka["topics"]["properties"]["retentionHours"]["properties"]) == set(PERMANENT_TOPICS)


@pytest.mark.parametrize("keep", [True, False])
def test_the_databases_volume_and_passwords_are_kept_together(keep: bool) -> None:
    documents = render({"kafka": EXTERNAL["kafka"], "timescaledb": {"enabled": True, "keepVolumes": keep}})
    secret, database = (find(documents, kind, "td-timescaledb") for kind in ("Secret", "StatefulSet"))
    policy = database["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain" if keep else "Delete", "whenScaled": "Retain"}
    assert secret["metadata"].get("annotations", {}) == ({"helm.sh/resource-policy": "keep"} if keep else {})


def _environment(container: Json) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}
