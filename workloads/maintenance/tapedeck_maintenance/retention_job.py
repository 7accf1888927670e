"""``python -m tapedeck_maintenance.retention_job``: delete rows older than their table's retention. Run it daily."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import psycopg
from pydantic import Field, NonNegativeInt

from tapedeck_common.logs import configure, log
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_common.store.retention import Keepable, retain
from tapedeck_common.store.storage import flavour


class RetainSettings(PodSettings):
    """``retention_days`` by table: 0, or not named, keeps everything."""

    retention_days: dict[Keepable, NonNegativeInt] = Field(default_factory=dict)


def run(settings: RetainSettings) -> dict[str, int]:
    """Delete; returns how much went, by table. Raises psycopg.Error."""
    with connect(Connections.read(settings.connections), name="tapedeck-retain", autocommit=True) as connection:
        connection.execute("SET lock_timeout = '30s'")  # whoever waits for a chunk's lock holds up the recorder
        return retain(connection, flavour(connection), settings.retention_days, datetime.now(UTC))


def main() -> int:
    """Exit 0 when all is deleted that is due, 1 with a log line where it can't be: running it again goes on."""
    settings = RetainSettings()
    configure(settings.log_level, workload="retain")
    try:
        gone = run(settings)
    except psycopg.Error as error:
        log.error("cannot delete what is due", reason=str(error))
        return 1
    log.info("retained", **{f"{table}_gone": count for table, count in gone.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
