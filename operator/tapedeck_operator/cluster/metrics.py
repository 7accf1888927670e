"""What the operator counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("tapedeck_operator_reconciles_total", "Passes over a resource.", ["kind", "result"])
RECONCILE_SECONDS = Histogram(
    "tapedeck_operator_reconcile_seconds",
    "Time of a pass over a resource.",
    ["kind", "result"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
API_CALLS = Counter("tapedeck_operator_api_calls_total", "Calls of the API server.", ["verb", "resource", "code"])
WATCH_EVENTS = Counter("tapedeck_operator_watch_events_total", "Events that the watches brought.", ["kind"])
MISSED = Counter("tapedeck_operator_missed_events_total", "Changes that a resync found and no watch told.", ["kind"])
SILENT_WATCHES = Counter(
    "tapedeck_operator_silent_watches_total", "Watches that did not end in time and were begun anew.", ["kind"]
)
QUEUE_DEPTH = Gauge("tapedeck_operator_queue_depth", "Resources that are due.")
QUEUE_AGE = Gauge("tapedeck_operator_queue_age_seconds", "How long the resource that is due longest has waited.")
POLLS = Counter("tapedeck_operator_polls_total", "Questions to pods.", ["result"])
