"""JSON lines: an object for each row, with times as RFC 3339 text and documents as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import msgspec

from tapedeck_crds.base import format_ms
from tapedeck_deck.cli.exports.batch import Batch, rows_of
from tapedeck_deck.cli.exports.format import ExportFormat, RowWriter
from tapedeck_deck.cli.exports.kinds import ColumnType, ExportColumn, Row

_CONVERTED: dict[ColumnType, Callable[[Any], object]] = {
    ColumnType.MARKET_TIME: format_ms,
    ColumnType.WALL_TIME: format_ms,
    ColumnType.JSON: lambda text: msgspec.Raw(text.encode()),
}


class JsonLinesWriter(RowWriter):
    """Writes rows as objects with every column; NULL is null."""

    def __init__(self, stream: BinaryIO, columns: Sequence[ExportColumn]) -> None:
        self._stream = stream
        self._names = [column.name for column in columns]
        converted = [(i, _CONVERTED.get(column.type)) for i, column in enumerate(columns)]
        self._converted = [(i, convert) for i, convert in converted if convert is not None]
        self._encoder = msgspec.json.Encoder()

    def write(self, batch: Batch) -> None:
        """Write rows; msgspec writes a float as its shortest exact text."""
        self._stream.write(self._encoder.encode_lines([self._object(row) for row in rows_of(batch)]))

    def close(self) -> None:
        """Nothing ends the file."""

    def _object(self, row: Row) -> dict[str, object]:
        values = list(row)
        for i, convert in self._converted:
            if values[i] is not None:
                values[i] = convert(values[i])
        return dict(zip(self._names, values, strict=True))


FORMAT = ExportFormat("jsonl", JsonLinesWriter, (".jsonl", ".ndjson"), binary=False)
