"""What the analyzers and observers of a run result in."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN analyses jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE runs DROP COLUMN analyses")
