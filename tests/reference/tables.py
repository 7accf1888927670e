"""The tables of the store, read from the migrations' SQL; a test compares them with a real database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tapedeck_common.store.migrations.versions as versions
from reference.markdown import code, prose, table
from tapedeck_common.store.editions import ROLLUPS

_FOLDER = Path(versions.__file__).parent
_STATEMENT = re.compile(
    r"CREATE TABLE (?P<created>\w+) \((?P<body>.*?)\n?\)(?: WITH \([^)]*\))?;"
    r"|ALTER TABLE (?P<altered>\w+) (?P<changes>ADD (?:COLUMN )?\w+ (?!KEY).*?)(?:;|\"\))"
    r"|COMMENT ON TABLE (?P<about>\w+) IS '(?P<said>(?:[^']|'')*)'"
    r"|COMMENT ON COLUMN (?P<of>\w+)\.(?P<column>\w+) IS '(?P<text>(?:[^']|'')*)'",
    re.DOTALL,
)
_COLUMN = re.compile(r'^(?P<name>"?\w+"?)\s+(?P<type>\w+(?:\[\])?)')
# By heading: what a statement is for, and the statement. RUN and OTHER stand for ids of runs.
QUERIES: dict[str, tuple[tuple[str, str], ...]] = {
    "Bars": (
        (
            "The last bar of each symbol, by its key. Without the condition it is that of each series:",
            """
SELECT b.* FROM bar_series AS s
JOIN bars AS b ON (b.exchange, b.symbol, b.interval, b.ts) = (s.exchange, s.symbol, s.interval, s.last_ts)
WHERE s.interval = '1m' ORDER BY b.exchange, b.symbol
""",
        ),
        (
            "Bars of a span, with their opens as text:",
            """
SELECT to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS opens, open, high, low, close, volume FROM bars
WHERE exchange = 'coinbase' AND symbol = 'BTC/USD' AND interval = '1m'
  AND ts >= '2018-04-04T00:00:00Z' AND ts < '2018-04-05T00:00:00Z' ORDER BY ts
""",
        ),
        (
            "Hours made of minutes, with the number of minutes in each; `'15 minutes'` is another length:",
            """
SELECT date_bin('1 hour', ts, timestamptz 'epoch') AS opens, (array_agg(open ORDER BY ts))[1] AS open,
       max(high) AS high, min(low) AS low, (array_agg(close ORDER BY ts DESC))[1] AS close, sum(volume) AS volume,
       count(*) AS minutes
FROM bars WHERE exchange = 'coinbase' AND symbol = 'BTC/USD' AND interval = '1m' GROUP BY 1 ORDER BY 1
""",
        ),
        (
            "The same hours by a view:",
            """
SELECT bucket, open, high, low, close, volume FROM bars_1h
WHERE exchange = 'coinbase' AND symbol = 'BTC/USD' ORDER BY bucket
""",
        ),
        (
            "Days of another time zone:",
            """
SELECT date_trunc('day', ts, 'America/New_York') AS day, max(high) AS high, min(low) AS low, sum(volume) AS volume
FROM bars WHERE exchange = 'coinbase' AND symbol = 'BTC/USD' AND interval = '1m' GROUP BY 1 ORDER BY 1
""",
        ),
        (
            "The return of each hour, in percent:",
            """
SELECT bucket, close, 100 * (close / nullif(lag(close) OVER (ORDER BY bucket), 0) - 1) AS return_percent
FROM bars_1h WHERE exchange = 'coinbase' AND symbol = 'BTC/USD' ORDER BY bucket
""",
        ),
        (
            "The correlation of two symbols by the logarithmic returns of their common hours:",
            """
WITH moves AS (
    SELECT symbol, bucket, ln(close / lag(close) OVER (PARTITION BY symbol ORDER BY bucket)) AS move
    FROM bars_1h WHERE exchange = 'coinbase' AND symbol IN ('BTC/USD', 'ETH/USD') AND close > 0
)
SELECT corr(a.move, b.move) AS correlation, count(*) AS hours FROM moves AS a JOIN moves AS b USING (bucket)
WHERE a.symbol = 'BTC/USD' AND b.symbol = 'ETH/USD'
""",
        ),
        (
            "The spread of one symbol between two exchanges, where both have the bar:",
            """
SELECT ts, a.close AS coinbase, b.close AS kraken, a.close - b.close AS spread,
       10000 * (a.close / nullif(b.close, 0) - 1) AS basis_points
FROM bars AS a JOIN bars AS b USING (symbol, interval, ts)
WHERE a.exchange = 'coinbase' AND b.exchange = 'kraken' AND symbol = 'BTC/USD' AND interval = '1m' ORDER BY ts
""",
        ),
    ),
    "Trades and points": (
        (
            "Trades in their order:",
            """
SELECT * FROM trades WHERE exchange = 'binance' AND symbol = 'BTC/USDT' ORDER BY ts, seq, length(id), id
""",
        ),
        (
            "What takers bought and sold in each minute, and the mean price weighted by amount:",
            """
SELECT date_bin('1 minute', ts, timestamptz 'epoch') AS opens, count(*) AS trades,
       sum(amount) FILTER (WHERE side = 'buy') AS bought, sum(amount) FILTER (WHERE side = 'sell') AS sold,
       sum(price * amount) / sum(amount) AS vwap
FROM trades WHERE exchange = 'binance' AND symbol = 'BTC/USDT' GROUP BY 1 ORDER BY 1
""",
        ),
        (
            "The results of a transform beside the bars that they are of. A retracted result is null:",
            """
SELECT ts, b.close, p.value AS sma5 FROM bars AS b JOIN points AS p USING (exchange, symbol, interval, ts)
WHERE exchange = 'replay.transforms' AND symbol = 'BTC/USD' AND interval = '1m' AND p.series = 'sma5' ORDER BY ts
""",
        ),
    ),
    "Holes": (
        (
            "Where a series has no bars between its first and its last:",
            """
SELECT ts + '1 minute'::interval AS missing_from, following AS missing_to,
       (extract(epoch FROM following - ts) / 60)::int8 - 1 AS bars
FROM (SELECT ts, lead(ts) OVER (ORDER BY ts) AS following FROM bars
      WHERE exchange = 'coinbase' AND symbol = 'BTC/USD' AND interval = '1m') AS pairs
WHERE following > ts + '1 minute'::interval ORDER BY ts
""",
        ),
        (
            "What exchanges and files lack, as Feeds noted it; `trades` is the number of missing ones:",
            """
SELECT exchange, symbol, interval, start_ts, end_ts, state, trades FROM gaps
WHERE state <> 'filled' ORDER BY exchange, symbol, interval, start_ts
""",
        ),
        (
            "What was refused or lost, the newest first:",
            "SELECT at, feed, exchange, symbol, place, reason, rows FROM ingest_errors ORDER BY at DESC LIMIT 20",
        ),
    ),
    "Runs": (
        (
            "Runs with [figures](figures.md), the newest first:",
            """
SELECT run_id, name, state, strategy, params, started_at, (metrics->>'return_percent')::float8 AS return_percent,
       (metrics->>'max_drawdown_percent')::float8 AS max_drawdown_percent, (metrics->>'trades')::float8 AS trades
FROM runs ORDER BY started_at DESC
""",
        ),
        (
            "The trades of a Backtest's last run:",
            """
SELECT seq, symbol, side, size, entry_ts, entry_price, exit_ts, exit_price, pnl_net, entry_reason, exit_reason
FROM run_trades
WHERE run_id = (SELECT run_id FROM runs WHERE name = 'sma-cross' ORDER BY started_at DESC LIMIT 1) ORDER BY seq
""",
        ),
        (
            "Profit after commission by symbol and side:",
            """
SELECT symbol, side, count(*) AS trades, count(*) FILTER (WHERE pnl_net > 0) AS wins, sum(pnl_net) AS profit,
       avg(pnl_net) AS average, sum(commission) AS commission
FROM run_trades WHERE run_id = 'RUN' GROUP BY 1, 2 ORDER BY profit
""",
        ),
        (
            "Profit by the hour of the entry, UTC:",
            """
SELECT extract(hour FROM entry_ts AT TIME ZONE 'UTC')::int4 AS hour, count(*) AS trades, sum(pnl_net) AS profit
FROM run_trades WHERE run_id = 'RUN' GROUP BY 1 ORDER BY 1
""",
        ),
        (
            "The figures in which two runs differ. With `params` in place of `metrics` it is the params:",
            """
SELECT figure, a.value AS run, b.value AS other
FROM (SELECT key AS figure, value FROM runs, jsonb_each_text(metrics) WHERE run_id = 'RUN') AS a
FULL JOIN (SELECT key AS figure, value FROM runs, jsonb_each_text(metrics) WHERE run_id = 'OTHER') AS b USING (figure)
WHERE a.value IS DISTINCT FROM b.value ORDER BY figure
""",
        ),
        (
            "Trades that only one of two runs made:",
            """
SELECT symbol, side, entry_ts, exit_ts, a.pnl_net AS run, b.pnl_net AS other
FROM (SELECT * FROM run_trades WHERE run_id = 'RUN') AS a
FULL JOIN (SELECT * FROM run_trades WHERE run_id = 'OTHER') AS b USING (symbol, side, entry_ts, exit_ts)
WHERE a.run_id IS NULL OR b.run_id IS NULL ORDER BY entry_ts
""",
        ),
        (
            "At most 500 points of an equity curve, with the extremes of both figures:",
            """
SELECT ts, value, drawdown_percent FROM equity_curve('RUN', '{value,drawdown_percent}', 500) ORDER BY seq
""",
        ),
        (
            "The account at the end of each day:",
            """
SELECT DISTINCT ON (day) date_trunc('day', ts, 'UTC') AS day, value, cash FROM run_equity
WHERE run_id = 'RUN' ORDER BY day, seq DESC
""",
        ),
    ),
    "Sweeps": (
        (
            "The best trials. With `direction: minimize` sort without `DESC`; `win` is the window of a walk-forward:",
            """
SELECT trial, params, objective, (metrics->>'trades')::float8 AS trades FROM run_trials
WHERE run_id = 'RUN' AND win = 0 AND trial >= 0 AND feasible AND objective IS NOT NULL
ORDER BY objective DESC, trial LIMIT 20
""",
        ),
        (
            "What one param, `fast`, does over all others:",
            """
SELECT params->>'fast' AS fast, count(*) AS trials, min(objective) AS worst, avg(objective) AS average,
       max(objective) AS best
FROM run_trials WHERE run_id = 'RUN' AND trial >= 0 AND objective IS NOT NULL
GROUP BY 1 ORDER BY length(params->>'fast'), 1
""",
        ),
        (
            "Of a walk-forward, the best trial of each window in-sample and out-of-sample:",
            """
SELECT o.win, o.start_ts, o.end_ts, o.params, max(i.objective) AS in_sample, o.objective AS out_of_sample
FROM run_trials AS o
LEFT JOIN run_trials AS i ON i.run_id = o.run_id AND i.win = o.win AND i.trial >= 0 AND i.params = o.params
WHERE o.run_id = 'RUN' AND o.trial = -1 GROUP BY o.run_id, o.win, o.trial ORDER BY o.win
""",
        ),
    ),
    "The store": (
        (
            "Size of each table with its keys, and about how many rows it has. On TimescaleDB it adds up the chunks:",
            """
SELECT coalesce(p.relname, c.relname) AS "table", pg_size_pretty(sum(pg_total_relation_size(c.oid))) AS size,
       sum(greatest(c.reltuples, 0))::int8 AS about_rows
FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
WHERE c.relkind = 'r' AND coalesce(p.relnamespace, c.relnamespace) = 'public'::regnamespace
GROUP BY 1 ORDER BY sum(pg_total_relation_size(c.oid)) DESC
""",
        ),
        (
            "Bars of each series by month. It reads the whole table:",
            """
SELECT exchange, symbol, interval, date_trunc('month', ts, 'UTC') AS month, count(*) AS bars FROM bars
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""",
        ),
    ),
}


@dataclass
class StoredTable:
    """A table: what it holds, and the type of each column with what is said of it."""

    about: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    key: str = ""


def stored_tables() -> dict[str, StoredTable]:
    """Name → table, as all migrations leave it."""
    found: dict[str, StoredTable] = {}
    for path in sorted(_FOLDER.glob("0*.py")):
        text = path.read_text().partition("\ndef downgrade")[0]
        for match in _STATEMENT.finditer(text):
            if match["created"]:
                found[match["created"]] = _created(match["body"])
            elif match["altered"]:
                for change in _split(match["changes"]):
                    name, kind = _column(re.sub(r"^ADD (COLUMN )?", "", change))
                    found[match["altered"]].columns[name] = kind
            elif match["about"]:
                found[match["about"]].about = match["said"].replace("''", "'")
            else:
                found[match["of"]].said[match["column"]] = match["text"].replace("''", "'")
    return found


def page() -> str:
    """The page of tables."""
    parts = [
        "# Tables\n",
        "The recorder is the only writer. On a deck `tapedeck sql` and `tapedeck psql` read the tables. On a cluster a "
        "client of PostgreSQL does, with the role of a reader. `POST /api/v1/sql` and the other routes of the API read "
        "them on both. "
        "Times are `timestamptz`: `ts` is a bar's open or a trade's time. `ORDER BY ts` needs a condition on "
        "exchange and "
        "symbol to use the key.\n",
        f"Views {', '.join(code(f'bars_{name}') for name in ROLLUPS)} have minutes rolled up, by `bucket`; on "
        "TimescaleDB they are "
        "continuous aggregates.\n",
        "## Queries\n",
        "They run on PostgreSQL with and without TimescaleDB. Put your exchange, symbol and interval in place of those "
        "here, and ids of the table `runs` in place of `RUN` and `OTHER`. `tapedeck sql - < FILE` runs the statement "
        "of a file.\n",
        *(part for heading, queries in QUERIES.items() for part in _queries(heading, queries)),
    ]
    for name, stored in sorted(stored_tables().items()):
        about = [f"{prose(stored.about)}\n"] if stored.about else []
        rows = [(code(column), kind, prose(stored.said.get(column, ""))) for column, kind in stored.columns.items()]
        parts += [f"## {name}\n", *about, f"Key: {code(stored.key)}\n", table(("column", "type", ""), rows)]
    return "\n".join(parts)


def _queries(heading: str, queries: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"### {heading}\n"
    for what, statement in queries:
        yield f"{what}\n\n```sql\n{statement.strip()}\n```\n"


def _created(body: str) -> StoredTable:
    stored = StoredTable()
    for part in _split(body):
        if part.startswith("PRIMARY KEY"):
            stored.key = part[part.index("(") + 1 : part.rindex(")")]
            continue
        name, kind = _column(part)
        stored.columns[name] = kind
        if "PRIMARY KEY" in part:
            stored.key = name
    return stored


def _column(text: str) -> tuple[str, str]:
    match = _COLUMN.match(text)
    if match is None:
        raise ValueError(f"migration: got {text!r}, expected a column")
    return match["name"].strip('"'), match["type"]


def _split(text: str) -> Iterator[str]:
    """The parts between commas that stand in no parentheses."""
    depth, begin = 0, 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield " ".join(text[begin:place].split())
            begin = place + 1
    yield " ".join(text[begin:].split())
