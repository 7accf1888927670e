"""How many rows an ingest record is about."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("ALTER TABLE ingest_errors ADD COLUMN rows int8 NOT NULL DEFAULT 1")
    op.execute("COMMENT ON COLUMN ingest_errors.rows IS 'Rows of one file or stream with this reason.'")


def downgrade() -> None:
    op.execute("ALTER TABLE ingest_errors DROP COLUMN rows")
