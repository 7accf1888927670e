"""The users of the broker that the chart creates: of the workloads, and of those of further namespaces."""

from __future__ import annotations

import json

import pytest
import yaml

from charts.network import Pod, allowed
from charts.rendered import CHART, EXTERNAL, HELM, find, render, template, with_vendors
from tapedeck_common.kafka_users import KafkaUser
from tapedeck_crds.json import Json

WORKLOADS = {"feed", "replay", "transform", "backtest", "recorder", "gateway"}
NAMESPACES = {"team-a": ["replay", "backtest"], "team-b": ["feed"]}

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """The release with its own broker and database."""
    values = {
        "broker": {"enabled": True},
        "timescaledb": {"enabled": True},
        "connections": {"namespaces": NAMESPACES},
    }
    return render(values, chart=with_vendors(tmp_path_factory.mktemp("chart")))


def accounts(documents: list[Json], namespace: str | None = None) -> dict[str, tuple[str, str]]:
    """Username and password by workload, from the Secret of a namespace."""
    data = find(documents, "Secret", "tapedeck-connections", namespace)["stringData"]
    workloads = {key.split(".")[0] for key in data}
    assert {data[f"{each}.kafka_sasl_mechanism"] for each in workloads} == {"SCRAM-SHA-512"}
    return {each: (data[f"{each}.kafka_username"], data[f"{each}.kafka_password"]) for each in workloads}


def migrate(documents: list[Json]) -> Json:
    container: Json = find(documents, "Deployment", "td-recorder")["spec"]["template"]["spec"]["initContainers"][0]
    return container


def told_users(documents: list[Json]) -> list[KafkaUser]:
    told = {variable["name"]: variable["value"] for variable in migrate(documents)["env"]}
    assert told["TAPEDECK_KAFKA_PASSWORDS"] in {mount["mountPath"] for mount in migrate(documents)["volumeMounts"]}
    return [KafkaUser.model_validate(user) for user in json.loads(told["TAPEDECK_KAFKA_USERS"])]


def test_the_bundled_broker_has_a_user_with_a_password_for_each_workload(bundled: list[Json]) -> None:
    found = accounts(bundled)
    assert found.keys() == {*WORKLOADS, "migrate"}
    assert all(name == f"tapedeck-{workload}" for workload, (name, _) in found.items())
    passwords = [password for _, password in found.values()]
    assert all(len(password) == 32 for password in passwords)
    assert len(set(passwords)) == len(passwords)


def test_its_administrator_is_the_user_of_migrate_alone(bundled: list[Json]) -> None:
    sasl = yaml.safe_load((CHART / "charts/broker/values.yaml").read_text())["redpanda"]["auth"]["sasl"]
    reference, account = sasl["bootstrapUser"]["secretKeyRef"], accounts(bundled)["migrate"]
    admin = find(bundled, "Secret", reference["name"])
    assert (sasl["bootstrapUser"]["name"], admin["stringData"][reference["key"]]) == account
    assert admin["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}  # as long as the broker's volume
    assert (sasl["enabled"], sasl["users"]) == (True, [])
    assert find(bundled, "Secret", sasl["secretRef"])["stringData"] == {"users.txt": ""}


def test_migrate_creates_every_user_with_the_password_of_its_secret(bundled: list[Json]) -> None:
    users = told_users(bundled)
    made = find(bundled, "Secret", "tapedeck-kafka-users")["stringData"]
    assert {user.key for user in users} == made.keys()
    for user in users:
        assert accounts(bundled, user.namespace or None)[user.workload] == (user.name, made[user.key])


def test_a_namespace_has_the_keys_of_its_workloads_and_users_of_its_own(bundled: list[Json]) -> None:
    everyone = [account for namespace in (None, *NAMESPACES) for account in accounts(bundled, namespace).values()]
    assert len(set(everyone)) == len(everyone)
    for namespace, workloads in NAMESPACES.items():
        found = accounts(bundled, namespace)
        assert {each: name for each, (name, _) in found.items()} == {w: f"tapedeck-{w}.{namespace}" for w in workloads}


def test_users_of_an_existing_broker_are_created_on_request() -> None:
    kafka = {
        **EXTERNAL["kafka"],
        "securityProtocol": "SASL_SSL",
        "saslMechanism": "SCRAM-SHA-512",
        "createUsers": True,
        "users": {"migrate": {"username": "root", "password": "r"}, "feed": {"username": "mine", "password": "m"}},
    }
    documents = render({**EXTERNAL, "kafka": kafka, "connections": {"namespaces": NAMESPACES}})
    found = accounts(documents)
    assert (found["migrate"], found["feed"], found["replay"][0]) == (("root", "r"), ("mine", "m"), "tapedeck-replay")
    assert "tapedeck-broker-admin" not in {document["metadata"]["name"] for document in documents}
    assert len(told_users(documents)) == len(WORKLOADS) + 3


def test_without_users_a_namespace_gets_the_same_connections() -> None:
    documents = render({**EXTERNAL, "connections": {"namespaces": {"team-a": ["replay"]}}})
    own, theirs = (find(documents, "Secret", "tapedeck-connections", each)["stringData"] for each in (None, "team-a"))
    assert theirs == {key: value for key, value in own.items() if key.startswith("replay.")}


@pytest.mark.parametrize(
    ("namespaces", "said"),
    [
        ({"deck": ["feed"]}, "the namespace of the release"),
        ({"a": ["recorder"]}, "/connections/namespaces/a/0"),
        ({"A": ["feed"]}, "A"),
    ],
)
def test_wrong_namespaces_are_rejected(namespaces: Json, said: str) -> None:
    done = template({**EXTERNAL, "connections": {"namespaces": namespaces}})
    assert done.returncode != 0
    assert said in done.stderr


def test_the_bundled_broker_is_reached_at_its_kafka_listener_alone(bundled: list[Json]) -> None:
    policies = [document for document in bundled if document["kind"] == "NetworkPolicy"]
    of_release = {"app.kubernetes.io/instance": "td"}
    broker = Pod("deck", {**of_release, "app.kubernetes.io/name": "redpanda"})
    setup = Pod("deck", {**of_release, "app.kubernetes.io/name": "redpanda-configuration"})
    part = {"app.kubernetes.io/part-of": "tapedeck"}
    run = Pod("team-a", {"app.kubernetes.io/managed-by": "tapedeck-operator", **part})
    recorder = Pod("deck", {**of_release, **part, "app.kubernetes.io/name": "recorder"})
    tenant = Pod("team-a", {"app": "mine"})
    assert [allowed(policies, pod, broker, 9093) for pod in (run, recorder, setup, tenant)] == [True, True, True, False]
    # The administrative API asks for no password.
    assert [allowed(policies, pod, broker, 9644) for pod in (run, recorder, setup, tenant)] == [
        False, False, True, False,
    ]  # fmt: skip
