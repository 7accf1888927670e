"""Releases of the chart on a real API server, by helm: added monitoring, what an uninstall keeps, a second release."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from charts.rendered import CHART, EXTERNAL, HELM, with_vendors
from kube.api import RIG_BIN, KubeApi, missing_binaries
from tapedeck_crds.json import Json
from waits import eventually

ROOT = CHART.parents[1]
MONITORING = "monitoring.coreos.com"
CRDS_FIRST = "helm show crds {} | kubectl apply --server-side --force-conflicts -f -"
KINDS = {"podmonitors": "PodMonitor", "servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"}
# What makes no object without a kubelet and controllers: claims by StatefulSets, and what programs create.
MADE_BY_OTHERS: list[tuple[str, str, str]] = [
    ("PersistentVolumeClaim", "deck", "data-td-timescaledb-0"),
    ("PersistentVolumeClaim", "deck", "datadir-redpanda-0"),
    (
        "PersistentVolumeClaim",
        "deck",
        "prometheus-tapedeck-monitoring-prometheus-db-prometheus-tapedeck-monitoring-prometheus-0",
    ),
    ("Secret", "deck", "tapedeck-monitoring-admission"),
    ("Lease", "deck", "tapedeck-operator"),
    ("Service", "kube-system", "tapedeck-monitoring-kubelet"),
]
SPECS: dict[str, Json] = {
    "PersistentVolumeClaim": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    "Service": {"ports": [{"port": 10250}]},
    "Lease": {"holderIdentity": "operator"},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build"),
]


class Cluster:
    """Commands as an administrator types them."""

    def __init__(self, api: KubeApi) -> None:
        path = f"{Path(str(HELM)).parent}:{RIG_BIN}:{os.environ['PATH']}"
        self._env = {**os.environ, "KUBECONFIG": str(api.kubeconfig), "PATH": path, "HELM_NAMESPACE": "deck"}
        self._env["KUBECACHEDIR"] = str(api.folder / "cache")

    def run(self, command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            env=self._env,
            cwd=ROOT,
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def must(self, command: str, given: str = "") -> str:
        done = self.run(command, given)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def helm(self, words: str, values: Json) -> subprocess.CompletedProcess[str]:
        return self.run(f"helm {words} -f -", yaml.safe_dump(values))

    def left(self) -> set[str]:
        """What is there of Tapedeck: ``kind/name`` of objects with one of its names."""
        kinds = "secrets,configmaps,services,pvc,leases,serviceaccounts,deployments,statefulsets,cronjobs,roles,"
        kinds += "rolebindings,networkpolicies,clusterroles,clusterrolebindings,customresourcedefinitions"
        found = self.must(f"kubectl get {kinds} -A -o name").split()
        return {each for each in found if re.search(r"tapedeck|/td-|redpanda|-td-|monitoring.coreos", each)}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if missing := missing_binaries("kubectl"):
        pytest.skip(f"needs {', '.join(missing)}: tests/e2e/rig/build")
    api = KubeApi(tmp_path / "kube")
    try:
        api.start()
        made = Cluster(api)
        for namespace in ("deck", "team"):
            made.must(f"kubectl create namespace {namespace}")
        made.must("kubectl config set-context --current --namespace=deck")
        yield made
    finally:
        api.stop()


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """The chart, with vendors' charts of which the one of Prometheus has CRDs where the real one has them."""
    made = with_vendors(tmp_path)
    crds = made / "charts/monitoring/charts/kube-prometheus-stack/charts/crds"
    (crds / "crds").mkdir(parents=True)
    (crds / "Chart.yaml").write_text("apiVersion: v2\nname: crds\nversion: 0.0.0\n")
    for plural, kind in KINDS.items():
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        names = {"kind": kind, "plural": plural, "singular": kind.lower()}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        document = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{MONITORING}"},
            "spec": {"group": MONITORING, "scope": "Namespaced", "names": names, "versions": [version]},
        }
        # As the vendor's files begin: `helm show crds` puts nothing between them.
        (crds / "crds" / f"{plural}.yaml").write_text(f"# {plural}\n---\n{yaml.safe_dump(document)}")
    return made


def commands(page: str, heading: str) -> list[str]:
    """The commands of the console blocks below a heading of the second rank."""
    section = (ROOT / page).read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def test_monitoring_is_added_to_a_release_after_its_crds(cluster: Cluster, chart: Path) -> None:
    values = {"kafka": EXTERNAL["kafka"], "timescaledb": {"enabled": True}}
    assert cluster.helm(f"install td {chart}", values).returncode == 0
    monitored = {**values, "monitoring": {"enabled": True}}
    refused = cluster.helm(f"upgrade td {chart}", monitored)
    assert refused.returncode != 0 and 'no matches for kind "PodMonitor"' in refused.stderr
    steps = commands("docs/operate/monitoring.md", "## Add it to a release")
    command = CRDS_FIRST.format("charts/tapedeck/charts/monitoring")
    assert command in steps
    for _ in range(2):  # also where they are there
        cluster.must(command.replace("charts/tapedeck/", f"{chart}/"))
    cluster.must(next(each for each in steps if each.startswith("kubectl wait ")))
    eventually(lambda: all(cluster.run(f"kubectl get {plural}").returncode == 0 for plural in KINDS))
    done = cluster.helm(f"upgrade td {chart}", monitored)
    assert done.returncode == 0, done.stderr
    assert "podmonitor.monitoring.coreos.com/td" in cluster.must("kubectl get podmonitors -o name")


def test_make_kind_applies_the_crds_before_the_release() -> None:
    done = subprocess.run(["make", "-n", "kind"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    crds, release = (
        done.stdout.index(text) for text in ("helm show crds charts/tapedeck/charts/monitoring", "helm upgrade")
    )
    assert crds < release
    assert "kubectl --context kind-tapedeck apply --server-side --force-conflicts -f -" in done.stdout


def test_what_an_uninstall_keeps_is_what_the_page_removes(cluster: Cluster, chart: Path) -> None:
    values = {name: {"enabled": True} for name in ("broker", "timescaledb", "monitoring")}
    before = cluster.left()
    cluster.must(CRDS_FIRST.format(chart / "charts/monitoring"))
    assert cluster.helm(f"install td {chart}", values).returncode == 0
    for kind, namespace, name in MADE_BY_OTHERS:
        group = {"Lease": "coordination.k8s.io/v1"}.get(kind, "v1")
        document = {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": SPECS.get(kind)}
        cluster.must(f"kubectl create -n {namespace} -f -", yaml.safe_dump({k: v for k, v in document.items() if v}))
    claims = " ".join(name for kind, _, name in MADE_BY_OTHERS if kind == "PersistentVolumeClaim")
    unprotected = '{"metadata":{"finalizers":null}}'  # which the controller removes where no pod uses them
    cluster.must(f"kubectl patch pvc {claims} --type merge --patch '{unprotected}'")
    removal = commands("docs/operate/uninstall.md", "## A release")
    assert removal[:2] == ["kubectl delete feeds,replays,backtests --all -A", "helm uninstall td"]
    for command in removal[:2]:
        cluster.must(command)
    kept = cluster.left() - before
    assert len(kept) == len(MADE_BY_OTHERS) + 6 + 2 + 3  # CRDs, ClusterRoles, Secrets of the chart
    page = (ROOT / "docs/operate/uninstall.md").read_text().replace("<release>", "td")
    names = {each.rpartition("/")[2] for each in kept}
    assert {name for name in names if f"{name}`" not in page} == {
        f"{plural}.{MONITORING}"
        for plural in KINDS
        if plural != "podmonitors"  # "and others of this group"
    }
    for command in removal[2:]:
        cluster.must(command)
    assert cluster.left() == before


def test_a_second_release_leaves_the_crds_to_the_first(cluster: Cluster, chart: Path) -> None:
    assert cluster.helm(f"install td {chart}", EXTERNAL).returncode == 0
    second = f"install other {chart} --namespace team"
    refused = cluster.helm(second, EXTERNAL)
    assert refused.returncode != 0 and "cannot be imported into the current release" in refused.stderr
    apart = {**EXTERNAL, "crds": {"enabled": False}, "operator": {"watch": "release"}}
    apart["metrics"] = {"dataSources": {"enabled": True}, "existingStoreSecret": "pg-dashboards"}
    done = cluster.helm(second, apart)
    assert done.returncode == 0, done.stderr
    assert "TAPEDECK_STORE_PASSWORD" in done.stdout and "pg-dashboards" in done.stdout  # the notes
    cluster.must("helm uninstall td")
    assert "customresourcedefinition.apiextensions.k8s.io/feeds.tapedeck.dev" in cluster.left()


def test_a_release_by_another_name_takes_over_what_an_uninstall_kept(cluster: Cluster, chart: Path) -> None:
    values = {"broker": {"enabled": True}, "store": EXTERNAL["store"]}
    assert cluster.helm(f"install td {chart}", values).returncode == 0
    password = "kubectl get secret tapedeck-broker-admin -o jsonpath={.data.password}"
    kept = cluster.must(password)
    cluster.must("helm uninstall td")
    assert cluster.helm(f"install tape {chart}", values).returncode != 0
    done = cluster.helm(f"install tape {chart} --take-ownership", values)
    assert done.returncode == 0, done.stderr
    assert cluster.must(password) == kept
    owner = "kubectl get crd feeds.tapedeck.dev -o jsonpath='{.metadata.annotations.meta\\.helm\\.sh/release-name}'"
    assert cluster.must(owner) == "tape"
