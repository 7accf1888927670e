"""What a reader of a deck's database may not do to others, also in the storage of an earlier version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tapedeck_deck.embedded.postgres import OWNER, TEMP_FILE_LIMIT, Postgres

READER = "tapedeck_reader"
CALLS = (
    "pg_terminate_backend(2000000000)", "pg_cancel_backend(2000000000)", "pg_advisory_lock(1)",
    "pg_advisory_xact_lock_shared(1, 2)", "pg_try_advisory_lock(1)", "pg_advisory_unlock_all()",
)  # fmt: skip


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    made = Postgres(tmp_path / "postgres")
    yield made
    made.stop()


def test_a_reader_holds_up_nobody(postgres: Postgres) -> None:
    for _ in ("new", "of an earlier version"):
        postgres.start()
        with psycopg.connect(postgres.dsn(READER), autocommit=True) as reader:
            assert reader.execute("SHOW temp_file_limit").fetchone() == (TEMP_FILE_LIMIT,)
            for call in CALLS:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(f"SELECT {call}")
        with psycopg.connect(postgres.dsn(OWNER), autocommit=True) as owner:
            for call in CALLS:
                owner.execute(f"SELECT {call}")
        postgres.stop()
        postgres._restrictions.unlink()
