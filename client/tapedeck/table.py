"""A table of market data: Arrow inside, and a step away from pandas, polars and DuckDB."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tapedeck.display.chart import Chart
from tapedeck.display.html import rows_html
from tapedeck.errors import BadRequest, PackageMissing

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars

SHOWN_ROWS = 5  # at each end of a long table
TIMES = frozenset({"ts", "entry_ts", "exit_ts"})
TIMESTAMP = pa.timestamp("ms", tz="UTC")


class MarketTable:
    """Rows of market data in columns. ``arrow`` is the pyarrow.Table; times are timestamps in UTC, of ``td.sql`` to
    the microsecond.

    Programs that read Arrow take it as it is: ``polars.from_arrow(table)``, ``pandas.DataFrame.from_arrow(table)``. In
    Jupyter it shows its first and last rows, and a chart where it has prices.
    """

    def __init__(self, arrow: pa.Table, title: str = "", times: Collection[str] = TIMES) -> None:
        """``times`` are the columns that are times, also where they are numbers of milliseconds."""
        self.arrow = _with_times(arrow, times)
        self.title = title

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, Any]], title: str = "", times: Collection[str] = TIMES) -> MarketTable:
        """A table of rows. It has the columns of all rows, null in those that lack one."""
        names = dict.fromkeys(name for row in rows for name in row)
        return cls(pa.table({name: _column([row.get(name) for row in rows]) for name in names}), title, times)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.arrow.column_names)

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __getitem__(self, column: str) -> Any:
        """A column, as pyarrow.ChunkedArray. Raises BadRequest."""
        found = self.arrow.schema.get_all_field_indices(column)
        if not found:
            raise BadRequest(f"column: got {column!r}, expected one of {', '.join(self.columns)}")
        if len(found) > 1:
            raise BadRequest(f"column: got {column!r}, expected the name of one column; {len(found)} have it")
        return self.arrow.column(found[0])

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The PyCapsule interface of Arrow."""
        return self.arrow.__arrow_c_stream__(requested_schema)

    def to_rows(self) -> list[dict[str, Any]]:
        """The rows by column; times are aware datetimes."""
        rows: list[dict[str, Any]] = self.arrow.to_pylist()
        return rows

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas.DataFrame, whose index is ``ts`` where the table has it. Raises PackageMissing."""
        _require("pandas")
        frame: pandas.DataFrame = self.arrow.to_pandas()
        return frame.set_index("ts") if "ts" in frame.columns else frame

    def to_polars(self) -> polars.DataFrame:
        """A polars.DataFrame, which shares the memory. Raises PackageMissing."""
        frame: polars.DataFrame = _require("polars").from_arrow(self.arrow)
        return frame

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """A DuckDB relation over the same memory, in ``connection`` or the default one. Raises PackageMissing."""
        module = _require("duckdb")
        relation: duckdb.DuckDBPyRelation = (connection or module).from_arrow(self.arrow)
        return relation

    def plot(self) -> Chart:
        """A chart of the closes, values or prices over time. Raises BadRequest where the table has none."""
        column = next((name for name in ("close", "value", "price") if name in self.columns), None)
        if column is None or "ts" not in self.columns:
            raise BadRequest(f"table: got columns {', '.join(self.columns)}, expected ts with close, value or price")
        return Chart.of_columns(self.title, self._lines(column))

    def _lines(self, column: str) -> list[tuple[str, list[int], list[float | None]]]:
        times = self._cast("ts", TIMESTAMP, "times").cast(pa.int64())
        values = self._cast(column, pa.float64(), "numbers")
        drawn = pa.table({"ts": times, column: values})
        if "symbol" not in self.columns:
            return [(self.title or column, *_line(drawn))]
        symbols = self._cast("symbol", pa.string(), "names")
        return [
            (str(name), *_line(drawn.filter(pc.equal(symbols, name))))
            for name in pc.unique(symbols.drop_null()).to_pylist()
        ]

    def _cast(self, column: str, type_: pa.DataType, expected: str) -> Any:
        found = self[column]
        try:
            return found.cast(type_, safe=False)
        except pa.ArrowException:
            raise BadRequest(f"{column}: got {found.type}, expected {expected} that can be drawn") from None

    def __repr__(self) -> str:
        heading = f"{self.title}: " if self.title else ""
        return f"{heading}{len(self):,} rows of {', '.join(self.columns)}"

    def _repr_html_(self) -> str:
        table = self.arrow
        rows = table if len(self) <= 2 * SHOWN_ROWS else pa.concat_tables([table[:SHOWN_ROWS], table[-SHOWN_ROWS:]])
        try:
            picture = self.plot().svg if len(self) > 1 else ""
        except BadRequest:
            picture = ""
        values = list(zip(*(_shown(column) for column in rows.columns), strict=True))
        gap = SHOWN_ROWS if len(self) > 2 * SHOWN_ROWS else None
        return picture + rows_html(repr(self), self.columns, values, gap)


def concatenated(tables: Sequence[tuple[str, pa.Table]], title: str) -> MarketTable:
    """One table of those of several symbols, with the column ``symbol`` in front."""
    named = []
    for symbol, table in tables:
        if "symbol" in table.column_names:
            table = table.drop_columns(["symbol"])
        named.append(table.add_column(0, "symbol", pa.array([symbol] * table.num_rows, pa.string())))
    return MarketTable(pa.concat_tables(named, promote_options="permissive"), title)


def _line(rows: pa.Table) -> tuple[list[int], list[float | None]]:
    """The times and the values of a table, in order of time and without rows that have none."""
    times, values = rows.filter(pc.is_valid(rows["ts"])).sort_by("ts").columns
    return times.to_pylist(), values.to_pylist()


def _shown(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column for people; a time that is beyond Python's is a text."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return list(column.cast(pa.string()).to_pylist())


def _column(values: list[Any]) -> pa.Array:
    """Values that JSON has as a column; those of several kinds, such as numbers and words, as texts."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _with_times(table: pa.Table, times: Collection[str]) -> pa.Table:
    """The table with its times as timestamps in UTC, also where they are numbers of milliseconds."""
    for number, field in enumerate(table.schema):
        if field.name in times and pa.types.is_integer(field.type):
            table = table.set_column(number, field.name, table[field.name].cast(pa.int64()).cast(TIMESTAMP))
    return table


def _require(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise PackageMissing(f"{name} is not installed: `pip install {name}`") from None
