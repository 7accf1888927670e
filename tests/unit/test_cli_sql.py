"""Statements of `tapedeck sql`, how their rows are printed, and the connection that psql gets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TextIO

import pytest
import yaml

from decks.command import NOT_RUNNING, Run
from tapedeck_common.store.user_statement import first_word
from tapedeck_deck.cli.psql import find_psql, shell_environment
from tapedeck_deck.cli.sql import print_csv, print_json, print_table, print_yaml
from tapedeck_deck.cli.statement import StatementResult, running
from tapedeck_deck.embedded.errors import DeckError

BIG, EXACT = Decimal("123456789012345678901234567890"), Decimal("0.1234567890123456789")
ROWS: list[tuple[Any, ...]] = [
    ("BTC/USD", 0.1, 1e-07, True, None, [1, 2.5]),
    ('a "b", c', 6754.119999999999, 1e22, False, BIG, {"k": EXACT}),
    ("two\nlines", float("nan"), float("-inf"), None, EXACT, []),
]
COLUMNS = ["name", "one", "two", "flag", "exact", "list"]


def printed(print_: Callable[[StatementResult, TextIO], int], columns: list[str] = COLUMNS) -> str:
    out = io.StringIO()
    assert print_(StatementResult(columns, iter([ROWS[:2], ROWS[2:]])), out) == 3
    return out.getvalue()


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("select 1", "SELECT"),
        ("  -- why\n\t/* and\nhow */ ((With x AS (SELECT 1) SELECT * FROM x))", "WITH"),
        ("-- nothing else", ""),
        ("", ""),
        ("DROP TABLE bars", "DROP"),
        ("/* SELECT */ DELETE FROM bars", "DELETE"),
    ],
)
def test_the_first_word_of_a_statement(statement: str, word: str) -> None:
    assert first_word(statement) == word


@pytest.mark.parametrize("statement", ["SELECT 1\0; and more", "SELECT '\udcff'"])
def test_a_statement_is_text(statement: str) -> None:
    with pytest.raises(DeckError, match="statement: got a NUL or bytes that are not UTF-8"), running("", statement):
        pytest.fail("ran")


def test_csv_has_every_digit() -> None:
    header, *rows = csv.reader(io.StringIO(printed(print_csv)))
    assert header == COLUMNS
    assert rows[0] == ["BTC/USD", "0.1", "1e-07", "true", "", "[1, 2.5]"]
    assert rows[1][:5] == ['a "b", c', "6754.119999999999", "1e+22", "false", str(BIG)]
    assert rows[2][0] == "two\nlines"
    assert [float(row[1]) for row in rows[:2]] == [0.1, 6754.119999999999]


def test_json_is_valid_and_has_every_digit() -> None:
    first, second, third = json.loads(printed(print_json), parse_constant=pytest.fail)
    assert first == {"name": "BTC/USD", "one": 0.1, "two": 1e-07, "flag": True, "exact": None, "list": [1, 2.5]}
    assert (second["exact"], second["list"]) == (int(BIG), {"k": str(EXACT)})
    assert (third["one"], third["two"], third["exact"]) == ("NaN", "-Infinity", str(EXACT))


def test_yaml_has_the_same_rows_as_json() -> None:
    assert yaml.safe_load(printed(print_yaml)) == json.loads(printed(print_json))


@pytest.mark.parametrize("print_rows", [print_json, print_yaml])
def test_no_rows_are_an_empty_list(print_rows: Callable[[StatementResult, TextIO], int]) -> None:
    out = io.StringIO()
    assert print_rows(StatementResult(["a"], iter([])), out) == 0
    assert yaml.safe_load(out.getvalue()) == []


def test_json_refuses_two_columns_of_one_name() -> None:
    with pytest.raises(DeckError, match="got the column a twice, expected distinct names; name them with AS"):
        printed(print_json, ["a", "b", "c", "a", "d", "e"])


def test_a_table_has_one_header_and_escapes_control_characters() -> None:
    lines = printed(print_table).splitlines()
    assert lines[0].split() == [name.upper() for name in COLUMNS]
    assert lines[1].split() == ["BTC/USD", "0.1", "1e-07", "true", "[1,", "2.5]"]
    assert len(lines) == 4
    assert lines[3].startswith("two\\nlines")


def test_psql_gets_the_connection_by_environment_without_its_secret() -> None:
    dsn = "postgresql://tapedeck_reader@/tapedeck?host=%2Fa%20deck%2Fpostgres&passfile=%2Fa%20deck%2Fp%2Freader"
    inherited = {"PATH": "/bin", "PGPASSWORD": "other", "PGHOST": "elsewhere", "PGSERVICE": "x", "TERM": "xterm"}
    assert shell_environment(dsn, inherited) == {
        "PATH": "/bin",
        "TERM": "xterm",
        "PGHOST": "/a deck/postgres",
        "PGUSER": "tapedeck_reader",
        "PGDATABASE": "tapedeck",
        "PGPASSFILE": "/a deck/p/reader",
        "PGAPPNAME": "tapedeck-cli",
        "PGTZ": "UTC",
        "PGCLIENTENCODING": "UTF8",
    }


def test_psql_of_the_database_package_stands_in_for_one_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = find_psql()
    assert found is not None
    assert found.endswith("pginstall18/bin/psql")


def test_commands_on_the_store_need_a_running_deck(run: Run) -> None:
    for words in (
        ("sql", "SELECT 1"),
        ("psql",),
        ("symbols",),
        ("rm", "bars", "--exchange", "x", "--symbol", "A/B"),
    ):
        answer = run(*words)
        assert (answer.exit_code, answer.stdout, answer.stderr) == (1, "", f"error: {NOT_RUNNING}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sql", "SELECT 1", "-o", "xml"], "got 'xml', expected table, csv, yaml or json"),
        (["symbols", "-o", "csv"], "got 'csv', expected table, wide, yaml, json or name"),
        (["rm", "candles", "--exchange", "x", "--symbol", "a"], "got 'candles', expected bars or trades"),
        (["rm", "trades", "--exchange", "x", "--symbol", "a", "--interval", "1m"], "beside trades, which have none"),
        (["rm", "bars", "--exchange", "x", "--symbol", "a", "--interval", "7m"], "got '7m', expected one of 1s, 1m"),
    ],
)
def test_wrong_options_are_usage_errors(run: Run, words: list[str], message: str) -> None:
    answer = run(*words)
    assert answer.exit_code == 2
    assert message in " ".join(answer.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2018-04-05", "2018-04-05", "--to: got 2018-04-05, expected a time after --from (2018-04-05)"),
        ("noon", None, "--from: got 'noon', expected a time with an offset"),
    ],
)
def test_wrong_ranges_are_told(run: Run, start: str, end: str | None, message: str) -> None:
    words = ["rm", "bars", "--exchange", "x", "--symbol", "a", "--from", start, *(["--to", end] if end else [])]
    answer = run(*words)
    assert answer.exit_code == 2
    assert message in answer.stderr
