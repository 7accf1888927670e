"""Which rows of a kind are exported, and the statement that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.exports.kinds import ExportColumn, ExportKind
from tapedeck_deck.embedded.errors import DeckError

_LAST_RUN = """
SELECT run_id FROM runs WHERE run_id = %(run)s OR name = %(run)s ORDER BY run_id = %(run)s DESC, started_at DESC LIMIT 1
"""


@dataclass(frozen=True)
class ExportSelection:
    """The values of the options; None chooses all. Times are milliseconds UTC, ``end`` is exclusive."""

    exchange: str | None = None
    symbols: tuple[str, ...] | None = None
    interval: str | None = None
    run: str | None = None
    start: int | None = None
    end: int | None = None

    def check(self, kind: ExportKind) -> None:
        """Raises WrongArgument for an option that chooses by a column which the kind lacks."""
        chosen = {"exchange": self.exchange, "symbol": self.symbols, "interval": self.interval, "run": self.run}
        for option, value in chosen.items():
            if value is not None and _filter_column(kind, option) is None:
                raise WrongArgument(f"--{option}: {kind.name} are not chosen by it; leave it out")

    def is_one_series(self, kind: ExportKind) -> bool:
        """Whether all rows are of one exchange, symbol and (where the kind has it) interval."""
        return (
            self.exchange is not None
            and self.symbols is not None
            and len(self.symbols) == 1
            and (self.interval is not None or not kind.has("interval"))
        )


def statement(kind: ExportKind, columns: Sequence[ExportColumn], selection: ExportSelection) -> sql.Composed:
    """The query of these columns, in the kind's order."""
    # Without names of their own: ORDER BY means the columns of the table, of which there is an index.
    expressions = [each.expression for each in columns]
    return sql.SQL("SELECT {columns} FROM {table}{where} ORDER BY {order}").format(
        columns=sql.SQL(", ").join(expressions),
        table=sql.Identifier(kind.table),
        where=_where(kind, selection),
        order=sql.SQL(kind.order),
    )


def run_id_of(connection: psycopg.Connection[Any], run: str) -> str:
    """The run with this id, or the last one of the Backtest with this name. Raises DeckError."""
    row = connection.execute(_LAST_RUN, {"run": run}).fetchone()
    if row is None:
        raise DeckError(f"--run: got {run!r}, expected the id of a run, or its Backtest's name, in the store")
    return str(row[0])


def _where(kind: ExportKind, selection: ExportSelection) -> sql.Composable:
    time = sql.Identifier(kind.time)
    parts: list[sql.Composable] = []
    for option, value in (("exchange", selection.exchange), ("interval", selection.interval), ("run", selection.run)):
        if value is not None:
            name = _filter_column(kind, option) or option
            parts.append(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)))
    if selection.symbols is not None:
        template = "{} && {}::text[]" if kind.has("symbols") else "{} = ANY({}::text[])"
        name = "symbols" if kind.has("symbols") else "symbol"
        parts.append(sql.SQL(template).format(sql.Identifier(name), sql.Literal(list(selection.symbols))))
    for sign, limit in ((">=", selection.start), ("<", selection.end)):
        if limit is not None:
            parts.append(sql.SQL("{} " + sign + " to_timestamp({}::int8 / 1000.0)").format(time, sql.Literal(limit)))
    return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(parts) if parts else sql.SQL("")


def _filter_column(kind: ExportKind, option: str) -> str | None:
    names = {"symbol": ("symbol", "symbols"), "run": ("run_id",)}.get(option, (option,))
    return next((name for name in names if kind.has(name)), None)
