"""What depends on the edition of the database: hypertables and rollups of bars. Every function is idempotent."""

from __future__ import annotations

from typing import Any, Literal

import psycopg
from psycopg import sql

Edition = Literal["timescale", "apache", "plain"]

HYPERTABLES = {"bars": "30 days", "trades": "1 day", "tickers": "7 days", "points": "30 days"}
ROLLUPS = {"5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "4h": "4 hours", "1d": "1 day"}
"""The intervals that one-minute bars are rolled up to, in views bars_<interval>; other intervals are aggregated when
they are read."""

_CONTINUOUS = """
CREATE MATERIALIZED VIEW IF NOT EXISTS {view}
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT exchange, symbol, time_bucket({width}::interval, ts) AS bucket, first(open, ts) AS open, max(high) AS high,
       min(low) AS low, last(close, ts) AS close, sum(volume) AS volume
FROM bars WHERE interval = '1m' GROUP BY exchange, symbol, bucket WITH NO DATA
"""

_PLAIN = """
CREATE OR REPLACE VIEW {view} AS
SELECT exchange, symbol, date_bin({width}::interval, ts, 'epoch'::timestamptz) AS bucket,
       (array_agg(open ORDER BY ts))[1] AS open, max(high) AS high, min(low) AS low,
       (array_agg(close ORDER BY ts DESC))[1] AS close, sum(volume) AS volume
FROM bars WHERE interval = '1m' GROUP BY 1, 2, 3
"""

# A refresh recomputes only the ranges whose finer bars changed. A bar whose interval has not ended is computed by the
# query, and so are all bars before the first refresh.
_POLICY = """
SELECT add_continuous_aggregate_policy(
    {view}::regclass, start_offset => NULL, end_offset => {width}::interval, schedule_interval => interval '5 minutes',
    if_not_exists => true)
"""

# The recorder does not own the views: this function runs with the privileges of their owner. It returns the number of
# refresh jobs.
_REFRESH = """
CREATE OR REPLACE FUNCTION refresh_coarser() RETURNS int8
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$ {body} $$
"""
_REFRESH_JOBS = """
SELECT count(altered.job_id)
FROM timescaledb_information.jobs AS job
JOIN _timescaledb_catalog.continuous_agg AS kept ON kept.mat_hypertable_id = (job.config ->> 'mat_hypertable_id')::int
CROSS JOIN LATERAL alter_job(job.job_id, next_start => now()) AS altered
WHERE job.proc_name = 'policy_refresh_continuous_aggregate' AND kept.user_view_name LIKE 'bars\\_%'
"""
_NO_JOBS = "SELECT 0::int8"


def detect_edition(connection: psycopg.Connection[Any]) -> Edition:
    """The edition of the database. Creates the extension where the server has it."""
    available = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    if not available:
        return "plain"
    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    row = connection.execute("SHOW timescaledb.license").fetchone()
    return "timescale" if row is not None and row[0] == "timescale" else "apache"


def set_up_storage(connection: psycopg.Connection[Any]) -> Edition:
    """Create hypertables and rollups for the tables of the migrations. Needs autocommit."""
    kind = detect_edition(connection)
    if kind != "plain":
        for table, width in HYPERTABLES.items():
            connection.execute(
                "SELECT create_hypertable(%s::regclass, by_range('ts', %s::interval), "
                "if_not_exists => true, migrate_data => true)",
                (table, width),
            )
    template = _CONTINUOUS if kind == "timescale" else _PLAIN
    for name, width in ROLLUPS.items():
        connection.execute(sql.SQL(template).format(view=sql.Identifier(f"bars_{name}"), width=sql.Literal(width)))
        if kind == "timescale":
            connection.execute(sql.SQL(_POLICY).format(view=sql.Literal(f"bars_{name}"), width=sql.Literal(width)))
    create_refresh_function(connection, kind)
    return kind


def create_refresh_function(connection: psycopg.Connection[Any], kind: Edition) -> None:
    """Create the function that ``request_rollup_refresh`` calls."""
    connection.execute(_REFRESH.format(body=_REFRESH_JOBS if kind == "timescale" else _NO_JOBS).encode())
    connection.execute("REVOKE ALL ON FUNCTION refresh_coarser() FROM PUBLIC")


def request_rollup_refresh(connection: psycopg.Connection[Any]) -> int:
    """Refresh materialized rollups soon where their bars changed; returns the number of rollups.

    Returns 0 where rollups are computed by the query. Raises psycopg.Error.
    """
    row = connection.execute("SELECT refresh_coarser()").fetchone()
    return int(row[0]) if row else 0
