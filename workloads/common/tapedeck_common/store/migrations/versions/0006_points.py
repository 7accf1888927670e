"""What transforms result in."""

from alembic import op

revision = "0006"
down_revision = "0005"

POINTS = """
CREATE TABLE points (
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    series   text COLLATE "C" NOT NULL,
    ts       timestamptz NOT NULL,
    id       text COLLATE "C" NOT NULL,
    value    float8,
    open     float8,
    high     float8,
    low      float8,
    volume   float8,
    rev      int4 NOT NULL,
    source   text COLLATE "C" NOT NULL,
    PRIMARY KEY (exchange, symbol, interval, series, ts, id)
);
COMMENT ON TABLE points IS 'Results of transforms, of trades by their id, of bars by their interval. Null: taken back.';
"""


def upgrade() -> None:
    op.execute(POINTS)


def downgrade() -> None:
    op.execute("DROP TABLE points")
