"""A deck installed by the chart on the cluster of $TAPEDECK_E2E, a kubeconfig; without it these tests are left out.

The cluster must hold the images <TAPEDECK_E2E_REGISTRY>/<name>:<TAPEDECK_E2E_TAG> (tapedeck.dev, test). Broker and
database are those of tests/e2e/images; with TAPEDECK_E2E_VENDORS=1 the chart brings the vendors'.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kube_operator import Things

Json = dict[str, Any]
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KUBECONFIG = os.environ.get("TAPEDECK_E2E", "")
REGISTRY = os.environ.get("TAPEDECK_E2E_REGISTRY", "tapedeck.dev")
TAG = os.environ.get("TAPEDECK_E2E_TAG", "test")
VENDORS = os.environ.get("TAPEDECK_E2E_VENDORS") == "1"
# The database's pod, and how a superuser gets in there.
DATABASE_POD, DATABASE = (
    ("td-timescaledb-0", "postgresql://tapedeck@/tapedeck?host=/var/run/postgresql")
    if VENDORS
    else ("timescaledb-0", "postgresql://postgres@/tapedeck?host=/tmp")
)
PASSWORDS = {"admin": "only-for-tests", "reader": "r-only-for-tests", "recorder": "w-only-for-tests"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))
            if not KUBECONFIG:
                item.add_marker(pytest.mark.skip(reason="needs a cluster: make e2e"))


@dataclass
class Deck:
    """One release in a namespace of its own."""

    namespace: str
    client: httpx.Client

    def things(self) -> Things:
        """What is in the release's namespace."""
        return Things(self.client, self.namespace)

    def sql(self, query: str) -> list[list[str]]:
        """Rows of the store, as text."""
        told = kubectl(
            "-n", self.namespace, "exec", DATABASE_POD, "--",
            "psql", DATABASE, "-At", "-F", "|", "-c", query,
        )  # fmt: skip
        return [line.split("|") for line in told.splitlines()]

    def scale_operator(self, replicas: int) -> None:
        """Stop or start the operator, and wait until it has."""
        kubectl("-n", self.namespace, "scale", "deploy/td-operator", f"--replicas={replicas}")
        if replicas:
            kubectl("-n", self.namespace, "rollout", "status", "deploy/td-operator", "--timeout=60s")
        else:
            selector = "app.kubernetes.io/name=operator"
            kubectl("-n", self.namespace, "wait", "--for=delete", "pod", "-l", selector, "--timeout=60s")


def run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=300, env={**os.environ, "KUBECONFIG": KUBECONFIG}
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def kubectl(*arguments: str, given: str | None = None) -> str:
    return run("kubectl", *arguments, given=given)


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """Speaks to the API server as the kubeconfig's user does."""
    document = yaml.safe_load(Path(KUBECONFIG).read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.TemporaryDirectory() as folder:
        for name in ("client-certificate-data", "client-key-data"):
            (Path(folder) / name).write_bytes(base64.b64decode(user[name]))
        context.load_cert_chain(Path(folder) / "client-certificate-data", Path(folder) / "client-key-data")
    with httpx.Client(base_url=cluster["server"], verify=context, timeout=30.0, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def deck(client: httpx.Client) -> Iterator[Deck]:
    """Broker, database and the chart, in external mode and plain text."""
    namespace = f"e2e-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    try:
        labels = ("pod-security.kubernetes.io/enforce=restricted",)
        kubectl("label", "namespace", namespace, *labels)
        if not VENDORS:
            _bring_services(namespace)
        _install(namespace)
        yield Deck(namespace, client)
        run("helm", "-n", namespace, "uninstall", "td", "--wait")
    finally:
        if os.environ.get("TAPEDECK_E2E_KEEP") != "1":
            kubectl("delete", "namespace", namespace, "--wait=false")


def _bring_services(namespace: str) -> None:
    for name in ("kafka", "timescaledb"):
        kubectl("-n", namespace, "apply", "-f", str(HERE / f"images/{name}.yaml"))
    for name in ("kafka", "timescaledb"):
        kubectl("-n", namespace, "rollout", "status", f"statefulset/{name}", "--timeout=120s")
    for role in ("reader", "recorder"):
        statement = f"CREATE ROLE tapedeck_{role} LOGIN PASSWORD '{PASSWORDS[role]}'"
        kubectl("-n", namespace, "exec", DATABASE_POD, "--", "psql", DATABASE, "-c", statement)


def _install(namespace: str) -> None:
    values: Json = {"images": {"registry": REGISTRY, "tag": TAG}}
    values |= {"broker": {"enabled": True}, "timescaledb": {"enabled": True}} if VENDORS else _external(namespace)
    run(
        "helm", "-n", namespace, "install", "td", str(ROOT / "charts/tapedeck"), "--take-ownership",
        "--wait", "--timeout", "5m", "-f", "-", given=json.dumps(values),
    )  # fmt: skip


def _external(namespace: str) -> Json:
    return {
        "kafka": {"bootstrap": f"kafka.{namespace}.svc:9092"},
        "store": {
            "host": f"timescaledb.{namespace}.svc",
            "roles": {
                "admin": {"username": "postgres", "password": PASSWORDS["admin"]},
                "reader": {"username": "tapedeck_reader", "password": PASSWORDS["reader"]},
                "recorder": {"username": "tapedeck_recorder", "password": PASSWORDS["recorder"]},
            },
        },
    }


@pytest.fixture
def elsewhere(deck: Deck, client: httpx.Client) -> Iterator[Things]:
    """An empty namespace that knows the release's connections."""
    made = Things(client)
    secret = made.must(client.get(f"/api/v1/namespaces/{deck.namespace}/secrets/tapedeck-connections"))
    copied = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tapedeck-connections"},
        "data": secret["data"],
    }
    made.must(client.post(f"/api/v1/namespaces/{made.namespace}/secrets", json=copied))
    yield made
    kubectl("delete", "namespace", made.namespace, "--wait=false", "--ignore-not-found")


def until(holds: Any, seconds: float, what: str) -> None:
    """Wait for something that has to come true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not so after {seconds} s"
        time.sleep(0.1)
