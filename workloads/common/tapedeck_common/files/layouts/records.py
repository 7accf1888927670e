"""Rows of a table as bars and trades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import merge
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

from tapedeck_common.files.content.bounds import BLANK_LINES_MAX
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import InvalidTrade
from tapedeck_common.files.layouts.conversion import Columns, Value
from tapedeck_common.files.layouts.fields import PRICES, Field
from tapedeck_common.files.layouts.file_names import unified
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.layouts.valid_blocks import valid_bars
from tapedeck_common.files.tables.table import ColumnBatch, Table
from tapedeck_common.files.timestamps import Int64s
from tapedeck_common.market import Bar, Side, Trade
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.text import quoted

Parsed: TypeAlias = tuple[int, Any] | ValueError
"""A record with its time in microseconds, or what is wrong with its row."""
SIDES: dict[str, Side] = {
    **dict.fromkeys(("buy", "b", "buyer", "1"), "buy"),
    **dict.fromkeys(("sell", "s", "seller", "-1"), "sell"),
}
_OF_SERIES: frozenset[Field] = frozenset(("symbol", "interval"))
_MAKER: dict[str, Side] = {"true": "sell", "1": "sell", "t": "sell", "false": "buy", "0": "buy", "f": "buy"}

TIMES_MAX = 1_000_000
"""Times whose trades without an id are counted; later rows of a forgotten one are in conflict with the first."""


class FileSeries(NamedTuple):
    """What the rows of a file are of."""

    exchange: str
    symbol: str
    interval: str


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


class ValidBars(NamedTuple):
    """Valid bars: their numbers in the file, times of the file in microseconds, and the bars themselves."""

    numbers: Sequence[int]
    us: Int64s
    bars: list[Bar]


class RowReader:
    """Reads the rows of one table. ``empty`` counts those that hold a time and nothing else."""

    def __init__(self, table: Table, reading: Reading, columns: Columns, series: FileSeries) -> None:
        self._table = table
        self._reading = reading
        self._columns = columns
        self._series = series
        self._blank = 0
        self._length = BAR_LENGTHS[series.interval]
        self._ids: Counter[int] = Counter()
        self.empty = 0

    def blocks(self) -> Iterator[ValidBars | Iterator[Record]]:
        """The rows in the order of the file: of valid bars as blocks, of others one by one.

        Raises InvalidFiles and errors of the libraries.
        """
        for batch in self._table.batches:
            if batch.invalid:
                others = (Record(number, text, ValueError(reason)) for number, reason, text in batch.invalid)
                yield merge(self._rows(batch), others, key=lambda record: record.number)
                continue
            block = self._valid_bars(batch) if self._reading.kind == "bars" else None
            yield self._rows(batch) if block is None else block

    def _valid_bars(self, batch: ColumnBatch) -> ValidBars | None:
        found = (
            valid_bars(batch, self._reading, self._columns.times, self._length) if self._is_one_series(batch) else None
        )
        if found is None:
            return None
        self._blank = 0
        columns = (found.ts, *found.prices, found.volume)
        bars = map(Bar, *map(repeat, self._series), *(column.tolist() for column in columns))
        return ValidBars(batch.numbers, found.us, list(bars))

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
            if parsed is None:
                self.empty += 1
                continue
            yield Record(batch.numbers[place], RowText(batch, place), parsed)

    def _skip_blank(self) -> None:
        self._blank += 1
        if self._blank > BLANK_LINES_MAX:
            raise InvalidFiles(f"{self._table.name}: got more than {BLANK_LINES_MAX} blank lines, expected rows")

    def _parsed(self, row: dict[Field, Value], adjusted: Value) -> Parsed | None:
        """The record of a row; None for one without prices."""
        if (problem := self._other_series(row)) is not None:
            return problem
        return self._bar(row, adjusted) if self._reading.kind == "bars" else self._trade(row)

    def _other_series(self, row: Mapping[Field, Value]) -> ValueError | None:
        interval, symbol = row.get("interval"), row.get("symbol")
        if interval and interval != self._series.interval:
            return ValueError(f"interval: got {quoted(interval)}, expected only {self._series.interval}")
        if symbol and not _is_of_market(str(symbol), self._series.symbol):
            return ValueError(f"symbol: got {quoted(symbol)}, expected only {self._series.symbol}")
        return None

    def _is_one_series(self, batch: ColumnBatch) -> bool:
        """Whether every row of a batch says the same symbol and interval, those of the series."""
        found: dict[Field, Value] = {}
        for field in _OF_SERIES & self._reading.columns.keys():
            values = batch.columns[self._reading.columns[field]].unique().to_pylist()
            if len(values) != 1:
                return False
            found[field] = values[0]
        return self._other_series(found) is None

    def _bar(self, row: dict[Field, Value], adjusted: Value) -> Parsed | None:
        prices = [row[field] for field in PRICES]
        if all(price is None or price != price for price in prices):
            return None
        volume = row.get("volume", 0.0)
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
        bar = Bar(*self._series, ts, open_, high, low, close, 0.0 if volume is None else volume)
        return us, bar

    def _opened(self, close: int) -> int | ValueError:
        """The open of the bar that closes at a time, or a millisecond after it."""
        opened = self._length.open_of(close - 1)
        if self._length.close_of(opened) - close not in (0, 1):
            return ValueError(f"ts: got {close} ms, expected the close of a bar of {self._series.interval}")
        return opened

    def _trade(self, row: dict[Field, Value]) -> Parsed | None:
        id, stamp = str(row.get("id") or ""), row["ts"]
        if row["price"] is None and row["amount"] is None:
            return None
        for field in ("ts", "price", "amount"):
            value = row[field]
            if isinstance(value, ValueError):
                return InvalidTrade(str(value), id)
            if value is None:
                return InvalidTrade(f"{field}: got nothing, expected a value", id)
        side = self._side(row)
        if isinstance(side, ValueError):
            return InvalidTrade(str(side), id)
        us, ts = stamp
        if "id" not in self._reading.columns:
            id = self._made_id(us)
        price = row["price"] / self._reading.scale
        return us, Trade(self._series.exchange, self._series.symbol, ts, id, price, row["amount"], side)

    def _side(self, row: dict[Field, Value]) -> Side | ValueError:
        """The taker's side; unknown where the file does not say it."""
        for field, sides in (("side", SIDES), ("maker", _MAKER)):
            if field not in row:
                continue
            text = str(row[field] or "").strip().lower()
            if (found := sides.get(text)) is not None:
                return found
            if text:
                return ValueError(f"{field}: got {quoted(text)}, expected one of {', '.join(sides)}")
        return "unknown"

    def _made_id(self, us: int) -> str:
        """An id for a trade without one: its time, and its number among those of the same time in the file."""
        if len(self._ids) > TIMES_MAX:
            self._ids.clear()
        self._ids[us] += 1
        return f"{us}.{self._ids[us]}"


@lru_cache(maxsize=1_024)
def _is_of_market(text: str, symbol: str) -> bool:
    """Whether a text of a file is a symbol, as exchanges write it: BTCUSD, XBT-USD and BTC/USD are the same."""
    return _letters(symbol) in (_letters(text), _letters(unified(text)))


def _letters(symbol: str) -> str:
    """A symbol as exchanges write it in file names: BTC/USD as BTCUSD, in upper case."""
    return "".join(each for each in symbol.partition(":")[0] if each.isalnum()).upper()
