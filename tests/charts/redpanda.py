"""Facts about the vendor's Redpanda chart, read from the value schema and the templates of 26.2.1.

Its schema rejects unknown keys, and what it renders from flags reaches the broker's binary, which rejects unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FREE: dict[str, Any] = {}  # any key


def _names(text: str) -> dict[str, Any]:
    return dict.fromkeys(text.split(), FREE)


KEYS: dict[str, Any] = {
    **_names(
        "auditLogging clusterDomain commonLabels console enterprise force fullnameOverride global image license_key"
    ),
    **_names("listeners logging monitoring nameOverride podTemplate post_install_job rackAwareness rbac service"),
    **_names("serviceAccount tests"),
    "auth": {"sasl": _names("bootstrapUser enabled mechanism secretRef users")},
    "config": _names("cluster extraClusterConfiguration node pandaproxy_client rpk schema_registry_client tunable"),
    "external": _names(
        "addresses annotations domain enabled externalDns gateway prefixTemplate service sourceRanges type"
    ),
    "resources": {
        "cpu": _names("cores overprovisioned"),
        "limits": FREE,
        "memory": {
            "container": _names("max min"),
            "enable_memory_locking": FREE,
            "redpanda": _names("memory reserveMemory"),
        },
        "requests": FREE,
    },
    "statefulset": _names(
        "additionalRedpandaCmdFlags additionalSelectorLabels budget initContainerImage initContainers podAntiAffinity "
        "persistentVolumeClaimRetentionPolicy podTemplate replicas sideCars updateStrategy"
    ),
    "storage": {
        **_names("hostPath tiered tieredConfig tieredStorageHostPath tieredStoragePersistentVolume"),
        "persistentVolume": _names("annotations enabled labels nameOverwrite size storageClass"),
    },
    "tls": _names("certs enabled"),
    "tuning": _names(
        "apply_host_tuners ballast_file_path ballast_file_size tune_aio_events tune_ballast_file tune_clocksource "
        "well_known_io"
    ),
}

# Flags that the chart itself renders, so that the binary accepts them. --mode is a flag of `rpk redpanda start` alone.
BROKER_FLAGS = _names("--default-log-level --lock-memory --memory --overprovisioned --reserve-memory --smp")


def problems(values: dict[str, Any]) -> list[str]:
    """Keys that the chart's schema rejects, and flags that the broker's binary rejects."""
    flags = values.get("statefulset", {}).get("additionalRedpandaCmdFlags") or []
    unknown = [flag for flag in flags if flag.startswith("-") and flag.split("=")[0] not in BROKER_FLAGS]
    return [*_unknown_keys(values, KEYS, ""), *unknown]


def asks_for_a_share_of_a_core(values: dict[str, Any]) -> bool:
    """Whether a node with less than a free core can run the pod; the broker then starts with --overprovisioned."""
    resources = values["resources"]
    if "requests" in resources and "limits" in resources:
        cpu = str(resources["requests"].get("cpu", resources["limits"].get("cpu", "1")))
    else:
        cpu = str(resources["cpu"]["cores"])
    return (float(cpu[:-1]) if cpu.endswith("m") else float(cpu) * 1000) < 1000


def _unknown_keys(values: dict[str, Any], known: dict[str, Any], path: str) -> Iterator[str]:
    for key, value in values.items():
        if known and key not in known:
            yield f"{path}{key}"
        elif isinstance(value, dict):
            yield from _unknown_keys(value, known.get(key, FREE), f"{path}{key}.")
