"""`tapedeck sql`, `psql`, `symbols` and `rm` on the store of a running deck, compared with values by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from decks.process import Deck, apply
from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_deck.cli import psql
from tapedeck_deck.cli.app import app

pytestmark = pytest.mark.slow

Tapedeck = Callable[..., Result]
START = datetime(2018, 4, 4, tzinfo=UTC)
MINUTES = [0, 1, 2, 4, 5, 6, 8, 9]  # of ten: 3 and 7 are missing
TINY, LONG = 1e-07, 6754.119999999999


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def bar(symbol: str, interval: str, opens: datetime, price: float = 1.0) -> Bar:
    return Bar("x", symbol, interval, ms(opens), price, price, price, price, TINY)


@pytest.fixture(scope="module")
def owner(shared_deck: Deck) -> str:
    """The DSN of the tables' owner, of a store with bars of three markets and some trades."""
    home, _, _ = shared_deck
    dsn = (home.migrate / "store_dsn").read_text().strip()
    bars = [bar("A/B", "1m", START + timedelta(minutes=minute), LONG) for minute in MINUTES]
    bars += [bar("A/B", "1h", START)]
    bars += [bar("SPY", "1d", datetime(2023, 1, day, tzinfo=UTC)) for day in (3, 4, 6, 9)]
    # The session of Monday 9 January opens on Sunday at 18:00 of New York, 23:00 UTC; Tuesday has no bar.
    bars += [bar("ES", "1h", datetime(2023, 1, day, hour, tzinfo=UTC)) for day, hour in ((8, 23), (9, 15), (10, 23))]
    insert_bars(dsn, bars)
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO bar_series SELECT exchange, symbol, interval, min(ts), max(ts) FROM bars "
                           "GROUP BY 1, 2, 3")  # fmt: skip
        days = ["Mon", "Tue", "Wed", "Thu", "Fri"]
        for symbol, opens, closes in (("SPY", "09:30", "16:00"), ("ES", "18:00", "17:00")):
            connection.execute("INSERT INTO sessions VALUES ('x', %s, 'America/New_York', %s, %s, %s, now())",
                               (symbol, opens, closes, days))  # fmt: skip
        for number, minutes in enumerate((0, 5, 125)):  # in the first and the third hour
            connection.execute("INSERT INTO trades VALUES ('x', 'A/B', %s, %s, 1, 2, 'buy', 'live')",
                               (START + timedelta(minutes=minutes), str(number)))  # fmt: skip
        for interval, minute, state, trades in (
            ("1m", 3, "unfillable", 0), ("1m", 5, "filled", 0), ("1h", 5, "filled", 0), ("", 1, "open", 5),
            ("", 2, "filled", 9),
        ):  # fmt: skip
            begin = START + timedelta(minutes=minute)
            connection.execute("INSERT INTO gaps VALUES ('x', 'A/B', %s, %s, %s, %s, %s)",
                               (interval, begin, begin + timedelta(minutes=1), state, trades))  # fmt: skip
    return dsn


@pytest.fixture
def tapedeck(shared_deck: Deck, owner: str) -> Tapedeck:
    home, _, _ = shared_deck
    return lambda *words: CliRunner().invoke(app, ["--home", str(home.root), *words], prog_name="tapedeck")


def rows(tapedeck: Tapedeck, statement: str) -> Any:
    answer = tapedeck("sql", statement, "-o", "json")
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


def test_sql_prints_rows_to_the_last_digit(tapedeck: Tapedeck) -> None:
    statement = "SELECT ts, close, volume, 'infinity'::timestamptz AS never FROM bars WHERE interval = '1m' ORDER BY 1"
    found = rows(tapedeck, statement)
    assert [row["ts"] for row in found] == [f"2018-04-04T00:0{minute}:00Z" for minute in MINUTES]
    assert {(row["close"], row["volume"], row["never"]) for row in found} == {(LONG, TINY, "infinity")}
    lines = tapedeck("sql", statement, "-o", "csv").stdout.splitlines()
    assert lines[:2] == ["ts,close,volume,never", f"2018-04-04T00:00:00Z,{LONG!r},{TINY!r},infinity"]
    table = tapedeck("sql", "SELECT '%' AS text, 1 AS one -- 100 %")
    assert (table.stdout, table.stderr) == ("TEXT   ONE\n%      1\n", "(1 row)\n")
    assert rows(tapedeck, "SHOW transaction_read_only") == [{"transaction_read_only": "on"}]
    assert len(rows(tapedeck, "SELECT generate_series(1, 2500) AS n")) == 2500  # several batches


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "SELECT ts,\n       opn FROM bars",
            'error: statement: column "opn" does not exist, at line 2, column 8:\n       opn FROM bars\n       ^\n'
            'hint: Perhaps you meant to reference the column "bars.open".\n',
        ),
        ("SELECT 1; DELETE FROM bars", "error: statement: cannot insert multiple commands into a prepared statement\n"),
        ("SHOW timezone; DROP TABLE bars", "cannot insert multiple commands into a prepared statement\n"),
        ("DELETE FROM bars", "error: statement: got DELETE, expected SELECT, WITH, VALUES, TABLE, EXPLAIN or SHOW"),
        ("WITH gone AS (DELETE FROM bars RETURNING 1) SELECT * FROM gone", "error: statement: "),
        ("EXPLAIN ANALYZE DELETE FROM bars", "error: statement: cannot execute DELETE in a read-only transaction\n"),
        ("SELECT 1 / n FROM generate_series(0, 3) AS n", "error: statement: division by zero\n"),
        (
            "SELECT set_config('transaction_read_only', 'off', false)",
            "transaction read-write mode must be set before any query",
        ),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied for function pg_read_file\n"),
    ],
)
def test_sql_only_reads_and_says_what_is_wrong_and_where(tapedeck: Tapedeck, statement: str, message: str) -> None:
    before = rows(tapedeck, "SELECT count(*) AS n FROM bars")
    answer = tapedeck("sql", statement)
    assert answer.exit_code == 1
    assert message in answer.stderr
    assert rows(tapedeck, "SELECT count(*) AS n FROM bars") == before


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nowhere"])  # without one on PATH the package's own
def test_psql_opens_the_store_as_its_reader(shared_deck: Deck, owner: str, tmp_path: Path, path: str) -> None:
    home, _, _ = shared_deck
    done = subprocess.run(
        [sys.executable, "-c", "from tapedeck_deck.cli import main; main()", "--home", str(home.root), "psql", "--",
         "-XAtc", "SELECT current_user, count(*) FROM bars WHERE interval = '1m'", "-c", "DELETE FROM bars"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={**os.environ, "PGPASSWORD": "wrong", "PATH": path},
    )  # fmt: skip
    assert done.stdout == "tapedeck_reader|8\n"
    assert "permission denied for table bars" in done.stderr


def test_without_psql_there_is_a_prompt(tapedeck: Tapedeck, shared_deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _, _ = shared_deck
    monkeypatch.setattr(psql, "find_psql", lambda: None)
    text = "SELECT count(*)\n  AS n FROM bars;\n\\d\nSELECT nothing;\nSELECT 2 AS two\n"
    answer = CliRunner().invoke(app, ["--home", str(home.root), "psql"], input=text, prog_name="tapedeck")
    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert lines[:2] == ["N", "16"]
    assert any(line.split() == ["bars_1h", "view"] for line in lines)
    assert lines[-2:] == ["TWO", "2"]
    assert 'error: statement: column "nothing" does not exist, at line 1, column 8:' in answer.stderr


def test_symbols_says_what_the_store_has_and_how_whole_it_is(tapedeck: Tapedeck) -> None:
    found = json.loads(tapedeck("symbols", "--exchange", "x", "-o", "json").stdout)
    facts = {
        (each["symbol"], each["interval"]): (
            each["rows"], each["first"], each["last"], each["missing"], each["missingUnit"], each["coverage"],
        )
        for each in found
    }  # fmt: skip
    assert facts == {
        ("A/B", "1m"): (8, "2018-04-04T00:00:00Z", "2018-04-04T00:09:00Z", 2, "bars", 0.8),
        ("A/B", "1h"): (1, "2018-04-04T00:00:00Z", "2018-04-04T00:00:00Z", 0, "bars", 1.0),
        ("A/B", None): (3, "2018-04-04T00:00:00Z", "2018-04-04T02:05:00Z", 5, "trades", 2 / 3),
        # Monday 9 and Wednesday 11 of three trading days
        ("ES", "1h"): (3, "2023-01-08T23:00:00Z", "2023-01-10T23:00:00Z", 1, "trading days", 2 / 3),
        # Tuesday to the next Monday, without Thursday
        ("SPY", "1d"): (4, "2023-01-03T00:00:00Z", "2023-01-09T00:00:00Z", 1, "trading days", 0.8),
    }
    lines = tapedeck("symbols", "--interval", "1m").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["EXCHANGE", "SYMBOL", "OF", "ROWS", "FIRST", "LAST", "MISSING", "COVERAGE"],
        ["x", "A/B", "1m", "8", "2018-04-04T00:00:00Z", "2018-04-04T00:09:00Z", "2", "80.0%"],
    ]
    assert tapedeck("symbols", "--exchange", "none").stdout == "the store has no such series\n"


@pytest.mark.parametrize("words", [["symbols"], ["export", "bars"], ["rm", "bars", "--symbol", "A/B"]])
def test_options_are_text(tapedeck: Tapedeck, words: list[str]) -> None:
    answer = tapedeck(*words, "--exchange", "\udcff")
    assert (answer.exit_code, answer.stderr) == (1, "error: options: got '\\udcff', expected text in UTF-8\n")


def test_rm_asks_and_keeps_the_catalogue_true(tapedeck: Tapedeck, shared_deck: Deck) -> None:
    _, _, objects = shared_deck
    words = ["rm", "bars", "--exchange", "x", "--symbol", "A/B"]
    part = [*words, "--interval", "1m", "--from", "2018-04-04T00:05:00Z", "--to", "2018-04-05"]
    apply(objects, "Feed", "stopped", {"exchange": "x", "symbols": ["A/B"], "suspend": True})
    refused = tapedeck(*part)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [
        "4 bars of x A/B 1m, 2018-04-04T00:05:00Z to 2018-04-04T00:09:00Z",
        "still storing this exchange: Feed stopped; delete it first, else it may bring them back",
        "error: nothing was removed: standard input is no terminal to answer on; add --yes to remove them",
    ]
    objects.delete("Feed", "default", "stopped")

    assert tapedeck(*part, "--yes").stdout == "4 bars removed\n"
    (left,) = json.loads(tapedeck("symbols", "--interval", "1m", "-o", "json").stdout)
    assert (left["rows"], left["last"], left["missing"]) == (4, "2018-04-04T00:04:00Z", 1)
    gaps = rows(tapedeck, "SELECT interval, state FROM gaps ORDER BY 1, 2")
    assert [tuple(each.values()) for each in gaps] == [
        ("", "filled"), ("", "open"), ("1h", "filled"), ("1m", "unfillable"),
    ]  # fmt: skip
    assert tapedeck(*part, "--yes").exit_code == 1  # nothing matches any more

    assert tapedeck(*words, "--yes").stdout == "5 bars removed\n"  # four of 1m, one of 1h
    assert rows(tapedeck, "SELECT interval FROM bar_series WHERE symbol = 'A/B'") == []
    assert tapedeck("rm", "trades", *words[2:], "--to", "2018-04-04T01:00:00Z", "--yes").stdout == "2 trades removed\n"
    assert rows(tapedeck, "SELECT state FROM gaps WHERE interval = ''") == [{"state": "open"}]
    assert rows(tapedeck, "SELECT count(*)::int AS n FROM trades") == [{"n": 1}]
