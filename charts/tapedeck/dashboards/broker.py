"""Broker: the chart's own Redpanda, by its own metrics, and what the workloads see of a broker of yours."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import REACHED, lines, value
from dashboards.queries import of_job, promql
from dashboards.variables import metrics_variables

_TOPICS = '{@, redpanda_namespace="kafka"}'


def _latency(share: float) -> str:
    return (
        f"histogram_quantile({share}, sum by (redpanda_request, le) "
        "(rate(redpanda_kafka_request_latency_seconds_bucket{@}[$__rate_interval])))"
    )


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "broker",
        "broker",
        "The chart's own Redpanda. Of an existing broker the first panel alone has data.",
        metrics_variables("redpanda_application_uptime_seconds_total"),
        [
            row(
                4,
                value(
                    "Answers the gateway",
                    "Whether the gateway reaches the broker, whichever it is.",
                    "short",
                    promql(
                        f'min(tapedeck_gateway_dependency_up{{{of_job("gateway")}, dependency="broker"}}) or vector(-1)'
                    ),
                    low=1,
                    texts=REACHED,
                ),
                value("Brokers", "In the cluster.", "short", promql("max(redpanda_cluster_brokers{@})")),
                value(
                    "Unavailable partitions",
                    "Partitions without a leader.",
                    "short",
                    promql("max(redpanda_cluster_unavailable_partitions{@})"),
                    steps=((1, "red"),),
                ),
                value(
                    "Under-replicated",
                    "Replicas that are behind their leader.",
                    "short",
                    promql("sum(redpanda_kafka_under_replicated_replicas{@})"),
                    steps=((1, "yellow"),),
                ),
                value(
                    "Free disk",
                    "Share of the log's volume that is free.",
                    "percentunit",
                    promql("min(redpanda_storage_disk_free_bytes{@} / redpanda_storage_disk_total_bytes{@})"),
                ),
                value(
                    "Up for",
                    "Since the broker's start.",
                    "s",
                    promql("min(redpanda_application_uptime_seconds_total{@})"),
                ),
            ),
            row(
                9,
                lines(
                    "Bytes",
                    "Produced and fetched, by topic.",
                    "Bps",
                    promql(
                        f"sum by (redpanda_topic, redpanda_request) (rate(redpanda_kafka_request_bytes_total{_TOPICS}"
                        "[$__rate_interval]))",
                        "{{redpanda_request}} {{redpanda_topic}}",
                    ),
                ),
                lines(
                    "Request latency",
                    "Of produce and fetch requests. A fetch waits for records.",
                    "s",
                    promql(_latency(0.5), "p50 {{redpanda_request}}"),
                    promql(_latency(0.99), "p99 {{redpanda_request}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Records",
                    "That reach the log, by topic: growth of its offsets. Replicas of a partition count once.",
                    "ops",
                    promql(
                        "sum by (redpanda_topic) (max by (namespace, redpanda_topic, redpanda_partition) "
                        f"(rate(redpanda_kafka_max_offset{_TOPICS}[$__rate_interval])))",
                        "{{redpanda_topic}}",
                    ),
                ),
                lines(
                    "Disk",
                    "Free and total bytes of the log's volume.",
                    "bytes",
                    promql("min(redpanda_storage_disk_free_bytes{@})", "free"),
                    promql("max(redpanda_storage_disk_total_bytes{@})", "total"),
                ),
            ),
            row(
                8,
                lines(
                    "Memory",
                    "Allocated and available, of all cores.",
                    "bytes",
                    promql("sum(redpanda_memory_allocated_memory{@})", "allocated"),
                    promql("sum(redpanda_memory_available_memory{@})", "available"),
                ),
                lines(
                    "CPU",
                    "Cores that are busy.",
                    "short",
                    promql("sum(rate(redpanda_cpu_busy_seconds_total{@}[$__rate_interval]))", "busy"),
                ),
            ),
        ],
        logs=True,
    )
