"""The CSV that Backtrader's GenericCSVData reads without any parameter but the name of the file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import BinaryIO

from tapedeck_deck.cli.exports.batch import Batch, rows_of
from tapedeck_deck.cli.exports.format import PRICES, ExportFormat, RowWriter
from tapedeck_deck.cli.exports.kinds import ExportColumn, ExportKind, Row
from tapedeck_deck.cli.exports.selection import ExportSelection

_HEADER = b"datetime,open,high,low,close,volume,openinterest\n"


class BacktraderWriter(RowWriter):
    """Writes the bars of one series, with their opens in UTC; open interest, which is not stored, is 0."""

    def __init__(self, stream: BinaryIO, _columns: Sequence[ExportColumn]) -> None:
        self._stream = stream
        stream.write(_HEADER)

    def write(self, batch: Batch) -> None:
        """Write rows of time, prices and volume."""
        self._stream.write("".join(map(_line, rows_of(batch))).encode())

    def close(self) -> None:
        """Nothing ends the file."""


def _line(row: Row) -> str:
    ts, *values = row
    return f"{datetime.fromtimestamp(ts / 1000, UTC):%Y-%m-%d %H:%M:%S},{','.join(map(repr, values))},0\n"


def _columns(kind: ExportKind, _selection: ExportSelection) -> tuple[ExportColumn, ...]:
    return kind.columns_named(("ts", *PRICES))


FORMAT = ExportFormat("backtrader", BacktraderWriter, columns=_columns, binary=False, of_bars=True, one_series=True)
