"""The recorder's Prometheus metrics."""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("tapedeck_recorder_rows_total", "Rows written to the database, by table.", ["table"])
BATCHES = Counter("tapedeck_recorder_batches_total", "Database transactions committed.")
CONFLICTS = Counter(
    "tapedeck_recorder_conflicts_total",
    "Batches that were upserted after COPY met a key conflict, by table.",
    ["table"],
)
REJECTED = Counter("tapedeck_recorder_rejected_total", "Messages rejected and kept in the table ingest_errors.")
DROPPED = Counter(
    "tapedeck_recorder_dropped_total", "Messages not recorded because they are replayed or unclosed bars."
)
COMMIT_SECONDS = Histogram("tapedeck_recorder_commit_seconds", "Seconds from a decoded batch to its commit.")
PARTITIONS = Gauge("tapedeck_recorder_partitions", "Kafka partitions assigned to this recorder.")
REPLICAS = Gauge("tapedeck_recorder_replicas", "Recorders that shall run beside one another, this one included.")
LAG = Gauge("tapedeck_recorder_lag_messages", "Messages on the log that the recorder has not read yet.")

SINK_POINTS = Counter("tapedeck_sink_points_total", "Points that a sink accepted.", ["sink"])
SINK_REFUSED = Counter("tapedeck_sink_refused_total", "Points that a sink rejected.", ["sink"])
SINK_UNREADABLE = Counter("tapedeck_sink_unreadable_total", "Messages that could not be decoded into points.", ["sink"])
SINK_LOST = Counter("tapedeck_sink_lost_total", "Records that retention deleted before they were delivered.", ["sink"])
SINK_ERRORS = Counter("tapedeck_sink_errors_total", "Failed deliveries, each of which is retried.", ["sink"])
SINK_LAG = Gauge("tapedeck_sink_lag_messages", "Messages on the log that a sink has not received yet.", ["sink"])
SINK_UP = Gauge("tapedeck_sink_up", "1 if the sink accepted the last points, 0 if it did not.", ["sink"])
