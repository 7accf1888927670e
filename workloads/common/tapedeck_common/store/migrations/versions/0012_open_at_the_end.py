"""What is open at the end of a run: positions, and orders that were never filled."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN positions jsonb, ADD COLUMN orders jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE runs DROP COLUMN positions, DROP COLUMN orders")
