"""Offsets belong to a topic's name and id. Those without an id, from brokers that tell none, were of several topics."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("DELETE FROM kafka_offsets WHERE topic_id = 'AAAAAAAAAAAAAAAAAAAAAA'")
    _set_key("cluster_id, topic, topic_id, partition")


def downgrade() -> None:
    _set_key("cluster_id, topic_id, partition")


def _set_key(columns: str) -> None:
    op.execute(f"ALTER TABLE kafka_offsets DROP CONSTRAINT kafka_offsets_pkey, ADD PRIMARY KEY ({columns})")
