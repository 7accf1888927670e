"""The trials of a sweep that the store already has."""

from __future__ import annotations

import msgspec
import psycopg
import stamina

from tapedeck_common.records import RunTrial
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect

_TRIALS = """
SELECT win, trial, params::text, (extract(epoch FROM start_ts) * 1000)::int8, (extract(epoch FROM end_ts) * 1000)::int8,
       metrics::text, objective, feasible, trades_hash, message
FROM run_trials WHERE run_id = %s ORDER BY win, trial
"""


@stamina.retry(on=psycopg.OperationalError, attempts=5, timeout=30.0, wait_max=3.0)
def completed_trials(connections: Connections, run_id: str) -> list[RunTrial]:
    """All stored trials of a run, of every shard. A killed pod's last trials may not have been recorded yet."""
    with connect(connections, name="tapedeck-backtest") as connection:
        rows = connection.execute(_TRIALS, (run_id,)).fetchall()
    return [
        RunTrial(
            run_id, window, number, msgspec.Raw(params.encode()), start, end, msgspec.json.decode(metrics), objective,
            feasible, trades_hash, message,
        )
        for window, number, params, start, end, metrics, objective, feasible, trades_hash, message in rows
    ]  # fmt: skip
