"""The tables of docs/operate/network-policies.md, beside what the policies of the chart and of the operator allow."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
import yaml

from charts.network import Pod, allowed
from charts.planned_runs import own, planned_run
from charts.rendered import HELM, render, with_vendors
from pages.blocks import Block, blocks
from pages.tables import table_below
from tapedeck_crds.json import Json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build"),
]
PAGE = Path(__file__).parents[2] / "docs/operate/network-policies.md"
EVERY_PART: Json = {
    "broker": {"enabled": True}, "timescaledb": {"enabled": True}, "monitoring": {"enabled": True},
    "connections": {"namespaces": {"team-a": ["feed", "replay", "transform", "backtest"]}},
}  # fmt: skip
STORE = {"store": {"exchange": "x", "symbols": ["A/B"]}}
FILES = {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "s3://bucket/a.csv"}]}}
OTHER_PORTS = {22, 80, 8443, 9092}

# By their names on the page: those with policies, and those that only connect or are connected to.
RUNS: dict[str, tuple[str, str, Json]] = {
    "live Feed": ("Feed", "feed", {"exchange": "binance", "symbols": ["A/B"]}),
    "file Feed": ("Feed", "feed", {"source": FILES}),
    "Replay": ("Replay", "replay", {"source": STORE}),
    "transform": ("Replay", "transform", {"source": STORE, "transforms": [{"name": "a", "sma": {}}]}),
    "Backtest": ("Backtest", "backtest", {"strategy": {"builtin": "rsi"}, "data": STORE}),
}
OWN = {
    **{name: own(name) for name in ("operator", "recorder", "gateway", "retention")},
    "helm test": own("test"),
    "store exporter": own("store-exporter"),
    "database": own("timescaledb"),
    "broker": Pod("deck", {"app.kubernetes.io/name": "redpanda", "app.kubernetes.io/instance": "td"}),
}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": "tapedeck-monitoring-prometheus"}
OTHERS = {
    "Prometheus": Pod("deck", PROMETHEUS),
    "Grafana": Pod("deck", {"app.kubernetes.io/name": "grafana", "app.kubernetes.io/instance": "td"}),
    "DNS": Pod("kube-system", {"k8s-app": "kube-dns"}),
    "ingress controller": Pod("ingress-nginx", {}),
    "notebook": Pod("notebooks", {}),
    "sink": Pod("metrics", {}),
    "trace receiver": Pod("traces", {}),
    "API server": Pod(address="172.18.0.2"),
    "exchange": Pod(address="52.84.150.39"),
    "metadata service": Pod(address="169.254.169.254"),
    "tenant": Pod("team-b", {"app": "a-tenants-own"}),
}
Connection = tuple[str, str, int]


def _values() -> Json:
    (block,) = [block for block in blocks(PAGE) if block.value == "network-policies.yaml"]
    values: Json = yaml.safe_load(block.text)
    return {**EVERY_PART, **values}


def _rows() -> list[tuple[list[str], list[str], str]]:
    cells = table_below(PAGE, "## Who may connect to whom")
    return [(row[0].split(", "), row[1].split(", "), row[2]) for row in cells]


def _ports(cell: str, every: set[int]) -> set[int]:
    return every if cell == "all" else {int(port) for port in re.findall(r"\d+", cell)}


def test_the_table_has_the_connections_that_the_policies_allow(tmp_path: Path) -> None:
    documents = render(_values(), chart=with_vendors(tmp_path))
    policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
    pods = {**OWN, **OTHERS}
    for name, (kind, workload, spec) in RUNS.items():
        run = planned_run(documents, kind, spec, "team-a", name)
        policies += run.policies
        pods[name] = run.pods[workload]
    rows = _rows()
    ports = {port for *_, cell in rows for port in _ports(cell, set())} | OTHER_PORTS
    told = {
        (source, target, port)
        for sources, targets, cell in rows
        for source, target, port in product(sources, targets, _ports(cell, ports))
    }
    shut = {*OWN, *RUNS}  # two pods without policies may do as they like
    found: set[Connection] = {
        (source, target, port)
        for source, target, port in product(pods, pods, ports)
        if {source, target} & shut
        and (source != target or source == "broker")
        and pods[source].address == ""
        and allowed(policies, pods[source], pods[target], port)
    }
    # Policies know addresses and not whose they are: what an exchange has at this port, an object store has, too.
    told = {(source, "exchange" if target == "object store" else target, port) for source, target, port in told}
    assert found == told
    assert all(allowed(policies, pods[each], OTHERS["DNS"], port, "UDP") for each, to, port in told if to == "DNS")


def test_a_replay_of_files_reaches_the_object_store_alone(tmp_path: Path) -> None:
    documents = render(_values(), chart=with_vendors(tmp_path))
    run = planned_run(documents, "Replay", {"source": FILES}, "team-a", "files")
    reached = [port for port in (80, 443, 9000) if allowed(run.policies, run.pods["replay"], OTHERS["exchange"], port)]
    assert reached == [443]


@pytest.mark.parametrize(
    "block", [block for block in blocks(PAGE) if block.language == "yaml"], ids=lambda each: each.place
)
def test_values_of_the_page_are_accepted(tmp_path: Path, block: Block) -> None:
    render({**EVERY_PART, **yaml.safe_load(block.text)}, chart=with_vendors(tmp_path))


def test_without_peers_of_names_no_name_is_resolved(tmp_path: Path) -> None:
    values = {**_values(), "networkPolicies": {"dns": None}}
    policies = [each for each in render(values, chart=with_vendors(tmp_path)) if each["kind"] == "NetworkPolicy"]
    assert not allowed(policies, OWN["recorder"], OTHERS["DNS"], 53, "UDP")
