"""What can be exported: the columns of each kind, their order and the options that choose its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, LiteralString, TypeAlias

from psycopg import sql

Row: TypeAlias = tuple[Any, ...]
"""Values of the columns: texts, numbers, times in milliseconds UTC, documents as JSON text; None for NULL."""


class ColumnType(Enum):
    """What a value is. MARKET_TIME is when something happened on a market, WALL_TIME when it was written down."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    MARKET_TIME = "market time"
    WALL_TIME = "wall time"
    JSON = "json"


_EXPRESSIONS: dict[ColumnType, LiteralString] = {
    ColumnType.TEXT: "{}::text",
    ColumnType.INTEGER: "{}::int8",
    ColumnType.FLOAT: "{}::float8",
    ColumnType.MARKET_TIME: "(date_part('epoch', {}) * 1000)::int8",
    ColumnType.WALL_TIME: "(date_part('epoch', {}) * 1000)::int8",
    ColumnType.JSON: "to_jsonb({})::text",
}


@dataclass(frozen=True)
class ExportColumn:
    """A column of a table."""

    name: str
    type: ColumnType

    @property
    def expression(self) -> sql.Composable:
        """The SQL of its value as a Row has it."""
        return sql.SQL(_EXPRESSIONS[self.type]).format(sql.Identifier(self.name))


@dataclass(frozen=True)
class ExportKind:
    """``time`` is the column that --from and --to choose by; ``order`` the SQL of the order of rows."""

    name: str
    table: str
    columns: tuple[ExportColumn, ...]
    time: str
    order: str

    def columns_named(self, names: Sequence[str]) -> tuple[ExportColumn, ...]:
        """These columns in the given order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in names)

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return any(column.name == name for column in self.columns)


_TYPES = {"t": ColumnType.TEXT, "i": ColumnType.INTEGER, "f": ColumnType.FLOAT, "m": ColumnType.MARKET_TIME,
          "w": ColumnType.WALL_TIME, "j": ColumnType.JSON}  # fmt: skip


def _columns(text: str) -> tuple[ExportColumn, ...]:
    """Columns from words ``name:type``, of which the type is its first letter."""
    return tuple(ExportColumn(name, _TYPES[letter]) for name, letter in (word.split(":") for word in text.split()))


_SERIES = "exchange:t symbol:t interval:t "
_KINDS = (
    ExportKind(
        "bars",
        "bars",
        _columns(_SERIES + "ts:m open:f high:f low:f close:f volume:f rev:i source:t"),
        "ts",
        "exchange, symbol, interval, ts",
    ),
    ExportKind(
        "trades",
        "trades",
        _columns("exchange:t symbol:t ts:m id:t price:f amount:f side:t seq:i source:t"),
        "ts",
        "exchange, symbol, ts, seq, length(id), id",
    ),
    ExportKind(
        "tickers",
        "tickers",
        _columns("exchange:t symbol:t ts:m price:f volume24h:f high24h:f low24h:f bid:f ask:f source:t"),
        "ts",
        "exchange, symbol, ts",
    ),
    ExportKind(
        "points",
        "points",
        _columns(_SERIES + "series:t ts:m id:t value:f open:f high:f low:f volume:f rev:i seq:i source:t"),
        "ts",
        "exchange, symbol, interval, series, ts, seq, length(id), id",
    ),
    ExportKind(
        "runs",
        "runs",
        _columns(
            "run_id:t name:t namespace:t strategy:t exchange:t symbols:j interval:t replay_uid:t cash:f started_at:w "
            "ended_at:w state:t message:t bars:i trials:i trades_hash:t params:j spec:j metrics:j undefined:j "
            "drawdowns:j periods:j analyses:j positions:j orders:j"
        ),
        "started_at",
        "started_at, run_id",
    ),
    ExportKind(
        "run-trades",
        "run_trades",
        _columns(
            "run_id:t seq:i symbol:t side:t size:f entry_ts:m entry_price:f exit_ts:m exit_price:f pnl:f pnl_net:f "
            "commission:f entry_reason:t exit_reason:t"
        ),
        "entry_ts",
        "run_id, seq",
    ),
    ExportKind(
        "run-equity",
        "run_equity",
        _columns("run_id:t seq:i ts:m value:f cash:f change_percent:f drawdown_percent:f sharpe:f"),
        "ts",
        "run_id, seq",
    ),
    ExportKind(
        "gaps",
        "gaps",
        _columns(_SERIES + "start_ts:m end_ts:m state:t trades:i ids:t"),
        "start_ts",
        "exchange, symbol, interval, start_ts",
    ),
    ExportKind(
        "errors",
        "ingest_errors",
        _columns("at:w feed:t exchange:t symbol:t rows:i place:t reason:t payload:t topic:t partition:i offset:i"),
        "at",
        'at, topic, partition, "offset"',
    ),
)
KINDS = {kind.name: kind for kind in _KINDS}
