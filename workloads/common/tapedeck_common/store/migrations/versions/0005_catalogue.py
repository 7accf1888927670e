"""What there is: series with their first and last bar, and what exchanges say of their symbols."""

from alembic import op

revision = "0005"
down_revision = "0004"

CATALOGUE = """
CREATE TABLE bar_series (
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    first_ts timestamptz NOT NULL,
    last_ts  timestamptz NOT NULL,
    PRIMARY KEY (exchange, symbol, interval)
) WITH (fillfactor = 70);
COMMENT ON TABLE bar_series IS 'Open of the first and the last bar of each series, moved on with the bars.';
INSERT INTO bar_series SELECT exchange, symbol, interval, min(ts), max(ts) FROM bars GROUP BY 1, 2, 3;
CREATE TABLE listings (
    exchange    text COLLATE "C" NOT NULL,
    symbol      text COLLATE "C" NOT NULL,
    base        text NOT NULL,
    quote       text NOT NULL,
    price_step  float8,
    amount_step float8,
    listed_at   timestamptz NOT NULL,
    PRIMARY KEY (exchange, symbol)
);
COMMENT ON TABLE listings IS 'What an exchange said of a symbol when a Feed asked; steps are the smallest changes.';
"""


def upgrade() -> None:
    op.execute(CATALOGUE)


def downgrade() -> None:
    op.execute("DROP TABLE bar_series, listings")
