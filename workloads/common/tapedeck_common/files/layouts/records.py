"""Rows of a table as bars and trades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Any, NamedTuple, TypeAlias

from tapedeck_common.files.content.bounds import BLANK_LINES_MAX
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import InvalidTrade
from tapedeck_common.files.layouts.conversion import Columns, Value
from tapedeck_common.files.layouts.fields import PRICES, Field
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.layouts.row_symbols import RowSymbols
from tapedeck_common.files.layouts.sides import MAKER, SIDES
from tapedeck_common.files.layouts.valid_blocks import column_types, may_be_valid, valid_bars, valid_trades
from tapedeck_common.files.source_rows import FileSeries, ValidBlock, as_numbers
from tapedeck_common.files.tables.table import ColumnBatch, Table
from tapedeck_common.files.valid_bars import ValidBars
from tapedeck_common.files.valid_trades import ValidTrades
from tapedeck_common.market import Bar, Side, Trade
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.text import quoted

Parsed: TypeAlias = tuple[int, Any] | ValueError
"""A record with its time in microseconds, or what is wrong with its row."""
TIMES_MAX = 1_000_000
"""Times whose trades without an id are counted; later rows of a forgotten one are in conflict with the first."""


class Record(NamedTuple):
    """A row's number, what is its text in a message, and what it was parsed to."""

    number: int
    text: object
    parsed: Parsed


class RowText(NamedTuple):
    """The cells of a row as text, made only where a message needs it."""

    batch: ColumnBatch
    place: int

    def __str__(self) -> str:
        cells = (column[self.place].as_py() for column in self.batch.columns)
        return ",".join("" if cell is None else str(cell) for cell in cells)


class RowReader:
    """Reads the rows of one table. Those that hold a time and nothing else are no records: ``empty`` counts them."""

    def __init__(self, table: Table, reading: Reading, columns: Columns, series: FileSeries) -> None:
        self._table = table
        self._reading = reading
        self._columns = columns
        self._series = series
        self._blank = 0
        self._length = BAR_LENGTHS[series.interval]
        self._ids: Counter[tuple[str, int]] = Counter()
        self._defaults = reading.defaults
        self._symbols = RowSymbols(reading, series)
        self._has_blocks = columns.are_plain and may_be_valid(reading, columns.times, self._length)
        self.empty = 0

    def blocks(self) -> Iterator[ValidBlock | Iterator[Record]]:
        """The rows in the order of the file, or of each symbol in it: of valid ones as blocks, of others one by one.

        Raises InvalidFiles and errors of the libraries.
        """
        if self._has_blocks:
            self._table.read_as(column_types(self._reading))
        for batch in self._table.batches:
            if self._has_blocks and not batch.invalid and (blocks := self._valid_blocks(batch)):
                yield from blocks
                continue
            text = batch if batch.as_text is None else batch.as_text()
            if text.invalid:
                others = (Record(number, cells, ValueError(reason)) for number, reason, cells in text.invalid)
                yield merge(self._rows(text), others, key=lambda record: record.number)
            else:
                yield self._rows(text)

    def _valid_blocks(self, batch: ColumnBatch) -> list[ValidBlock]:
        """The rows of a batch, a block for each symbol; none where a row needs to be read by itself."""
        found = []
        for symbol, part in self._symbols.parts(batch).items():
            block = self._valid_block(part, self._series._replace(symbol=symbol))
            if block is None:
                return []
            found.append(block)
        if found:
            self._blank = 0
        return found

    def _valid_block(self, batch: ColumnBatch, series: FileSeries) -> ValidBlock | None:
        name, numbers = self._table.name, as_numbers(batch.numbers)
        if self._reading.kind == "bars":
            bars = valid_bars(batch, self._reading, self._columns.times, self._length)
            return None if bars is None else ValidBars(series, name, numbers, *bars)
        trades = valid_trades(batch, self._reading, self._columns.times)
        return None if trades is None else ValidTrades(series, name, numbers, *trades)

    def _rows(self, batch: ColumnBatch) -> Iterator[Record]:
        values = self._columns.values(batch)
        names = list(values)
        adjusted = self._columns.adjusted(batch)
        for place, cells in enumerate(zip(*values.values(), strict=True)):
            row = dict(zip(names, cells, strict=True))
            if all(cell is None or cell == "" for cell in cells):
                self._skip_blank()
                continue
            self._blank = 0
            parsed = self._parsed(row, None if adjusted is None else adjusted[place])
            if parsed is not None:
                yield Record(batch.numbers[place], RowText(batch, place), parsed)

    def _skip_blank(self) -> None:
        self._blank += 1
        if self._blank > BLANK_LINES_MAX:
            raise InvalidFiles(f"{self._table.name}: got more than {BLANK_LINES_MAX} blank lines, expected rows")

    def _parsed(self, row: dict[Field, Value], adjusted: Value) -> Parsed | None:
        """The record of a row; None for one without prices."""
        if self._has_no_values(row):
            self.empty += 1
            return None
        symbol = self._symbols.of_row(row)
        if isinstance(symbol, ValueError):
            return symbol
        return self._bar(symbol, row, adjusted) if self._reading.kind == "bars" else self._trade(symbol, row)

    def _has_no_values(self, row: Mapping[Field, Value]) -> bool:
        if self._reading.kind == "bars":
            return all(row[field] is None or row[field] != row[field] for field in PRICES)
        return row["price"] is None and row.get("amount") is None

    def _bar(self, symbol: str, row: dict[Field, Value], adjusted: Value) -> Parsed:
        prices = [row[field] for field in PRICES]
        volume = row.get("volume", self._defaults.volume)
        for field, value in zip(("ts", *PRICES, "volume"), (row["ts"], *prices, volume), strict=True):
            if isinstance(value, ValueError):
                return value
            if value is None and field != "volume":
                return ValueError(f"{field}: got nothing, expected a value")
        us, ts = row["ts"]
        if self._reading.time.stamp == "close":
            closed = self._opened(ts)
            if isinstance(closed, ValueError):
                return closed
            us, ts = us - (ts - closed) * 1_000, closed
        factor = self._reading.scale
        if adjusted is not None:
            if isinstance(adjusted, ValueError):
                return adjusted
            factor *= prices[3] / adjusted if adjusted else 1.0
        if factor != 1.0:
            prices = [price / factor for price in prices]
        open_, high, low, close = prices
        volume = 0.0 if volume is None else volume
        exchange, _, interval = self._series
        return us, Bar(exchange, symbol, interval, ts, open_, high, low, close, volume)

    def _opened(self, close: int) -> int | ValueError:
        """The open of the bar that closes at a time, or a millisecond after it."""
        opened = self._length.open_of(close - 1)
        if self._length.close_of(opened) - close not in (0, 1):
            return ValueError(f"ts: got {close} ms, expected the close of a bar of {self._series.interval}")
        return opened

    def _trade(self, symbol: str, row: dict[Field, Value]) -> Parsed:
        id, stamp = str(row.get("id") or ""), row["ts"]
        row = {"amount": self._defaults.amount, **row}
        for field in ("ts", "price", "amount"):
            value = row[field]
            if isinstance(value, ValueError):
                return InvalidTrade(str(value), id)
            if value is None:
                return InvalidTrade(f"{field}: got nothing, expected a value", id)
        side, amount = self._side(row), row["amount"]
        if isinstance(side, ValueError):
            return InvalidTrade(str(side), id)
        if self._reading.signed:
            side, amount = "sell" if amount < 0 else "buy", abs(amount)
        us, ts = stamp
        if "id" not in self._reading.columns:
            id = self._made_id(symbol, us)
        price = row["price"] / self._reading.scale
        return us, Trade(self._series.exchange, symbol, ts, id, price, amount, side)

    def _side(self, row: dict[Field, Value]) -> Side | ValueError:
        """The taker's side; unknown where the file does not say it."""
        for field, sides in (("side", SIDES), ("maker", MAKER)):
            if field not in row:
                continue
            text = str(row[field] or "").strip().lower()
            if (found := sides.get(text)) is not None:
                return found
            if text:
                return ValueError(f"{field}: got {quoted(text)}, expected one of {', '.join(sides)}")
        return self._defaults.side

    def _made_id(self, symbol: str, us: int) -> str:
        """An id for a trade without one: its time, and its number among the symbol's of the same time in the file."""
        if len(self._ids) > TIMES_MAX:
            self._ids.clear()
        self._ids[symbol, us] += 1
        return f"{us}.{self._ids[symbol, us]}"
