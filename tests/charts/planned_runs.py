"""The pods of runs and their policies, as the operator of a rendered release plans them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from charts.network import Pod
from charts.rendered import find
from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_operator.plan import Network, Observed, Settings, plan

_NETWORK = ("INGRESS_FROM", "EGRESS", "EXTERNAL", "OBJECT_STORE_PORTS")


@dataclass(frozen=True)
class PlannedRun:
    """Its pods by workload, and its policies."""

    pods: dict[str, Pod]
    policies: list[Json]


def planned_run(documents: list[Json], kind: str, spec: Json, namespace: str, uid: str) -> PlannedRun:
    """A resource, planned with the settings that the chart gives its operator."""
    (operator,) = find(documents, "Deployment", "td-operator")["spec"]["template"]["spec"]["containers"]
    told = {variable["name"]: variable.get("value", "") for variable in operator["env"]}
    network = Network(*(tuple(json.loads(told[f"TAPEDECK_OPERATOR_{name}"])) for name in _NETWORK))
    images = dict.fromkeys(("feed", "replay", "transform", "backtest"), "i")
    settings = Settings(images=images, operator_key=b"k", results_key=b"results", network=network)
    metadata = {"name": "x", "namespace": namespace, "uid": uid}
    document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    children = plan(parse_resource(document), Observed(), 0, settings).apply
    templates = [child["spec"]["template"] for child in children if child["kind"] in ("Job", "Deployment")]
    return PlannedRun(
        {each["spec"]["containers"][0]["name"]: Pod(namespace, each["metadata"]["labels"]) for each in templates},
        [child for child in children if child["kind"] == "NetworkPolicy"],
    )


def own(name: str) -> Pod:
    """A pod of the release in the namespace ``deck``."""
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": "td"}
    return Pod("deck", {**labels, "app.kubernetes.io/part-of": "tapedeck"})
