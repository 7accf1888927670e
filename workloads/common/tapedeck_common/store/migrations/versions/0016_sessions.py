"""When symbols trade, as their Feeds say."""

from alembic import op

revision = "0016"
down_revision = "0015"

SESSIONS = """
CREATE TABLE sessions (
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    timezone text NOT NULL,
    open     text NOT NULL,
    close    text NOT NULL,
    days     text[] NOT NULL,
    said_at  timestamptz NOT NULL,
    PRIMARY KEY (exchange, symbol)
);
COMMENT ON TABLE sessions IS 'Time zone, local hours and days of a market; one without a row never closes.';
"""


def upgrade() -> None:
    op.execute(SESSIONS)


def downgrade() -> None:
    op.execute("DROP TABLE sessions")
