"""What Replays recorded has the source ``replay``."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Exchange ids of recorded Replays are replay.<name>: a range of the primary keys.
UPDATES = """
UPDATE bars SET source = 'replay' WHERE exchange >= 'replay.' AND exchange < 'replay/' AND source = 'synthetic';
UPDATE trades SET source = 'replay' WHERE exchange >= 'replay.' AND exchange < 'replay/' AND source = 'synthetic';
UPDATE points SET source = 'replay' WHERE exchange >= 'replay.' AND exchange < 'replay/' AND source = 'synthetic';
"""


def upgrade() -> None:
    op.execute(UPDATES)


def downgrade() -> None:
    pass  # no older version reads the source of a recorded Replay
