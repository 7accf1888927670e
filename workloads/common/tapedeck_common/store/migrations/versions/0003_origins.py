"""What runs were made of."""

from alembic import op

revision = "0003"
down_revision = "0002"

ORIGINS = """
CREATE TABLE run_origins (run_id text PRIMARY KEY, origin jsonb NOT NULL);
COMMENT ON TABLE run_origins IS 'What a run was made of: its Replay''s spec, data, seed, images. For doing it again.';
"""


def upgrade() -> None:
    op.execute(ORIGINS)


def downgrade() -> None:
    op.execute("DROP TABLE run_origins")
