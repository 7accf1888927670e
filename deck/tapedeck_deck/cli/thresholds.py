"""The numbers from which something is unhealthy: those of the chart's alerts.

A package has the alerts, whose expressions hold these numbers, but not the chart's values: a test compares them with
``metrics.alerts.thresholds`` of values.yaml.
"""

from __future__ import annotations

RECORDER_LAG_RECORDS = 100_000
RECORDER_LAG_SECONDS = 60.0
REPLAY_LATENESS_SECONDS = 1.0
REPLAY_STALLED_SECONDS = 300.0
FEED_SILENT_SECONDS = 300.0
FEED_DISCONNECTED_SECONDS = 600.0
GAPS_OPEN_SECONDS = 900.0
