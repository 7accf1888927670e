"""``python -m tapedeck_maintenance.retention_job``: delete rows older than the retention of their table. Run it daily.

Exits 0 once all expired rows are deleted, and 1 where the database did not allow it: the next run continues.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field, NonNegativeInt

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_common.store.editions import detect_edition
from tapedeck_common.store.retention import RetainedTable, delete_expired
from tapedeck_crds.report import Report


class RetentionSettings(PodSettings):
    """``retention_days`` by table: a table at 0, or not named, keeps all rows."""

    retention_days: dict[RetainedTable, NonNegativeInt] = Field(default_factory=dict)


class RetentionJob(Workload):
    """Deletes expired rows."""

    def __init__(self, settings: RetentionSettings) -> None:
        super().__init__()
        self._settings = settings

    def report(self) -> Report:
        """Running: there is no progress to report."""
        return Report(state="running")

    def run(self) -> None:
        """Delete expired rows, and log how many of each table. Raises psycopg.Error."""
        connections = Connections.read(self._settings.connections)
        with connect(connections, name="tapedeck-retain") as connection:
            connection.execute("SET lock_timeout = '30s'")  # a wait for a chunk's lock blocks the recorder meanwhile
            edition = detect_edition(connection)
            deleted = delete_expired(connection, edition, self._settings.retention_days, datetime.now(UTC))
        log.info("expired rows deleted", **{f"{table}_deleted": count for table, count in deleted.items()})


if __name__ == "__main__":
    run_pod("retention", RetentionSettings, RetentionJob, serve_probes=False)
