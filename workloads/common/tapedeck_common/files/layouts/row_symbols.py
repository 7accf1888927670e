"""Of which symbol each row of a table is; a row of another series is invalid."""

from __future__ import annotations

from collections.abc import Mapping

from tapedeck_common.files.layouts.conversion import Value
from tapedeck_common.files.layouts.fields import Field
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.layouts.series_names import is_of_market, row_symbol
from tapedeck_common.files.source_rows import FileSeries, as_numbers
from tapedeck_common.files.tables.table import ColumnBatch
from tapedeck_crds.text import quoted

ROWS_A_BLOCK = 32
"""So many rows of a symbol take as long one by one as together."""


class RowSymbols:
    """Tells the symbols of a table's rows."""

    def __init__(self, reading: Reading, series: FileSeries) -> None:
        self._columns = reading.columns
        self._instrument = reading.instrument
        self._series = series

    def of_row(self, row: Mapping[Field, Value]) -> str | ValueError:
        """The symbol of a row; what is wrong with one of another series."""
        interval, symbol = row.get("interval"), row.get("symbol")
        if interval and interval != self._series.interval:
            return ValueError(f"interval: got {quoted(interval)}, expected only {self._series.interval}")
        if (number := self._instrument) is not None and symbol and str(symbol) != number:
            return ValueError(f"instrument: got {quoted(symbol)}, expected only {number}, as in the first rows")
        if not self._series.symbol:
            return _row_symbol(symbol)
        if number is not None:
            return self._series.symbol
        if symbol and not is_of_market(str(symbol), self._series.symbol):
            return ValueError(f"symbol: got {quoted(symbol)}, expected only {self._series.symbol}")
        return self._series.symbol

    def parts(self, batch: ColumnBatch) -> dict[str, ColumnBatch]:
        """The rows of each symbol of a batch; none where a row is of another series, or a symbol has few rows."""
        intervals, texts = self._unique(batch, "interval"), self._unique(batch, "symbol")
        if len(intervals) > 1 or (len(texts) > 1 and len(texts) * ROWS_A_BLOCK > len(batch.numbers)):
            return {}
        found: dict[Value, str] = {}
        for text in texts:
            symbol = self.of_row({"interval": intervals[0], "symbol": text})
            if isinstance(symbol, ValueError):
                return {}
            found[text] = symbol
        symbols = set(found.values())
        return dict.fromkeys(symbols, batch) if len(symbols) == 1 else self._divided(batch, found)

    def _divided(self, batch: ColumnBatch, symbols: Mapping[Value, str]) -> dict[str, ColumnBatch]:
        import numpy as np

        column = batch.columns[self._columns["symbol"]].dictionary_encode()
        codes, numbers = column.indices.to_numpy(), as_numbers(batch.numbers)
        by_symbol: dict[str, list[int]] = {}
        for code, text in enumerate(column.dictionary.to_pylist()):
            by_symbol.setdefault(symbols[text], []).append(code)
        parts = {}
        for symbol, of_symbol in by_symbol.items():
            (rows,) = np.isin(codes, of_symbol).nonzero()
            parts[symbol] = ColumnBatch(numbers[rows].tolist(), [column.take(rows) for column in batch.columns])
        return parts

    def _unique(self, batch: ColumnBatch, field: Field) -> list[Value]:
        """The values of a field in a batch, each once."""
        place = self._columns.get(field)
        return [None] if place is None else list(batch.columns[place].unique().to_pylist())


def _row_symbol(text: Value) -> str | ValueError:
    try:
        return row_symbol(str(text or ""))
    except ValueError as error:
        return error
