"""Prometheus metrics of the reconciler."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

RECONCILE_SECONDS = Histogram(
    "tapedeck_operator_reconcile_seconds",
    "Seconds that one reconcile of a resource takes.",
    ["kind", "result"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 60),
)
POLLS = Counter("tapedeck_operator_polls_total", "Requests to pods for their /status.", ["result"])
