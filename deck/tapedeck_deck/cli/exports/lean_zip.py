"""The data folder of QuantConnect LEAN, of crypto: zips of one day of seconds or minutes, or of all hours or days.

crypto/<market>/minute/btcusd/20180404_trade.zip and crypto/<market>/daily/btcusd_trade.zip; a symbol with a settlement
currency is in cryptofuture. Times are UTC, and prices have no scale. Described in LEAN's Data/readme.md.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import IO, BinaryIO

from tapedeck_crds.intervals import DAY_MS
from tapedeck_deck.cli.exports.batch import Batch, rows_of
from tapedeck_deck.cli.exports.format import ExportFormat, FolderLayout, RowWriter, bar_columns
from tapedeck_deck.cli.exports.kinds import ExportColumn, Row
from tapedeck_deck.embedded.errors import DeckError

RESOLUTIONS = {"1s": "second", "1m": "minute", "1h": "hour", "1d": "daily"}
_BY_DAY = ("1s", "1m")
_TIME = 3  # its place in a row, behind exchange, symbol and interval


class LeanWriter(RowWriter):
    """Writes the bars of one zip."""

    def __init__(self, stream: BinaryIO, _columns: Sequence[ExportColumn]) -> None:
        self._archive = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED)
        self._entry: IO[bytes] | None = None

    def write(self, batch: Batch) -> None:
        """Write rows of one series, and where it has a file for each day, of one day."""
        rows = rows_of(batch)
        if self._entry is None:
            self._entry = self._archive.open(entry_name(rows[0]), "w", force_zip64=True)
        self._entry.write("".join(map(_line, rows)).encode())

    def close(self) -> None:
        """Write the directory of the zip."""
        if self._entry is not None:
            self._entry.close()
        self._archive.close()


def ticker(symbol: str) -> str:
    """LEAN's name of a symbol: letters and digits without the settlement currency. Raises DeckError without any."""
    name = re.sub(r"[^a-z0-9]", "", symbol.partition(":")[0].lower())
    if not name:
        raise DeckError(f"symbol: got {symbol}, expected one with letters or digits, by which LEAN names files")
    return name


def data_file(row: Row) -> PurePath:
    """Where LEAN looks for a bar, below its folder of data. Raises DeckError for an interval that LEAN lacks."""
    exchange, symbol, interval, ts = row[: _TIME + 1]
    resolution = RESOLUTIONS.get(interval)
    if resolution is None:
        expected = ", ".join(RESOLUTIONS)
        raise DeckError(f"interval: got {interval}, expected {expected}, LEAN's resolutions; choose one by --interval")
    folder = PurePath("cryptofuture" if ":" in symbol else "crypto", exchange, resolution)
    if interval in _BY_DAY:
        return folder / ticker(symbol) / f"{_written(ts, '%Y%m%d')}_trade.zip"
    return folder / f"{ticker(symbol)}_trade.zip"


def entry_name(row: Row) -> str:
    """The name of the file in the zip of a bar."""
    _, symbol, interval, ts = row[: _TIME + 1]
    if interval in _BY_DAY:
        return f"{_written(ts, '%Y%m%d')}_{ticker(symbol)}_{RESOLUTIONS[interval]}_trade.csv"
    return f"{ticker(symbol)}.csv"


def plain(number: float) -> str:
    """A float to its last digit, without an exponent: LEAN reads none."""
    text = repr(number)
    return f"{Decimal(text):f}" if "e" in text else text


def _line(row: Row) -> str:
    interval, ts, *values = row[_TIME - 1 :]
    time = str(ts % DAY_MS) if interval in _BY_DAY else _written(ts, "%Y%m%d %H:%M")
    return ",".join((time, *map(plain, values))) + "\n"


def _written(ts: int, form: str) -> str:
    return datetime.fromtimestamp(ts / 1000, UTC).strftime(form)


def _key(row: Row) -> Hashable:
    interval = row[_TIME - 1]
    return (*row[:_TIME], row[_TIME] // DAY_MS if interval in _BY_DAY else 0)


def _layout(columns: Sequence[ExportColumn]) -> FolderLayout:
    return FolderLayout(_key, data_file, tuple(columns))


FORMAT = ExportFormat("lean", LeanWriter, columns=bar_columns, layout=_layout, of_bars=True)
