"""Facts about the vendor's Redpanda chart, read from the value schema and the templates of 26.2.1.

Its schema rejects unknown keys, and what it renders from flags reaches the broker's binary, which rejects unknown ones.
"""

from __future__ import annotations

from typing import Any

from charts.known_keys import FREE, names, unknown_keys

KEYS: dict[str, Any] = {
    **names(
        "auditLogging clusterDomain commonLabels console enterprise force fullnameOverride global image license_key"
    ),
    **names("listeners logging monitoring nameOverride podTemplate post_install_job rackAwareness rbac service"),
    **names("serviceAccount tests"),
    "auth": {"sasl": names("bootstrapUser enabled mechanism secretRef users")},
    "config": names("cluster extraClusterConfiguration node pandaproxy_client rpk schema_registry_client tunable"),
    "external": names(
        "addresses annotations domain enabled externalDns gateway prefixTemplate service sourceRanges type"
    ),
    "resources": {
        "cpu": names("cores overprovisioned"),
        "limits": FREE,
        "memory": {
            "container": names("max min"),
            "enable_memory_locking": FREE,
            "redpanda": names("memory reserveMemory"),
        },
        "requests": FREE,
    },
    "statefulset": names(
        "additionalRedpandaCmdFlags additionalSelectorLabels budget initContainerImage initContainers podAntiAffinity "
        "persistentVolumeClaimRetentionPolicy podTemplate replicas sideCars updateStrategy"
    ),
    "storage": {
        **names("hostPath tiered tieredConfig tieredStorageHostPath tieredStoragePersistentVolume"),
        "persistentVolume": names("annotations enabled labels nameOverwrite size storageClass"),
    },
    "tls": names("certs enabled"),
    "tuning": names(
        "apply_host_tuners ballast_file_path ballast_file_size tune_aio_events tune_ballast_file tune_clocksource "
        "well_known_io"
    ),
}

# Flags that the chart itself renders, so that the binary accepts them. --mode is a flag of `rpk redpanda start` alone.
BROKER_FLAGS = names("--default-log-level --lock-memory --memory --overprovisioned --reserve-memory --smp")


def problems(values: dict[str, Any]) -> list[str]:
    """Keys that the chart's schema rejects, and flags that the broker's binary rejects."""
    flags = values.get("statefulset", {}).get("additionalRedpandaCmdFlags") or []
    unknown = [flag for flag in flags if flag.startswith("-") and flag.split("=")[0] not in BROKER_FLAGS]
    return [*unknown_keys(values, KEYS), *unknown]


def asks_for_a_share_of_a_core(values: dict[str, Any]) -> bool:
    """Whether a node with less than a free core can run the pod; the broker then starts with --overprovisioned."""
    resources = values["resources"]
    if "requests" in resources and "limits" in resources:
        cpu = str(resources["requests"].get("cpu", resources["limits"].get("cpu", "1")))
    else:
        cpu = str(resources["cpu"]["cores"])
    return (float(cpu[:-1]) if cpu.endswith("m") else float(cpu) * 1000) < 1000
