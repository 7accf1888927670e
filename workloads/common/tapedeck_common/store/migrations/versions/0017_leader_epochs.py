"""The leader epoch of the record before an offset: by it the recorder notices that a broker lost that record."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("ALTER TABLE kafka_offsets ADD leader_epoch int4")
    op.execute("COMMENT ON COLUMN kafka_offsets.leader_epoch IS 'Of the record before the offset; NULL: not known.'")


def downgrade() -> None:
    op.execute("ALTER TABLE kafka_offsets DROP leader_epoch")
