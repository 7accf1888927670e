"""What a Prometheus operator makes of monitors, for a Prometheus that knows no Kubernetes.

Targets have the meta labels of Prometheus' discovery (roles pod and endpoints): Prometheus itself applies the
selectors, ports and relabelings of the monitors.

Sources: prometheus.io, "kubernetes_sd_config"; prometheus-operator.dev, API reference of PodMonitor and ServiceMonitor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tapedeck_crds.json import Json

GROUP = "monitoring.coreos.com"
KINDS = {"PodMonitor": "podmonitors", "ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}


def definition(kind: str) -> Json:
    """A CustomResourceDefinition of a kind that takes any fields, where the vendor's is not installed."""
    plural = KINDS[kind]
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def pod_targets(pods: list[Json]) -> list[Json]:
    """Each port of each container of the pods that have an address, with the labels of the role pod."""
    found = []
    for pod in pods:
        address = pod["status"].get("podIP")
        for container in pod["spec"]["containers"] if address else ():
            for port in container.get("ports", ()):
                labels = _of_pod(pod) | {
                    "__meta_kubernetes_pod_container_name": container["name"],
                    "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
                }
                found.append({"targets": [f"{address}:{port['containerPort']}"], "labels": labels})
    return found


def endpoint_targets(services: list[Json], endpoints: list[Json]) -> list[Json]:
    """Each address and port of each Service, with the labels of the role endpoints."""
    names = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in services}
    found = []
    for each in endpoints:
        place = each["metadata"]["namespace"], each["metadata"]["name"]
        service = names.get(place)
        for subset in each.get("subsets", ()) if service else ():
            for address in subset.get("addresses", ()):
                for port in subset.get("ports", ()):
                    labels = {
                        "__meta_kubernetes_namespace": place[0],
                        "__meta_kubernetes_service_name": place[1],
                        "__meta_kubernetes_endpoint_port_name": port.get("name", ""),
                        "__meta_kubernetes_pod_name": address.get("targetRef", {}).get("name", ""),
                        **_metas("service_label", service["metadata"].get("labels", {}) if service else {}),
                    }
                    found.append({"targets": [f"{address['ip']}:{port['port']}"], "labels": labels})
    return found


def scrape_configs(monitors: list[Json], pods_file: str, endpoints_file: str) -> list[Json]:
    """The scrape configurations of PodMonitors and ServiceMonitors, whose targets are in these files."""
    return [
        _scrape(monitor, number, endpoint, pods_file if monitor["kind"] == "PodMonitor" else endpoints_file)
        for monitor in monitors
        for number, endpoint in enumerate(monitor["spec"].get("podMetricsEndpoints", monitor["spec"].get("endpoints")))
    ]


def _scrape(monitor: Json, number: int, endpoint: Json, file: str) -> Json:
    spec, metadata = monitor["spec"], monitor["metadata"]
    of_pod = monitor["kind"] == "PodMonitor"
    role = "pod" if of_pod else "service"
    port = "pod_container_port_name" if of_pod else "endpoint_port_name"
    relabel = [
        *_selected(role, spec["selector"]),
        {"source_labels": [f"__meta_kubernetes_{port}"], "regex": endpoint["port"], "action": "keep"},
        *([] if spec.get("namespaceSelector", {}).get("any") else [_in(metadata["namespace"])]),
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
        {"target_label": "job", "replacement": f"{metadata['namespace']}/{metadata['name']}"},
        {"source_labels": [_meta(f"{role}_label", spec["jobLabel"])], "regex": "(.+)", "target_label": "job"},
        *map(_relabeling, endpoint.get("relabelings", ())),
    ]
    return {
        "job_name": f"{monitor['kind']}/{metadata['namespace']}/{metadata['name']}/{number}",
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint.get("path", "/metrics"),
        "scheme": endpoint.get("scheme", "http"),
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["interval"],
        "tls_config": {"insecure_skip_verify": endpoint.get("tlsConfig", {}).get("insecureSkipVerify", False)},
        "file_sd_configs": [{"files": [file]}],
        "relabel_configs": relabel,
    }


def _selected(role: str, selector: Json) -> Iterator[Json]:
    values = [(name, value) for name, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "In", each
        values.append((each["key"], "|".join(each["values"])))
    for name, value in values:
        yield {"source_labels": [_meta(f"{role}_label", name)], "regex": value, "action": "keep"}


def _in(namespace: str) -> Json:
    return {"source_labels": ["__meta_kubernetes_namespace"], "regex": namespace, "action": "keep"}


def _relabeling(given: Json) -> Json:
    """A relabeling in the words of Prometheus' own configuration."""
    return {re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name): value for name, value in given.items()}


def _of_pod(pod: Json) -> dict[str, Any]:
    metadata = pod["metadata"]
    return {
        "__meta_kubernetes_namespace": metadata["namespace"],
        "__meta_kubernetes_pod_name": metadata["name"],
        "__meta_kubernetes_pod_phase": pod["status"]["phase"],
        **_metas("pod_label", metadata.get("labels", {})),
        **_metas("pod_annotation", metadata.get("annotations", {})),
    }


def _metas(kind: str, given: dict[str, str]) -> dict[str, str]:
    return {_meta(kind, name): value for name, value in given.items()}


def _meta(kind: str, name: str) -> str:
    return f"__meta_kubernetes_{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"
