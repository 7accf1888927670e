"""Prometheus metrics of the operator's connection to the API server."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

API_CALLS = Counter("tapedeck_operator_api_calls_total", "Calls of the API server.", ["verb", "resource", "code"])
WATCH_EVENTS = Counter("tapedeck_operator_watch_events_total", "Events received by the watches.", ["kind"])
MISSED_EVENTS = Counter(
    "tapedeck_operator_missed_events_total", "Changes that a resync found and no watch reported.", ["kind"]
)
SILENT_WATCHES = Counter(
    "tapedeck_operator_silent_watches_total", "Watches that did not end in time and were restarted.", ["kind"]
)
QUEUE_DEPTH = Gauge("tapedeck_operator_queue_depth", "Resources that wait for a worker.")
QUEUE_AGE = Gauge(
    "tapedeck_operator_queue_age_seconds", "How long the resource at the head of the queue has waited for a worker."
)
