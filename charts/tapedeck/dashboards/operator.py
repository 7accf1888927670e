"""Operator: its queue, reconciles, watches and calls of the API server."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import lines, value
from dashboards.queries import OF_OPERATOR, promql
from dashboards.variables import metrics_variables


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{@}}[$__rate_interval]))"


def _resources(phase: str) -> str:
    """The number of resources in a phase, in whichever namespaces the chosen operators watch."""
    of_phase = (
        f'tapedeck_resource_phase{{job=~"$job", phase="{phase}"}} and on (pod) tapedeck_operator_queue_depth{{@}}'
    )
    return f"sum(max by (kind, namespace, name) ({of_phase})) or vector(0)"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "operator",
        "operator",
        "Whether the operator notices changes of resources, and how fast it acts on them.",
        metrics_variables("tapedeck_operator_queue_depth"),
        [
            row(
                4,
                value(
                    "Queue length",
                    "Resources that wait for a worker.",
                    "short",
                    promql("sum(tapedeck_operator_queue_depth{@})"),
                    steps=((100, "yellow"),),
                ),
                value(
                    "Queue age",
                    "How long the first of them has waited.",
                    "s",
                    promql("max(tapedeck_operator_queue_age_seconds{@})"),
                    steps=((10, "yellow"), (60, "red")),
                ),
                value(
                    "Watch probe, per minute",
                    "Events of the operator's own Lease: 6 if its watches work, 0 if they are stalled.",
                    "short",
                    promql('60 * sum(rate(tapedeck_operator_watch_events_total{@, kind="Lease"}[$__rate_interval]))'),
                ),
                value(
                    "Running",
                    "Resources in the phase Running, in all namespaces that the operator watches.",
                    "short",
                    promql(_resources("Running")),
                ),
                value(
                    "Failed",
                    "Resources in the phase Failed, in all namespaces that the operator watches.",
                    "short",
                    promql(_resources("Failed")),
                    steps=((1, "red"),),
                ),
                widths=(5, 5, 5, 5, 4),
            ),
            row(
                8,
                lines(
                    "Reconciles",
                    "By kind and result.",
                    "ops",
                    promql(_rate("tapedeck_operator_reconcile_seconds_count", "kind, result"), "{{kind}} {{result}}"),
                ),
                lines(
                    "Reconcile duration",
                    "99th percentile.",
                    "s",
                    promql(
                        f"histogram_quantile(0.99, {_rate('tapedeck_operator_reconcile_seconds_bucket', 'kind, le')})",
                        "{{kind}}",
                    ),
                ),
            ),
            row(
                8,
                lines(
                    "API server requests",
                    "By verb and status code.",
                    "reqps",
                    promql(_rate("tapedeck_operator_api_calls_total", "verb, code"), "{{verb}} {{code}}"),
                ),
                lines(
                    "Pod polls",
                    "By result.",
                    "reqps",
                    promql(_rate("tapedeck_operator_polls_total", "result"), "{{result}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Watch events",
                    "By kind.",
                    "ops",
                    promql(_rate("tapedeck_operator_watch_events_total", "kind"), "{{kind}}"),
                ),
                lines(
                    "Stalled watches, 1 h",
                    "Watches that did not end in time and were restarted, and changes that only a resync found.",
                    "short",
                    promql(
                        "sum by (kind) (increase(tapedeck_operator_silent_watches_total{@}[1h]))", "restarted {{kind}}"
                    ),
                    promql("sum by (kind) (increase(tapedeck_operator_missed_events_total{@}[1h]))", "missed {{kind}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Memory",
                    "Resident memory of the operator.",
                    "bytes",
                    promql(f"process_resident_memory_bytes{{@}} {OF_OPERATOR}", "{{pod}}"),
                ),
                lines(
                    "CPU",
                    "Cores that the operator uses.",
                    "short",
                    promql(f"rate(process_cpu_seconds_total{{@}}[$__rate_interval]) {OF_OPERATOR}", "{{pod}}"),
                ),
            ),
        ],
        logs=True,
    )
