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
