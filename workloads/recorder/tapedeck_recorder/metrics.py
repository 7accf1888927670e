"""The recorder's Prometheus metrics."""

from prometheus_client import Counter, Gauge, Histogram

from tapedeck_common.metrics import counter_by
from tapedeck_common.topics import PERMANENT_TOPICS

ROWS = Counter("tapedeck_recorder_rows_total", "Rows written to the database.", ["table"])
CONFLICTS = Counter("tapedeck_recorder_conflicts_total", "Batches with rows whose keys were stored already.", ["table"])
REJECTED = counter_by(
    "tapedeck_recorder_rejected_records_total",
    "Records that were rejected and kept in the table ingest_errors.",
    "topic",
    PERMANENT_TOPICS,
)
REFUSED_ROWS = Counter(
    "tapedeck_recorder_refused_rows_total", "Rows that Feeds refused and whose reasons were recorded."
)
DROPPED = Counter(
    "tapedeck_recorder_dropped_records_total",
    "Records that are not recorded because they are replayed or unclosed bars.",
)
COMMIT_SECONDS = Histogram(
    "tapedeck_recorder_commit_seconds",
    "Seconds from a decoded batch to its commit, waits for an unreachable database included.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
PARTITIONS = Gauge("tapedeck_recorder_partitions", "Kafka partitions assigned to this recorder.")
WANTED_REPLICAS = Gauge("tapedeck_recorder_wanted_replicas", "Recorders that shall run, this one included.")

SINK_POINTS = Counter("tapedeck_sink_points_total", "Points that a sink accepted.", ["sink"])
SINK_REFUSED = Counter("tapedeck_sink_refused_points_total", "Points that a sink rejected.", ["sink"])
SINK_UNREADABLE = Counter(
    "tapedeck_sink_unreadable_records_total", "Records that could not be decoded into points.", ["sink"]
)
SINK_LOST = Counter(
    "tapedeck_sink_lost_records_total", "Records that retention deleted before they were delivered.", ["sink"]
)
SINK_FAILURES = Counter(
    "tapedeck_sink_failed_deliveries_total", "Failed deliveries, each of which is retried.", ["sink"]
)
SINK_LAG = Gauge("tapedeck_sink_lag_records", "Records on the log that a sink has not received yet.", ["sink"])
SINK_UP = Gauge("tapedeck_sink_up", "1 if the sink accepted the last points, 0 if it did not.", ["sink"])
