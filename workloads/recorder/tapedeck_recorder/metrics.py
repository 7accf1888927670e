"""What the recorder counts."""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("tapedeck_recorder_rows_total", "Rows handed to the store", ["table"])
BATCHES = Counter("tapedeck_recorder_batches_total", "Transactions committed")
CONFLICTS = Counter("tapedeck_recorder_conflicts_total", "Batches that were merged instead of copied", ["table"])
POISON = Counter("tapedeck_recorder_poison_total", "Messages that could not be taken, kept in ingest_errors")
DROPPED = Counter("tapedeck_recorder_dropped_total", "Messages that are not recorded: replayed or unclosed")
COMMITS = Histogram("tapedeck_recorder_commit_seconds", "From a batch to its commit")
PARTITIONS = Gauge("tapedeck_recorder_partitions", "Partitions assigned")
LAG = Gauge("tapedeck_recorder_lag_messages", "Messages on the log that wait to be read")

SINK_POINTS = Counter("tapedeck_sink_points_total", "Points that another store took", ["sink"])
SINK_REFUSED = Counter("tapedeck_sink_refused_total", "Points that another store does not take", ["sink"])
SINK_UNREADABLE = Counter("tapedeck_sink_unreadable_total", "Records that make no point", ["sink"])
SINK_LOST = Counter("tapedeck_sink_lost_total", "Records that left the log before they were delivered", ["sink"])
SINK_ERRORS = Counter("tapedeck_sink_errors_total", "Deliveries given up, to be begun again", ["sink"])
SINK_LAG = Gauge("tapedeck_sink_lag_messages", "Messages on the log that another store lacks", ["sink"])
SINK_UP = Gauge("tapedeck_sink_up", "Whether another store took the last points", ["sink"])
