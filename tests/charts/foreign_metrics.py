"""Facts about metrics of others that dashboards and alerts read: names and labels, from the programs' documentation.

Redpanda's public metrics (26.2), postgres_exporter 0.20, the kubelet, Prometheus itself, and Python's client library.
"""

from __future__ import annotations

_BROKER = {"redpanda_namespace", "redpanda_topic", "redpanda_partition"}
LABELS: dict[str, set[str]] = {
    "redpanda_application_uptime_seconds_total": set(),
    "redpanda_cluster_brokers": set(),
    "redpanda_cluster_unavailable_partitions": set(),
    "redpanda_cpu_busy_seconds_total": {"shard"},
    "redpanda_kafka_max_offset": _BROKER,
    "redpanda_kafka_request_bytes_total": {"redpanda_namespace", "redpanda_topic", "redpanda_request"},
    "redpanda_kafka_request_latency_seconds_bucket": {"redpanda_request", "le"},
    "redpanda_kafka_under_replicated_replicas": _BROKER,
    "redpanda_memory_allocated_memory": {"shard"},
    "redpanda_memory_available_memory": {"shard"},
    "redpanda_storage_disk_free_bytes": set(),
    "redpanda_storage_disk_total_bytes": set(),
    "pg_up": set(),
    "pg_database_size_bytes": {"datname"},
    "pg_stat_database_deadlocks": {"datname", "datid"},
    "pg_stat_database_numbackends": {"datname", "datid"},
    "pg_stat_database_xact_commit": {"datname", "datid"},
    "pg_stat_database_xact_rollback": {"datname", "datid"},
    "container_memory_working_set_bytes": {"container"},
    "kubelet_volume_stats_available_bytes": {"persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"persistentvolumeclaim"},
    "up": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
}
