"""The values of kube-prometheus-stack, and what the chart makes for it: names, Secrets and ports that fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.known_keys import unknown_keys
from charts.kube_prometheus_stack import KEYS
from charts.network import Pod, allowed
from charts.rendered import CHART, EXTERNAL, HELM, VENDORS, find, render, template, with_vendors
from tapedeck_crds.json import Json

KIND: Json = yaml.safe_load((CHART / "values-kind.yaml").read_text())
STACK = "kube-prometheus-stack"
FULLNAME = "tapedeck-monitoring"
needs_helm = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


def stack_values() -> Any:
    return yaml.safe_load((CHART / "charts/monitoring/values.yaml").read_text())[STACK]


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_vendors(tmp_path_factory.mktemp("chart"))


@pytest.fixture(scope="module")
def installed(chart: Path) -> list[Json]:
    """What `helm install -f values-kind.yaml` makes, without the vendors' own objects."""
    return render(KIND, chart=chart)


def test_the_vendors_chart_knows_all_that_it_is_given() -> None:
    for values in (stack_values(), KIND["monitoring"][STACK]):
        assert list(unknown_keys(values, KEYS)) == []
    assert list(unknown_keys({"prometheus": {"prometheusSpec": {"retentions": 1}}}, KEYS)) == [
        "prometheus.prometheusSpec.retentions"
    ]
    for wrapper, (name, version) in VENDORS.items():
        (dependency,) = yaml.safe_load((CHART / f"charts/{wrapper}/Chart.yaml").read_text())["dependencies"]
        assert (dependency["name"], dependency["version"]) == (name, f"^{version.split('.')[0]}.0.0")


def test_prometheus_takes_monitors_and_rules_of_any_label() -> None:
    spec = stack_values()["prometheus"]["prometheusSpec"]
    for kind in ("podMonitor", "serviceMonitor", "rule"):
        assert spec[f"{kind}SelectorNilUsesHelmValues"] is False


@needs_helm
def test_the_release_knows_the_names_that_the_vendors_chart_makes(installed: list[Json]) -> None:
    values = stack_values()
    assert values["fullnameOverride"] == FULLNAME and len(FULLNAME) <= 26  # longer ones are cut off
    admin = values["grafana"]["admin"]
    assert set(find(installed, "Secret", admin["existingSecret"])["data"]) == {admin["userKey"], admin["passwordKey"]}
    sources = _data_sources(installed)
    assert sources["Prometheus"]["url"] == f"http://{FULLNAME}-prometheus.deck.svc:9090"
    assert (
        sources["Prometheus"]["isDefault"]
        and not values["grafana"]["sidecar"]["datasources"]["defaultDatasourceEnabled"]
    )
    labels = find(installed, "Secret", "td-datasources")["metadata"]["labels"]
    sidecar = values["grafana"]["sidecar"]
    assert labels[sidecar["datasources"]["label"]] == sidecar["datasources"]["labelValue"]
    board = find(installed, "ConfigMap", "td-dashboard-market")["metadata"]
    assert board["labels"][sidecar["dashboards"]["label"]] == sidecar["dashboards"]["labelValue"]
    assert sidecar["dashboards"]["folderAnnotation"] in board["annotations"]


@needs_helm
def test_the_data_source_of_the_store_is_a_role_that_migrate_creates(installed: list[Json]) -> None:
    source = _data_sources(installed)["Tapedeck"]
    password = find(installed, "Secret", "td-timescaledb")["stringData"]["dashboards"]
    assert source["secureJsonData"]["password"] == password
    assert (source["user"], source["url"]) == ("tapedeck_dashboards", "td-timescaledb.deck.svc:5432")
    assert source["jsonData"]["database"] == "tapedeck"
    account = find(installed, "Secret", "td-dashboards")["stringData"]
    assert account == {"username": "tapedeck_dashboards", "password": password, "store_ca": ""}
    recorder = find(installed, "Deployment", "td-recorder")["spec"]["template"]["spec"]
    (roles,) = (volume["projected"]["sources"] for volume in recorder["volumes"] if volume["name"] == "roles")
    files = [{"key": key, "path": f"dashboards/{key}"} for key in ("username", "password")]
    assert {"name": "td-dashboards", "items": files} in [source["secret"] for source in roles]


@needs_helm
def test_all_of_metrics_is_on_with_monitoring(installed: list[Json]) -> None:
    kinds = {(document["kind"], document["metadata"]["name"]) for document in installed}
    assert kinds >= {
        ("PodMonitor", "td"),
        ("PodMonitor", "td-broker"),
        ("ServiceMonitor", "td-gateway"),
        ("PrometheusRule", "td"),
        ("Deployment", "td-store-exporter"),
        ("Secret", "td-datasources"),
        ("ConfigMap", "td-dashboard-overview"),
    }


@needs_helm
def test_policies_admit_the_installed_prometheus_and_grafana(installed: list[Json]) -> None:
    policies = [document for document in installed if document["kind"] == "NetworkPolicy"]
    names = {"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": f"{FULLNAME}-prometheus"}
    prometheus = Pod("deck", names)
    other = Pod("deck", names | {"operator.prometheus.io/name": "another"})
    grafana = Pod("deck", {"app.kubernetes.io/name": "grafana", "app.kubernetes.io/instance": "td"})
    redpanda = Pod("deck", {"app.kubernetes.io/name": "redpanda", "app.kubernetes.io/instance": "td"})
    scraped = {"operator": 8081, "recorder": 8080, "gateway": 8080, "store-exporter": 9187}
    for name, port in scraped.items():
        assert allowed(policies, prometheus, _own(name), port), name
        assert allowed(policies, other, _own(name), port) is (name == "gateway"), name
    assert allowed(policies, prometheus, redpanda, 9644)
    assert not allowed(policies, prometheus, redpanda, 9093)
    for name in ("timescaledb",):
        assert allowed(policies, grafana, _own(name), 5432)
        assert allowed(policies, _own("store-exporter"), _own(name), 5432)
        assert not allowed(policies, prometheus, _own(name), 5432)


@needs_helm
def test_each_scraped_pod_is_selected_and_has_the_port(installed: list[Json]) -> None:
    monitor = find(installed, "PodMonitor", "td")["spec"]
    (chosen,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    for name in ("operator", "recorder", "store-exporter"):
        pod = find(installed, "Deployment", f"td-{name}")["spec"]["template"]
        assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "tapedeck"
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] in chosen["values"]
        assert endpoint["port"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]


@needs_helm
@pytest.mark.parametrize(
    ("metrics", "policies", "message"),
    [
        ({"podMonitor": {"enabled": True}}, {}, "networkPolicies.metricsFrom: got nothing"),
        ({"podMonitor": {"enabled": True}}, {"enabled": False}, ""),
        ({"podMonitor": {"enabled": True}}, {"metricsFrom": [{"namespaceSelector": {}}]}, ""),
        ({"serviceMonitor": {"enabled": True}}, {}, ""),
        (
            {"serviceMonitor": {"enabled": True}},
            {"gatewayFrom": [{"namespaceSelector": {}}]},
            "metrics.serviceMonitor.enabled: networkPolicies.gatewayFrom would shut it out",
        ),
    ],
)
def test_a_monitor_that_a_policy_would_shut_out_is_refused(metrics: Json, policies: Json, message: str) -> None:
    done = template({**EXTERNAL, "metrics": metrics, "networkPolicies": policies})
    assert (done.returncode != 0) is bool(message)
    assert message in done.stderr


@needs_helm
def test_monitoring_without_the_vendors_chart_says_how_to_fetch_it() -> None:
    done = template({**EXTERNAL, "monitoring": {"enabled": True}})
    assert "helm dependency update charts/tapedeck/charts/monitoring" in done.stderr


def test_the_ports_of_kind_lead_to_what_the_values_open() -> None:
    (node,) = yaml.safe_load((CHART.parents[1] / "kind-config.yaml").read_text())["nodes"]
    mapped = {each["containerPort"]: each["hostPort"] for each in node["extraPortMappings"]}
    stack = KIND["monitoring"][STACK]
    opened = {
        KIND["gateway"]["service"]["nodePort"]: 8750,
        stack["grafana"]["service"]["nodePort"]: 3000,
        stack["prometheus"]["service"]["nodePort"]: 9090,
    }
    assert mapped == opened
    assert all(each["listenAddress"] == "127.0.0.1" for each in node["extraPortMappings"])


def _own(name: str) -> Pod:
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": "td",
        "app.kubernetes.io/part-of": "tapedeck",
    }
    return Pod("deck", labels)


def _data_sources(documents: list[Json]) -> dict[str, Json]:
    text = find(documents, "Secret", "td-datasources")["stringData"]["tapedeck.yaml"]
    return {source["name"]: source for source in yaml.safe_load(text)["datasources"]}
