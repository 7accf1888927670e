"""Recorder and store: lag, commits and refused records of the recorder, sinks, and the database."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import lines, rows, value
from dashboards.queries import of_job, promql, sql
from dashboards.variables import metrics_variables, store_variable
from tapedeck_common.topics import PERMANENT_PARTITIONS, PERMANENT_TOPICS

_EXPORTER = f'{of_job("store-exporter")}, datname=~".+"'
_PARTITIONS = len(PERMANENT_TOPICS) * PERMANENT_PARTITIONS
# Chunks of hypertables are tables of their own, which count with their parent's schema as a whole.
_SIZES = """
SELECT n.nspname AS schema, c.relname AS "table", pg_total_relation_size(c.oid) AS bytes, c.reltuples::int8 AS rows
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY bytes DESC LIMIT 50
"""
_OFFSETS = """
SELECT topic, count(*) AS partitions, sum(next_offset) AS records FROM kafka_offsets GROUP BY topic ORDER BY topic
"""


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{@}}[$__rate_interval]))"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "recorder",
        "recorder and store",
        "How far the recorder is behind the topics, what it writes and refuses, and the database that it writes to.",
        [*metrics_variables("tapedeck_recorder_partitions"), store_variable()],
        [
            row(
                4,
                value(
                    "Lag",
                    "Records on the log that are not in the database yet.",
                    "short",
                    promql("sum(tapedeck_recorder_lag_records{@})"),
                    steps=((10_000, "yellow"), (100_000, "red")),
                ),
                value(
                    "Lag in time",
                    "Age of the oldest of them.",
                    "s",
                    promql("max(tapedeck_recorder_lag_seconds{@})"),
                    steps=((10, "yellow"), (60, "red")),
                ),
                value(
                    "Recorders",
                    "That run, and that shall run.",
                    "short",
                    promql("count(tapedeck_recorder_partitions{@})", "run"),
                    promql("max(tapedeck_recorder_wanted_replicas{@})", "wanted"),
                ),
                value(
                    "Assigned partitions",
                    f"Of {_PARTITIONS}: {len(PERMANENT_TOPICS)} topics with {PERMANENT_PARTITIONS} partitions each.",
                    "short",
                    promql("sum(tapedeck_recorder_partitions{@})"),
                ),
                value(
                    "Rejected records, 1 h",
                    "Kept in the table ingest_errors with the reason.",
                    "short",
                    promql("sum(increase(tapedeck_recorder_rejected_records_total{@}[1h])) or vector(0)"),
                    steps=((1, "yellow"),),
                ),
                value(
                    "Database",
                    "Size on disk.",
                    "bytes",
                    sql("SELECT pg_database_size(current_database())"),
                ),
            ),
            row(
                9,
                lines(
                    "Rows",
                    "Written to the database, by table.",
                    "ops",
                    promql(_rate("tapedeck_recorder_rows_total", "table"), "{{table}}"),
                ),
                lines(
                    "Lag by topic",
                    "Records on the log that are not in the database yet.",
                    "short",
                    promql("sum by (topic) (tapedeck_recorder_lag_records{@})", "{{topic}}"),
                ),
                lines(
                    "Lag in time by topic",
                    "Age of the oldest record that is not in the database yet.",
                    "s",
                    promql("max by (topic) (tapedeck_recorder_lag_seconds{@})", "{{topic}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Commit duration",
                    "From a decoded batch to its commit, waits for an unreachable database included.",
                    "s",
                    promql(f"histogram_quantile(0.5, {_rate('tapedeck_recorder_commit_seconds_bucket', 'le')})", "p50"),
                    promql(
                        f"histogram_quantile(0.99, {_rate('tapedeck_recorder_commit_seconds_bucket', 'le')})", "p99"
                    ),
                ),
                lines(
                    "Batches and conflicts",
                    "Committed transactions, and batches that met a key conflict and were merged.",
                    "ops",
                    promql(_rate("tapedeck_recorder_commit_seconds_count", "job"), "batches"),
                    promql(_rate("tapedeck_recorder_conflicts_total", "table"), "merged {{table}}"),
                ),
                lines(
                    "Dropped, rejected and refused",
                    "Dropped on purpose are replayed and unclosed bars; refused rows are those whose reasons "
                    "Feeds report.",
                    "ops",
                    promql(_rate("tapedeck_recorder_dropped_records_total", "job"), "dropped"),
                    promql(_rate("tapedeck_recorder_rejected_records_total", "topic"), "rejected {{topic}}"),
                    promql(_rate("tapedeck_recorder_refused_rows_total", "job"), "refused rows"),
                ),
            ),
            row(
                8,
                lines(
                    "Sinks: lag",
                    "Records that each sink has not received yet; up is 0 while it is unreachable.",
                    "short",
                    promql("sum by (sink) (tapedeck_sink_lag_records{@})", "{{sink}}"),
                    promql("min by (sink) (tapedeck_sink_up{@})", "{{sink}} up"),
                ),
                lines(
                    "Sinks: points",
                    "Lost records expired on the topic before delivery; failed deliveries are repeated.",
                    "ops",
                    promql(_rate("tapedeck_sink_points_total", "sink"), "{{sink}}"),
                    promql(_rate("tapedeck_sink_refused_points_total", "sink"), "{{sink}} refused"),
                    promql(_rate("tapedeck_sink_unreadable_records_total", "sink"), "{{sink}} unreadable"),
                    promql(_rate("tapedeck_sink_lost_records_total", "sink"), "{{sink}} lost"),
                    promql(_rate("tapedeck_sink_failed_deliveries_total", "sink"), "{{sink}} failed"),
                ),
            ),
            row(
                8,
                lines(
                    "Database: size",
                    "By the exporter of its metrics.",
                    "bytes",
                    promql(f"max by (datname) (pg_database_size_bytes{{{_EXPORTER}}})", "{{datname}}"),
                ),
                lines(
                    "Database: transactions",
                    "Committed, rolled back, and deadlocks.",
                    "ops",
                    promql(f"sum(rate(pg_stat_database_xact_commit{{{_EXPORTER}}}[$__rate_interval]))", "committed"),
                    promql(
                        f"sum(rate(pg_stat_database_xact_rollback{{{_EXPORTER}}}[$__rate_interval]))", "rolled back"
                    ),
                    promql(f"sum(rate(pg_stat_database_deadlocks{{{_EXPORTER}}}[$__rate_interval]))", "deadlocks"),
                ),
                lines(
                    "Database: connections",
                    "Open ones, by database.",
                    "short",
                    promql(f"sum by (datname) (pg_stat_database_numbackends{{{_EXPORTER}}})", "{{datname}}"),
                ),
            ),
            row(
                9,
                rows("Tables", "The largest, with their indexes.", sql(_SIZES), units={"bytes": "bytes"}),
                rows("Recorded offsets", "Records of each topic that are in the database.", sql(_OFFSETS)),
            ),
        ],
        logs=True,
    )
