"""A release of the chart on the cluster of $TAPEDECK_E2E, and the broker and database that it uses."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from kube.operator import Things
from tapedeck_crds.json import Json

TIMEOUT_SECONDS = 1200  # of a command; enough for a slow machine
ROOT = Path(__file__).parent.parent
KUBECONFIG = os.environ.get("TAPEDECK_E2E", "")
REGISTRY = os.environ.get("TAPEDECK_E2E_REGISTRY", "tapedeck.dev")
TAG = os.environ.get("TAPEDECK_E2E_TAG", "test")
BUNDLED = os.environ.get("TAPEDECK_E2E_VENDORS") == "1"
# The database pod, and the DSN of its superuser there.
DATABASE_POD, DATABASE = (
    ("td-timescaledb-0", "postgresql://tapedeck@/tapedeck?host=/var/run/postgresql")
    if BUNDLED
    else ("timescaledb-0", "postgresql://postgres@/tapedeck?host=/tmp")
)
PASSWORDS = {"admin": "only-for-tests", "reader": "r-only-for-tests", "recorder": "w-only-for-tests"}


def run(*command: str, stdin: str | None = None) -> str:
    """The output of a command. Raises AssertionError with the whole output where it fails."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, "KUBECONFIG": KUBECONFIG},
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    return run("kubectl", *arguments, stdin=stdin)


@dataclass
class Deck:
    """A release in its own namespace. ``services`` is the namespace of its broker and database."""

    namespace: str
    services: str
    client: httpx.Client

    def things(self) -> Things:
        """The objects in the release's namespace."""
        return Things(self.client, self.namespace)

    def sql(self, query: str) -> list[list[str]]:
        """Rows of the store, as text."""
        output = kubectl(
            "-n", self.services, "exec", DATABASE_POD, "--", "psql", DATABASE, "-At", "-F", "|", "-c", query
        )
        return [line.split("|") for line in output.splitlines()]

    def topics(self) -> set[str]:
        """The broker's topics, as the recorder sees them."""
        program = (
            "from pathlib import Path; from tapedeck_common.kafka import admin; "
            "from tapedeck_common.settings import Connections; "
            "print(*admin(Connections.read(Path('/etc/tapedeck/connections')), 'e2e').list_topics(timeout=10).topics)"
        )
        return set(kubectl("-n", self.namespace, "exec", "deploy/td-recorder", "--", "python", "-c", program).split())

    def scale_operator(self, replicas: int) -> None:
        """Scale the operator, and wait until it is."""
        kubectl("-n", self.namespace, "scale", "deploy/td-operator", f"--replicas={replicas}")
        if replicas:
            self.rolled_out("operator")
        else:
            selector = "app.kubernetes.io/name=operator"
            kubectl("-n", self.namespace, "wait", "--for=delete", "pod", "-l", selector, "--timeout=300s")

    def rolled_out(self, *names: str) -> None:
        """Wait until these Deployments are rolled out."""
        for name in names:
            kubectl("-n", self.namespace, "rollout", "status", f"deploy/td-{name}", "--timeout=600s")

    def connections_for(self, things: Things, **changed: str) -> None:
        """Copy the connections Secret into another namespace, with some keys changed: ``replay.kafka_ca``…"""
        path = f"/api/v1/namespaces/{self.namespace}/secrets/tapedeck-connections"
        data = things.must(self.client.get(path))["data"]
        copied = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tapedeck-connections"},
            "data": data,
            "stringData": changed,
        }
        things.must(self.client.post(f"/api/v1/namespaces/{things.namespace}/secrets", json=copied))


def apply_services(namespace: str) -> None:
    """Apply a broker and a database; they use TLS where the namespace holds the Secrets for it."""
    for name in ("kafka", "timescaledb"):
        kubectl("-n", namespace, "apply", "-f", str(ROOT / f"tests/e2e/images/{name}.yaml"))


def wait_services(namespace: str) -> None:
    """Wait for both, and create the database roles."""
    for name in ("timescaledb", "kafka"):
        kubectl("-n", namespace, "rollout", "status", f"statefulset/{name}", "--timeout=600s")
    statements = [f"CREATE ROLE tapedeck_{role} LOGIN PASSWORD '{PASSWORDS[role]}'" for role in ("reader", "recorder")]
    kubectl("-n", namespace, "exec", DATABASE_POD, "--", "psql", DATABASE, "-c", ";".join(statements))


def install(namespace: str, values: Json) -> None:
    """Install the chart, or upgrade it to new values."""
    images = {"images": {"registry": REGISTRY, "tag": TAG}}
    outside: Json = {  # the tests' exchange has a private address
        "networkPolicies": {"externalPeers": []},
        "endpoints": {"allow": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"]},
    }
    run(
        "helm", "-n", namespace, "upgrade", "--install", "td", str(ROOT / "charts/tapedeck"), "--take-ownership",
        "--wait", "--timeout", "15m", "-f", "-", stdin=json.dumps(images | outside | values),
    )  # fmt: skip


def external_values(services: str) -> Json:
    """Chart values for the broker and database of a namespace."""
    return {
        "kafka": {"bootstrap": f"kafka.{services}.svc:9092", "sweepSeconds": 2},
        "store": {
            "host": f"timescaledb.{services}.svc",
            "roles": {
                "admin": {"username": "postgres", "password": PASSWORDS["admin"]},
                "reader": {"username": "tapedeck_reader", "password": PASSWORDS["reader"]},
                "recorder": {"username": "tapedeck_recorder", "password": PASSWORDS["recorder"]},
            },
        },
    }


def bundled_values() -> Json:
    """Chart values for the broker and database of the chart's dependencies."""
    return {"broker": {"enabled": True}, "timescaledb": {"enabled": True}, "kafka": {"sweepSeconds": 2}}
