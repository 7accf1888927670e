-- QuestDB tables for a sink of the recorder (recorder.sinks in the chart, sinks.yaml in a deck's folder). Run this
-- once, before the first delivery: a sink delivers each record at least once, and DEDUP UPSERT KEYS merges rows with
-- the same keys. A table that QuestDB created on its own keeps duplicates until
-- ALTER TABLE … DEDUP ENABLE UPSERT KEYS(…).
CREATE TABLE IF NOT EXISTS bars (
    exchange SYMBOL, symbol SYMBOL, interval SYMBOL, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE,
    rev LONG, source VARCHAR, timestamp TIMESTAMP
) TIMESTAMP(timestamp) PARTITION BY MONTH WAL DEDUP UPSERT KEYS(timestamp, exchange, symbol, interval);

CREATE TABLE IF NOT EXISTS tickers (
    exchange SYMBOL, symbol SYMBOL, price DOUBLE, volume24h DOUBLE, high24h DOUBLE, low24h DOUBLE, bid DOUBLE,
    ask DOUBLE, source VARCHAR, timestamp TIMESTAMP
) TIMESTAMP(timestamp) PARTITION BY DAY WAL DEDUP UPSERT KEYS(timestamp, exchange, symbol);

CREATE TABLE IF NOT EXISTS trades (
    exchange SYMBOL, symbol SYMBOL, side SYMBOL, id VARCHAR, price DOUBLE, amount DOUBLE, source VARCHAR,
    timestamp TIMESTAMP
) TIMESTAMP(timestamp) PARTITION BY DAY WAL DEDUP UPSERT KEYS(timestamp, exchange, symbol, id);

-- Results of transforms. A retracted point has the value null.
CREATE TABLE IF NOT EXISTS points (
    exchange SYMBOL, symbol SYMBOL, interval SYMBOL, series SYMBOL, id VARCHAR, value DOUBLE, open DOUBLE, high DOUBLE,
    low DOUBLE, volume DOUBLE, rev LONG, taken_back BOOLEAN, source VARCHAR, timestamp TIMESTAMP
) TIMESTAMP(timestamp) PARTITION BY DAY WAL DEDUP UPSERT KEYS(timestamp, exchange, symbol, interval, series, id);

CREATE TABLE IF NOT EXISTS run_equity (
    run_id SYMBOL, value DOUBLE, cash DOUBLE, change_percent DOUBLE, drawdown_percent DOUBLE, sharpe DOUBLE, seq LONG,
    timestamp TIMESTAMP
) TIMESTAMP(timestamp) PARTITION BY YEAR WAL DEDUP UPSERT KEYS(timestamp, run_id, seq);

CREATE TABLE IF NOT EXISTS run_trades (
    run_id SYMBOL, symbol SYMBOL, side SYMBOL, size DOUBLE, entry_price DOUBLE, exit_price DOUBLE, pnl DOUBLE,
    pnl_net DOUBLE, commission DOUBLE, entry_ts LONG, seq LONG, entry_reason VARCHAR, exit_reason VARCHAR,
    timestamp TIMESTAMP
) TIMESTAMP(timestamp) PARTITION BY YEAR WAL DEDUP UPSERT KEYS(timestamp, run_id, seq);
