"""The order of the trades of one millisecond where their ids do not give it."""

from alembic import op

revision = "0013"
down_revision = "0012"

# A constant default changes no row: it is kept in the catalogue.
COLUMNS = """
ALTER TABLE trades ADD COLUMN seq int4 NOT NULL DEFAULT 0;
ALTER TABLE points ADD COLUMN seq int4 NOT NULL DEFAULT 0;
COMMENT ON COLUMN trades.seq IS 'Place within the millisecond: ORDER BY ts, seq, length(id), id';
COMMENT ON COLUMN points.seq IS 'That of the trade.';
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE trades DROP COLUMN seq")
    op.execute("ALTER TABLE points DROP COLUMN seq")
