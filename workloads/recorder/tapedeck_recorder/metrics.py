"""What the recorder counts."""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("tapedeck_recorder_rows_total", "Rows written", ["table"])
CONFLICTS = Counter("tapedeck_recorder_conflicts_total", "Batches that were merged instead of copied", ["table"])
POISON = Counter("tapedeck_recorder_poison_total", "Messages kept in ingest_errors")
DROPPED = Counter("tapedeck_recorder_dropped_total", "Messages that are not recorded: replayed or unclosed")
COMMITS = Histogram("tapedeck_recorder_commit_seconds", "From a batch to its commit")
PARTITIONS = Gauge("tapedeck_recorder_partitions", "Partitions assigned")
