"""`tapedeck export` from the store of a running deck: each kind, and bars and trades that are imported again."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pandas as pd
import psycopg
import pytest
from typer.testing import CliRunner, Result

from decks.process import Deck, apply, eventually, reaches
from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_crds.json import Json
from tapedeck_deck.cli.app import app

pytestmark = pytest.mark.slow

Export = Callable[..., Result]
START = 1_522_800_000_000  # 2018-04-04T00:00:00Z
MINUTE, DAY = 60_000, 86_400_000
BARS = 21_000  # more than a batch
# Of the ids of trades, 10 would come before 9 by text.
ROWS = (
    "INSERT INTO bar_series SELECT exchange, symbol, interval, min(ts), max(ts) FROM bars GROUP BY 1, 2, 3",
    "INSERT INTO trades SELECT 'x', 'A/B', '2018-04-04T00:00:00.001Z', id, price, 1e-07, 'buy', 'live' "
    "FROM (VALUES ('9', 0.1), ('10', 0.30000000000000004)) AS t(id, price)",
    "INSERT INTO tickers VALUES ('x', 'A/B', '2018-04-04Z', 1, 2, NULL, NULL, NULL, NULL, 'live')",
    "INSERT INTO points (exchange, symbol, interval, series, ts, id, rev, source) "
    "VALUES ('x', 'A/B', '1m', 'sma', '2018-04-04Z', '', 0, 'live')",
    "INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval, replay_uid, cash, "
    "started_at) SELECT id, 'cross', 'd', 's', '{\"a\": 1.10}', '{}', 'x', '{A/B,C}', '1m', '', 1, at::timestamptz "
    "FROM (VALUES ('r1', '2020-01-01Z'), ('r2', '2020-01-02Z')) AS r(id, at)",
    "INSERT INTO run_equity SELECT run_id, 0, '2018-04-04Z', 1.5, 2 FROM runs",
    "INSERT INTO run_trades VALUES ('r2', 0, 'A/B', 'long', 1, '2018-04-04Z', 1, '2018-04-05Z', 2, 1, 1, 0)",
    "INSERT INTO gaps VALUES ('x', 'A/B', '1m', '2018-04-03Z', '2018-04-04Z', 'unfillable')",
    'INSERT INTO ingest_errors (topic, partition, "offset", at, reason, payload, rows) '
    "VALUES ('t', 0, 0, '2020-01-01Z', 'why', E'two\\nlines', 3)",
)


def random_double(rng: Random) -> float:
    """A double between 1 and 65536 with a random mantissa, which needs up to 17 digits."""
    bits = (1023 + rng.randrange(16)) << 52 | rng.getrandbits(52)
    return float(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


def market() -> list[Bar]:
    rng = Random(17)
    bars = []
    for i in range(BARS):
        low, opened, closed, high = sorted(random_double(rng) for _ in range(4))
        bars.append(Bar("x", "A/B", "1m", START + i * MINUTE, opened, high, low, closed, random_double(rng)))
    return bars


@pytest.fixture(scope="module")
def bars() -> list[Bar]:
    return market()


@pytest.fixture(scope="module")
def owner(shared_deck: Deck, bars: list[Bar]) -> str:
    """The DSN of the tables' owner, with a row or more of each kind in the store."""
    home, _, _ = shared_deck
    dsn = (home.migrate / "store_dsn").read_text().strip()
    insert_bars(dsn, [*bars, Bar("y", "C", "1d", START, 1.0, 1.0, 1.0, 1.0, 1.0)])
    with psycopg.connect(dsn) as connection:
        for statement in ROWS:
            connection.execute(statement.encode())
    return dsn


@pytest.fixture
def export(shared_deck: Deck, owner: str) -> Export:
    home, _, _ = shared_deck
    return lambda *words: CliRunner().invoke(app, ["--home", str(home.root), "export", *words], prog_name="tapedeck")


def objects_of(answer: Result) -> list[Json]:
    assert answer.exit_code == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["trades", "--symbol", "A/B"], [{"id": "9", "price": 0.1, "ts": "2018-04-04T00:00:00.001Z"},
                                         {"id": "10", "price": 0.30000000000000004, "amount": 1e-07, "seq": 0}]),
        (["tickers"], [{"exchange": "x", "price": 1.0, "volume24h": 2.0, "bid": None}]),
        (["points", "--interval", "1m"], [{"series": "sma", "value": None}]),
        (["runs", "--symbol", "C"], [{"params": {"a": 1.1}}, {"symbols": ["A/B", "C"], "ended_at": None}]),
        (["runs", "--run", "r1"], [{"run_id": "r1", "started_at": "2020-01-01T00:00:00Z"}]),
        (["run-trades", "--run", "cross"], [{"run_id": "r2", "exit_ts": "2018-04-05T00:00:00Z", "pnl": 1.0}]),
        (["run-equity", "--run", "cross"], [{"run_id": "r2", "value": 1.5, "sharpe": None}]),
        (["gaps", "--exchange", "x"], [{"start_ts": "2018-04-03T00:00:00Z", "state": "unfillable", "trades": 0}]),
        (["errors"], [{"at": "2020-01-01T00:00:00Z", "rows": 3, "payload": "two\nlines", "offset": 0}]),
        (["bars", "--exchange", "y", "--symbol", "A/B,C"], [{"symbol": "C", "interval": "1d"}]),
        (["bars", "--from", "2018-04-04T00:01:00Z", "--to", "2018-04-04T00:02:00Z"], [{"ts": "2018-04-04T00:01:00Z"}]),
    ],
)  # fmt: skip
def test_each_kind_and_what_its_options_choose(export: Export, words: list[str], facts: list[Json]) -> None:
    found = objects_of(export(*words, "--format", "jsonl"))
    assert [{name: row[name] for name in fact} for row, fact in zip(found, facts, strict=True)] == facts


def test_nothing_that_matches_is_an_error_and_leaves_no_file(export: Export, tmp_path: Path) -> None:
    answer = export("bars", "--exchange", "none", "-o", str(tmp_path / "bars.parquet"))
    assert (answer.exit_code, answer.stderr) == (
        1, "error: no bars match; `tapedeck symbols` lists what the store has\n",
    )  # fmt: skip
    assert export("runs", "--run", "none").stderr.startswith("error: --run: got 'none', expected the id of a run")
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_every_bar_to_the_last_digit(export: Export, bars: list[Bar], tmp_path: Path) -> None:
    answer = export("bars", "--exchange", "x", "-o", str(tmp_path / "bars"), "--partition", "symbol,month")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert answer.stderr.endswith(f"21,000 bars exported to {tmp_path / 'bars'} as parquet\n")
    frame = pd.read_parquet(tmp_path / "bars", filters=[("symbol", "=", "A/B")]).sort_values("ts")
    columns = [frame[name].tolist() for name in ("open", "high", "low", "close", "volume")]
    assert list(zip(*columns, strict=True)) == [(b.open, b.high, b.low, b.close, b.volume) for b in bars]
    assert frame["ts"].astype("int64").tolist() == [b.ts for b in bars]
    # 21,000 minutes from 4 April end on the 18th.
    assert [path.name for path in (tmp_path / "bars" / "symbol=A%2FB").iterdir()] == ["month=2018-04"]


def test_pipes_get_binary_formats_and_may_be_closed_early(shared_deck: Deck, owner: str, bars: list[Bar]) -> None:
    home, _, _ = shared_deck
    command = [sys.executable, "-c", "from tapedeck_deck.cli import main; main()", "--home", str(home.root), "export"]
    words = ["bars", "--exchange", "x", "--symbol", "A/B", "--interval", "1m", "-o", "-"]
    done = subprocess.run([*command, *words, "--format", "parquet"], capture_output=True, timeout=120, check=True)
    assert pd.read_parquet(io.BytesIO(done.stdout))["close"].tolist() == [bar.close for bar in bars]
    with subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"ts,open,high,low,close,volume\n"
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_csv_and_lean_come_back_by_feeds_from_files_as_they_were(
    shared_deck: Deck, owner: str, export: Export, tmp_path: Path
) -> None:
    _, _, objects = shared_deck
    series = ["--exchange", "x", "--symbol", "A/B"]
    assert export("bars", *series, "--interval", "1m", "-o", str(tmp_path / "bars.csv")).exit_code == 0
    assert export("trades", *series, "-o", str(tmp_path / "trades.csv")).exit_code == 0
    assert export("bars", *series, "--format", "lean", "-o", str(tmp_path)).exit_code == 0
    paths = {"bars": "bars.csv", "trades": "trades.csv", "lean": "crypto/x/minute/ab/*_trade.zip"}
    for name, path in paths.items():
        files = {"exchange": name, "interval": "1m", "sets": [{"symbol": "A/B", "path": path}]}
        source = {"files": files | ({"format": "lean"} if name == "lean" else {})}
        apply(objects, "Feed", f"of-{name}", {"source": source}, tmp_path)
    for name in paths:
        reaches(objects, "Feed", f"of-{name}", "Complete", "Failed")
    of_bars = "symbol, interval, ts, open, high, low, close, volume"
    for name, table, columns, count in (
        ("bars", "bars", of_bars, BARS),
        ("lean", "bars", of_bars, BARS),
        ("trades", "trades", "ts, id, price, amount, side", 2),
    ):
        same = (
            f"SELECT count(*) FROM (SELECT {columns} FROM {table} WHERE exchange = 'x' INTERSECT "  # noqa: S608
            f"SELECT {columns} FROM {table} WHERE exchange = '{name}') AS both_have"
        )
        eventually(partial(_counts, owner, same, count))


def _counts(dsn: str, query: str, count: int) -> bool:
    return counted(dsn, query) == count


def counted(dsn: str, query: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
