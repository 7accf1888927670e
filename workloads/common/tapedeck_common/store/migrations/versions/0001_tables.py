"""The first tables."""

from alembic import op

revision = "0001"
down_revision = None

MARKET = """
CREATE TABLE bars (
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    ts       timestamptz NOT NULL,
    open     float8 NOT NULL,
    high     float8 NOT NULL,
    low      float8 NOT NULL,
    close    float8 NOT NULL,
    volume   float8 NOT NULL,
    rev      int4 NOT NULL,
    source   text COLLATE "C" NOT NULL,
    PRIMARY KEY (exchange, symbol, interval, ts)
);
CREATE TABLE trades (
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    ts       timestamptz NOT NULL,
    id       text COLLATE "C" NOT NULL,
    price    float8 NOT NULL,
    amount   float8 NOT NULL,
    side     text COLLATE "C" NOT NULL,
    source   text COLLATE "C" NOT NULL,
    PRIMARY KEY (exchange, symbol, ts, id)
);
CREATE TABLE tickers (
    exchange  text COLLATE "C" NOT NULL,
    symbol    text COLLATE "C" NOT NULL,
    ts        timestamptz NOT NULL,
    price     float8 NOT NULL,
    volume24h float8,
    high24h   float8,
    low24h    float8,
    bid       float8,
    ask       float8,
    source    text COLLATE "C" NOT NULL,
    PRIMARY KEY (exchange, symbol, ts)
);
"""

INGEST = """
CREATE TABLE ingest_errors (
    topic    text NOT NULL,
    partition int4 NOT NULL,
    "offset" int8 NOT NULL,
    at       timestamptz NOT NULL,
    feed     text NOT NULL DEFAULT '',
    exchange text NOT NULL DEFAULT '',
    symbol   text NOT NULL DEFAULT '',
    place    text NOT NULL DEFAULT '',
    reason   text NOT NULL,
    payload  text NOT NULL,
    PRIMARY KEY (topic, partition, "offset", at)
);
COMMENT ON TABLE ingest_errors IS 'What could not be taken, with where it came from and why.';
CREATE TABLE gaps (
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    start_ts timestamptz NOT NULL,
    end_ts   timestamptz NOT NULL,
    state    text NOT NULL CHECK (state IN ('open', 'filled', 'unfillable')),
    PRIMARY KEY (exchange, symbol, interval, start_ts)
);
CREATE TABLE kafka_offsets (
    cluster_id  text NOT NULL,
    topic_id    text NOT NULL,
    topic       text NOT NULL,
    partition   int4 NOT NULL,
    next_offset int8 NOT NULL,
    PRIMARY KEY (cluster_id, topic_id, partition)
);
COMMENT ON TABLE kafka_offsets IS 'How far the recorder is, moved on in the transaction that writes the rows.';
"""

RUNS = """
CREATE TABLE runs (
    run_id      text PRIMARY KEY,
    name        text NOT NULL,
    namespace   text NOT NULL,
    strategy    text NOT NULL,
    params      jsonb NOT NULL,
    spec        jsonb NOT NULL,
    exchange    text NOT NULL,
    symbols     text[] NOT NULL,
    interval    text NOT NULL,
    replay_uid  text NOT NULL,
    cash        float8 NOT NULL,
    started_at  timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'complete', 'failed')),
    message     text NOT NULL DEFAULT '',
    bars        int8,
    metrics     jsonb,
    trades_hash text,
    ended_at    timestamptz
);
CREATE TABLE run_trades (
    run_id text NOT NULL, seq int8 NOT NULL, symbol text NOT NULL, side text NOT NULL, size float8 NOT NULL,
    entry_ts timestamptz NOT NULL, entry_price float8 NOT NULL,
    exit_ts timestamptz NOT NULL, exit_price float8 NOT NULL,
    pnl float8 NOT NULL, pnl_net float8 NOT NULL, commission float8 NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE TABLE run_fills (
    run_id text NOT NULL, seq int8 NOT NULL, symbol text NOT NULL, ts timestamptz NOT NULL,
    side text NOT NULL, size float8 NOT NULL, price float8 NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE TABLE run_equity (
    run_id text NOT NULL, seq int8 NOT NULL, ts timestamptz NOT NULL, value float8 NOT NULL, cash float8 NOT NULL,
    PRIMARY KEY (run_id, seq)
);
"""


def upgrade() -> None:
    for statements in (MARKET, INGEST, RUNS):
        op.execute(statements)


def downgrade() -> None:
    tables = "bars trades tickers ingest_errors gaps kafka_offsets runs run_trades run_fills run_equity"
    op.execute("DROP TABLE " + ", ".join(tables.split()) + " CASCADE")
