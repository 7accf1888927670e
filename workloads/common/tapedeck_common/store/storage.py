"""What depends on the kind of database: hypertables and coarser bars. Each call leaves the same state."""

from __future__ import annotations

from typing import Any, Literal

import psycopg
from psycopg import sql

Flavour = Literal["timescale", "apache", "plain"]

HYPERTABLES = {"bars": "30 days", "trades": "1 day", "tickers": "7 days", "points": "30 days"}
COARSER = {"5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "4h": "4 hours", "1d": "1 day"}

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

# What changed in the past is built anew, the rest is left as it is. A bar that has not ended is built when it is asked
# for, and so is all before the first refresh.
_POLICY = """
SELECT add_continuous_aggregate_policy(
    {view}::regclass, start_offset => NULL, end_offset => {width}::interval, schedule_interval => interval '5 minutes',
    if_not_exists => true)
"""

# The recorder does not own the views: this much it may ask for, by their owner's rights. Returns how many were asked.
_REFRESH = """
CREATE OR REPLACE FUNCTION refresh_coarser() RETURNS int8
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$ {body} $$
"""
_ASK_JOBS = """
SELECT count(asked.job_id)
FROM timescaledb_information.jobs AS job
JOIN _timescaledb_catalog.continuous_agg AS kept ON kept.mat_hypertable_id = (job.config ->> 'mat_hypertable_id')::int
CROSS JOIN LATERAL alter_job(job.job_id, next_start => now()) AS asked
WHERE job.proc_name = 'policy_refresh_continuous_aggregate' AND kept.user_view_name LIKE 'bars\\_%'
"""
_ASK_NONE = "SELECT 0::int8"


def flavour(connection: psycopg.Connection[Any]) -> Flavour:
    """Which database this is, as it says itself; makes the extension where the server has it."""
    available = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    if not available:
        return "plain"
    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    row = connection.execute("SHOW timescaledb.license").fetchone()
    return "timescale" if row is not None and row[0] == "timescale" else "apache"


def arrange(connection: psycopg.Connection[Any]) -> Flavour:
    """Hypertables and views for the tables that the migrations made. Wants autocommit."""
    kind = flavour(connection)
    if kind != "plain":
        for table, width in HYPERTABLES.items():
            connection.execute(
                "SELECT create_hypertable(%s::regclass, by_range('ts', %s::interval), "
                "if_not_exists => true, migrate_data => true)",
                (table, width),
            )
    template = _CONTINUOUS if kind == "timescale" else _PLAIN
    for name, width in COARSER.items():
        connection.execute(sql.SQL(template).format(view=sql.Identifier(f"bars_{name}"), width=sql.Literal(width)))
        if kind == "timescale":
            connection.execute(sql.SQL(_POLICY).format(view=sql.Literal(f"bars_{name}"), width=sql.Literal(width)))
    make_refresh(connection, kind)
    return kind


def make_refresh(connection: psycopg.Connection[Any], kind: Flavour) -> None:
    """The function that ``ask_refresh`` calls."""
    connection.execute(_REFRESH.format(body=_ASK_JOBS if kind == "timescale" else _ASK_NONE).encode())
    connection.execute("REVOKE ALL ON FUNCTION refresh_coarser() FROM PUBLIC")


def ask_refresh(connection: psycopg.Connection[Any]) -> int:
    """Have coarser bars that are kept ready built anew, soon, where the finer ones changed; how many kinds there are.

    0 where they are built when they are asked for. Raises psycopg.Error.
    """
    row = connection.execute("SELECT refresh_coarser()").fetchone()
    return int(row[0]) if row else 0
