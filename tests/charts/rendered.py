"""The chart as rendered by helm, and typical sets of values."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from kube.api import RIG_BIN
from tapedeck_crds.json import Json

CHART = Path(__file__).parents[2] / "charts/tapedeck"
HELM = str(RIG_BIN / "helm") if (RIG_BIN / "helm").exists() else shutil.which("helm")
KUBE_VERSION = "1.34.0"

EXTERNAL: Json = {"kafka": {"bootstrap": "kafka.example:9092"}, "store": {"host": "db.example"}}
_USERS = ("feed", "replay", "transform", "backtest", "recorder", "gateway", "migrate")
DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(("replay", "gateway"), 0xD16E57)}
_ROLES = ("admin", "feed", "replay", "transform", "backtest", "gateway", "recorder", "dashboards")
SETS: dict[str, Json] = {
    "default": EXTERNAL,
    "one-namespace": {**EXTERNAL, "operator": {"watch": "release"}, "crds": {"enabled": False}},
    "external-tls": {
        "kafka": {
            "bootstrap": "kafka.example:9093",
            "securityProtocol": "SASL_SSL",
            "saslMechanism": "SCRAM-SHA-512",
            "ca": "the broker's authority",
            "grant": True,
            "users": {name: {"username": f"td-{name}", "password": f"{name}'s"} for name in _USERS},
        },
        "store": {
            "host": "db.example",
            "sslMode": "verify-full",
            "ca": "the database's authority",
            "createRoles": True,
            "roles": {name: {"password": f"{name}'s"} for name in _ROLES},
        },
        "networkPolicies": {"brokerPeers": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    },
    "everything": {
        "images": {"pullSecrets": ["registry"], "tag": "1.2.3", "digests": DIGESTS},
        "kafka": {
            "bootstrap": "kafka.example:9092",
            "topics": {"replication": 3, "retentionHours": {"market.trades": 48, "market.bars": 0}},
        },
        "store": {
            "retention": {"days": {"bars": 3650, "trades": 30, "runs": 0}},
            "roles": {name: {"password": f"{name}-password"} for name in _ROLES}
            | {"backtest": {"username": "tapedeck-backtest", "password": "backtest-password"}},
        },
        "recorder": {
            "replicas": 3,
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "a"}],
            "sinks": [
                {"name": "influx", "url": "https://influx.example/write?db=td", "secret": "influx-writer"},
                {"name": "quest", "url": "http://questdb:9000/write", "records": ["bars"]},
            ],
        },
        "gateway": {
            "replicas": 2,
            "service": {"type": "NodePort", "nodePort": 30750},
            "origins": ["https://a.example"],
            "hosts": ["charts.example", "*.b.example"],
            "existingTokensSecret": "clients",
            "control": {"enabled": True, "namespaces": ["team-a", "team-b"], "logs": True, "strategies": True},
            "trustedProxies": ["10.0.0.0/8"],
            "limits": {"requestsPerSecond": 20, "sockets": 50},
            "tls": {"secret": "gateway-certificate"},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "host": "deck.example",
                "tlsSecret": "deck-certificate",
                "annotations": {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"},
            },
        },
        "timescaledb": {"enabled": True, "storageClass": "fast", "size": "100G"},
        "tracing": {"endpoint": "http://tempo.traces:4318", "sampleRatio": 0.25},
        "networkPolicies": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
        "metrics": {
            "podMonitor": {"enabled": True, "labels": {"release": "kps"}},
            "serviceMonitor": {"enabled": True, "labels": {"release": "kps"}},
            "dashboards": {"enabled": True, "store": "Market", "page": "https://deck.example"},
            "dataSources": {"enabled": True, "loki": "http://loki.logs:3100", "tempo": "http://tempo.traces:3200"},
            "storeExporter": {"enabled": True},
            "alerts": {"enabled": True, "labels": {"release": "kps"}},
        },
    },
}


VENDORS = {"broker": ("redpanda", "26.2.1"), "monitoring": ("kube-prometheus-stack", "88.5.3")}


def with_vendors(folder: Path) -> Path:
    """A copy of the chart in which the vendors' charts, which are not here, are charts without templates."""
    chart = shutil.copytree(CHART, folder / "tapedeck")
    for wrapper, (name, version) in VENDORS.items():
        vendor = chart / "charts" / wrapper / "charts" / name
        vendor.mkdir(parents=True)
        (vendor / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
    return chart


def template(values: Json, *arguments: str, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """The result of `helm template`."""
    return subprocess.run(
        [str(HELM), "template", "td", str(chart), "-n", "deck", "--kube-version", KUBE_VERSION, "-f", "-", *arguments],
        input=yaml.safe_dump(values),
        capture_output=True,
        text=True,
        timeout=900,
    )


def render(values: Json, *arguments: str, chart: Path = CHART) -> list[Json]:
    """The rendered documents. Raises AssertionError if helm fails."""
    done = template(values, *arguments, chart=chart)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def find(documents: list[Json], kind: str, name: str, namespace: str | None = None) -> Json:
    """The document of a kind and name, in the namespace of the release if none is given."""
    return next(
        d
        for d in documents
        if (d["kind"], d["metadata"]["name"], d["metadata"].get("namespace")) == (kind, name, namespace)
    )
