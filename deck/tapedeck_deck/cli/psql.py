"""`tapedeck psql`: PostgreSQL's own shell on the store, or a small prompt where there is none."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from psycopg import conninfo

from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.cli.sql import run_sql
from tapedeck_deck.cli.store_query import APPLICATION_NAME
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.postgres_account import programs

PROMPT, CONTINUED = "tapedeck=> ", "tapedeck-> "
_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "passfile": "PGPASSFILE"}
_TABLES = """
SELECT table_name AS name, lower(table_type) AS type FROM information_schema.tables
WHERE table_schema = 'public' ORDER BY 1
"""


def open_shell(dsn: str, arguments: list[str]) -> None:
    """Become psql with the store's connection; without psql, read statements until the end of the input."""
    program = find_psql()
    if program is not None:
        os.execve(program, [program, *arguments], shell_environment(dsn, os.environ))
    if arguments:
        raise DeckError(
            f"psql: got {arguments[0]}, but there is no psql on PATH to take it; `tapedeck sql` runs statements"
        )
    print_note("no psql on PATH: end a statement with ;  \\d lists tables, \\q quits")
    prompt(dsn)


def find_psql() -> str | None:
    """The path of psql: on PATH, else that of the embedded database's package; None without one."""
    if (found := shutil.which("psql")) is not None:
        return found
    try:
        packaged = programs(None) / "psql"
    except DeckError:
        return None
    return str(packaged) if packaged.is_file() and os.access(packaged, os.X_OK) else None


def shell_environment(dsn: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of psql: the connection, with its password by file, and none of another connection."""
    parts = {name: str(value) for name, value in conninfo.conninfo_to_dict(dsn).items()}
    if unknown := parts.keys() - _VARIABLES.keys():
        raise ValueError(f"DSN: got {', '.join(sorted(unknown))}, expected {', '.join(_VARIABLES)}")
    kept = {name: value for name, value in inherited.items() if not name.startswith("PG")}
    own = {_VARIABLES[name]: value for name, value in parts.items()}
    return kept | own | {"PGAPPNAME": APPLICATION_NAME, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"}


def prompt(dsn: str) -> None:
    """Run statements of the standard input, each up to its semicolon, until its end or \\q; errors end none of it."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - input() then has a history
    lines: list[str] = []
    while True:
        try:
            line = input((CONTINUED if lines else PROMPT) if sys.stdin.isatty() else "")
        except EOFError:
            break
        if not lines and line.strip() in ("\\q", "exit", "quit"):
            return
        lines.append(_TABLES + ";" if not lines and line.strip() == "\\d" else line)
        if line.rstrip().endswith(";") or lines[0].startswith(_TABLES):
            _run(dsn, "\n".join(lines))
            lines = []
    if any(line.strip() for line in lines):
        _run(dsn, "\n".join(lines))


def _run(dsn: str, statement: str) -> None:
    try:
        run_sql(dsn, statement, "table")
    except DeckError as error:
        print_note(f"error: {error}")
