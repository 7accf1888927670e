"""Gaps of trades, beside those of bars."""

from alembic import op

revision = "0015"
down_revision = "0014"

TRADE_GAPS = """
ALTER TABLE gaps ADD COLUMN trades int8 NOT NULL DEFAULT 0, ADD COLUMN ids text NOT NULL DEFAULT '';
COMMENT ON TABLE gaps IS 'Missing bars of an interval; with an empty interval, missing trades by ids that count up.';
"""


def upgrade() -> None:
    op.execute(TRADE_GAPS)


def downgrade() -> None:
    op.execute("DELETE FROM gaps WHERE interval = ''")
    op.execute("ALTER TABLE gaps DROP COLUMN trades, DROP COLUMN ids")
