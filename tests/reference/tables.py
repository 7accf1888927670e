"""The tables of the store, read from the migrations' SQL; a test compares them with a real database."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
_QUERIES = (
    (
        "the last bar of each series",
        "SELECT DISTINCT ON (exchange, symbol) * FROM bars ORDER BY exchange, symbol, ts DESC",
    ),
    ("trades in their order", "SELECT * FROM trades WHERE symbol = 'BTC/USDT' ORDER BY ts, seq, length(id), id"),
    ("what was refused", "SELECT at, feed, place, reason, rows FROM ingest_errors ORDER BY at DESC LIMIT 20"),
    ("what is missing", "SELECT * FROM gaps WHERE state <> 'filled' ORDER BY start_ts"),
    ("runs with a figure", "SELECT name, metrics->>'return_percent' FROM runs ORDER BY started_at DESC"),
    ("at most 500 points of a run's equity", "SELECT ts, value FROM equity_curve('RUN', '{value}', 500)"),
    ("the best trials of a sweep", "SELECT trial, params, objective FROM run_trials WHERE run_id = 'RUN' AND feasible"),
)


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
        "The recorder is the only writer. `tapedeck sql` and `tapedeck psql` read them on a deck, `GET "
        "/api/v1/…` on both. "
        "Times are `timestamptz`: `ts` is a bar's open or a trade's time. `ORDER BY ts` needs a condition on "
        "exchange and "
        "symbol to use the key.\n",
        f"Views {', '.join(code(f'bars_{name}') for name in ROLLUPS)} have minutes rolled up, by `bucket`; on "
        "TimescaleDB they are "
        "continuous aggregates.\n",
        "## Queries\n",
        table(("for", "statement"), ((what, code(statement)) for what, statement in _QUERIES)),
    ]
    for name, stored in sorted(stored_tables().items()):
        about = [f"{prose(stored.about)}\n"] if stored.about else []
        rows = [(code(column), kind, prose(stored.said.get(column, ""))) for column, kind in stored.columns.items()]
        parts += [f"## {name}\n", *about, f"Key: {code(stored.key)}\n", table(("column", "type", ""), rows)]
    return "\n".join(parts)


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
