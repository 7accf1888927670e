"""Who may connect to whom, by the NetworkPolicies of the chart and of the operator."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from charts.network import Pod, allowed
from charts.planned_runs import own, planned_run
from charts.rendered import EXTERNAL, HELM, SETS, find, render, template
from tapedeck_crds.json import Json

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")

VALUES: Json = {**SETS["everything"], "timescaledb": {"enabled": True}}
STORE = {"store": {"exchange": "x", "symbols": ["A/B"]}}
FILES = {"exchange": "x", "sets": [{"symbol": "A/B", "path": "s3://bucket/a.csv"}]}
TRANSFORMS = {"transforms": [{"name": "a", "sma": {}}]}
RUNS: dict[str, tuple[str, Json]] = {
    "replay": ("Replay", {"source": STORE}),
    "backtest": ("Backtest", {"strategy": {"builtin": "rsi"}, "data": STORE}),
    "live feed": ("Feed", {"exchange": "binance", "symbols": ["A/B"], **TRANSFORMS}),
    "files feed": ("Feed", {"source": {"files": FILES}, **TRANSFORMS}),
}
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
OTHER_DNS = Pod("team-b", {"k8s-app": "kube-dns"})
BROKER = Pod(address="203.0.113.9")  # an existing one, anywhere
EXCHANGE, METADATA, PRIVATE = Pod(address="52.84.150.39"), Pod(address="169.254.169.254"), Pod(address="10.96.0.1")
TENANT = Pod("team-b", {"app": "a-tenants-own"})


@pytest.fixture(scope="module")
def documents() -> list[Json]:
    return render(VALUES)


@pytest.fixture(scope="module")
def policies(documents: list[Json]) -> list[Json]:
    return [document for document in documents if document["kind"] == "NetworkPolicy"]


@pytest.fixture(scope="module")
def run(documents: list[Json], policies: list[Json]) -> Callable[[str, str], dict[str, Pod]]:
    """Plans a run in a namespace and adds its policies; returns its pods by workload."""

    def made(name: str, namespace: str) -> dict[str, Pod]:
        kind, spec = RUNS[name]
        found = planned_run(documents, kind, spec, namespace, f"{name} of {namespace}")
        policies.extend(found.policies)
        return found.pods

    return made


def test_each_service_is_reached_by_those_that_need_it(
    policies: list[Json], run: Callable[..., dict[str, Pod]]
) -> None:
    runs = {name: pod for kind in RUNS for name, pod in run(kind, "team-a").items()}
    assert runs.keys() == {"replay", "backtest", "feed", "transform"}
    names = ("operator", "recorder", "gateway", "retention", "test", "timescaledb")
    everyone = {name: own(name) for name in names} | runs | {"tenant": TENANT}
    clients = {  # by hand
        ("operator", 8081): {"recorder", "test"},
        ("recorder", 8080): set(),
        ("gateway", 8080): {"test", "tenant"},  # the page is open to the cluster; gatewayFrom limits it
        ("timescaledb", 5432): {"recorder", "gateway", "retention", "test", *runs},
        ("replay", 8080): {"operator"},
        ("backtest", 8080): {"operator"},
        ("feed", 8080): {"operator"},
        ("transform", 8080): {"operator"},
    }
    for (target, port), expected in clients.items():
        others = {name: pod for name, pod in everyone.items() if name != target}
        found = {name for name, pod in others.items() if allowed(policies, pod, everyone[target], port)}
        assert found == expected, target
        assert not [name for name, pod in others.items() if allowed(policies, pod, everyone[target], 22)], target


def test_the_receiver_of_traces_is_reached_by_those_that_trace(
    documents: list[Json], policies: list[Json], run: Callable[..., dict[str, Pod]]
) -> None:
    receiver, other = Pod("traces", {"app": "tempo"}), Pod("team-b", {"app": "tempo"})
    runs = {name: pod for kind in RUNS for name, pod in run(kind, "team-a").items()}
    names = ("operator", "recorder", "gateway", "retention", "test", "timescaledb")
    everyone = {name: own(name) for name in names} | runs
    found = {name for name, pod in everyone.items() if allowed(policies, pod, receiver, 4318)}
    assert found == {"recorder", "gateway", *runs}
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traces"}}}]
    for change, opened in (
        ({"networkPolicies": {**VALUES["networkPolicies"], "tracingPeers": peers}}, (True, False)),
        ({"tracing": {"endpoint": ""}}, (False, False)),
    ):
        changed = [each for each in render({**VALUES, **change}) if each["kind"] == "NetworkPolicy"]
        assert tuple(allowed(changed, own("recorder"), each, 4318) for each in (receiver, other)) == opened


def test_pods_of_two_namespaces_do_not_reach_one_another(
    policies: list[Json], run: Callable[..., dict[str, Pod]]
) -> None:
    for kind in RUNS:
        first, second = run(kind, "team-a"), run(kind, "team-b")
        for pod in first.values():
            assert not any(allowed(policies, pod, other, 8080) for other in second.values())
            assert not any(allowed(policies, other, pod, 8080) for other in (*second.values(), TENANT))


@pytest.mark.parametrize("kind", RUNS)
def test_names_come_from_the_clusters_dns_alone(
    policies: list[Json], run: Callable[..., dict[str, Pod]], kind: str
) -> None:
    pods = {**run(kind, "team-a"), **{name: own(name) for name in ("operator", "recorder", "gateway", "retention")}}
    for name, pod in pods.items():
        for protocol in ("UDP", "TCP"):
            assert allowed(policies, pod, DNS, 53, protocol), name
            for other in (OTHER_DNS, EXCHANGE, METADATA):
                assert not allowed(policies, pod, other, 53, protocol), name
    assert not allowed(policies, own("timescaledb"), DNS, 53, "UDP")


@pytest.mark.parametrize(
    ("kind", "workload", "reaches"),
    [
        ("live feed", "feed", True),
        ("files feed", "feed", True),
        ("live feed", "transform", False),
        ("files feed", "transform", False),
        ("replay", "replay", False),
        ("backtest", "backtest", False),
    ],
)
def test_only_pods_that_need_it_reach_public_addresses(
    policies: list[Json], run: Callable[..., dict[str, Pod]], kind: str, workload: str, reaches: bool
) -> None:
    pod = run(kind, "team-a")[workload]
    assert allowed(policies, pod, EXCHANGE, 443) is reaches
    assert not allowed(policies, pod, EXCHANGE, 80)
    for inside in (METADATA, PRIVATE):
        assert not allowed(policies, pod, inside, 443)
        assert not allowed(policies, pod, inside, 80)
    assert allowed(policies, pod, BROKER, 9092)  # where brokerPeers says nothing


def test_the_recorder_reaches_its_sinks_and_the_operator_the_api_server(policies: list[Json]) -> None:
    assert [port for port in (80, 443, 8086, 9000) if allowed(policies, own("recorder"), PRIVATE, port)] == [443, 9000]
    assert [port for port in (22, 443, 6443, 9092) if allowed(policies, own("operator"), PRIVATE, port)] == [443, 6443]
    assert [port for port in (22, 443, 6443) if allowed(policies, own("gateway"), PRIVATE, port)] == [443, 6443]
    scraper = Pod("monitoring", {"app": "prometheus"})
    assert not allowed(policies, scraper, own("timescaledb"), 5432)


def test_a_gateway_without_control_does_not_reach_the_api_server() -> None:
    documents = render(SETS["default"])
    policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
    assert not any(allowed(policies, own("gateway"), PRIVATE, port) for port in (443, 6443))
    pod = find(documents, "Deployment", "td-gateway")["spec"]["template"]["spec"]
    assert "serviceAccountName" not in pod
    assert not [volume for volume in pod["volumes"] if "serviceAccountToken" in json.dumps(volume)]
    assert not [
        document
        for document in documents
        if document["metadata"]["name"] == "td-gateway" and "Role" in document["kind"]
    ]


def test_policies_of_the_release_are_optional() -> None:
    without = render({**VALUES, "networkPolicies": {"enabled": False}})
    assert not [document for document in without if document["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"store": {"host": "db"}}, "kafka.bootstrap: got nothing, expected host:port of the broker"),
        ({"kafka": {"bootstrap": "k:9093"}}, "store.host: got nothing, expected the host of the database"),
    ],
)
def test_a_foreign_connections_secret_does_not_hide_the_ports_of_policies(given: Json, said: str) -> None:
    done = template({**given, "connections": {"create": False}})
    assert done.returncode != 0
    assert said in done.stderr and "because of networkPolicies.enabled" in done.stderr
    without = {**given, "connections": {"create": False}, "networkPolicies": {"enabled": False}}
    assert template(without).returncode == 0


def test_policies_open_every_port_of_the_brokers_and_the_databases() -> None:
    values = {
        "connections": {"create": False},
        "kafka": {"bootstrap": "a.kafka:9093,b.kafka:9093,c.kafka:9094"},
        "store": {"host": "db", "port": 6432},
    }
    documents = render(values)
    policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
    for name in ("recorder", "gateway", "test"):
        opened = [port for port in (5432, 6432, 9092, 9093, 9094) if allowed(policies, own(name), BROKER, port)]
        assert opened == [6432, 9093, 9094], name
    (operator,) = find(documents, "Deployment", "td-operator")["spec"]["template"]["spec"]["containers"]
    told = next(each["value"] for each in operator["env"] if each["name"] == "TAPEDECK_OPERATOR_EGRESS")
    ports = [port["port"] for rule in json.loads(told) for port in rule["ports"]]
    assert ports == [53, 53, 9093, 9094, 6432]


@pytest.mark.parametrize("bootstrap", ["kafka", "a.kafka,b.kafka:9093", "a.kafka:9092, b.kafka:9093"])
def test_each_broker_of_bootstrap_has_a_port(bootstrap: str) -> None:
    done = template({**EXTERNAL, "kafka": {"bootstrap": bootstrap}})
    assert done.returncode != 0
    assert "/kafka/bootstrap" in done.stderr


def test_an_exporter_that_nobody_scrapes_is_reached_by_nobody() -> None:
    values = {**SETS["everything"], "metrics": {"storeExporter": {"enabled": True}}, "networkPolicies": {}}
    policies = [document for document in render(values) if document["kind"] == "NetworkPolicy"]
    anyone = (TENANT, EXCHANGE, own("recorder"), Pod("monitoring", {"app": "prometheus"}))
    assert not any(allowed(policies, pod, own("store-exporter"), 9187) for pod in anyone)
    rules = [(policy["metadata"]["name"], rule) for policy in policies for rule in policy["spec"]["ingress"] or ()]
    assert {name for name, rule in rules if not rule.get("from")} == {"td-gateway"}  # open, as the values say
