"""The data folder of freqtrade: <exchange>/BTC_USDT-1h.feather, of futures <exchange>/futures/…-1h-futures.feather.

Names of files and columns are those of freqtrade's own handler of Feather files.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import BinaryIO

from tapedeck_deck.cli.exports.arrow_file import arrow_writer
from tapedeck_deck.cli.exports.arrow_table import ArrowWriter
from tapedeck_deck.cli.exports.format import PRICES, ExportFormat, FolderLayout, bar_columns
from tapedeck_deck.cli.exports.kinds import ExportColumn, Row

_IN_NAMES = str.maketrans(dict.fromkeys("/ .@$+:", "_"))


def data_file(exchange: str, symbol: str, interval: str) -> PurePath:
    """Where freqtrade looks for the bars of a pair, below its folder of data."""
    name = f"{symbol.translate(_IN_NAMES)}-{interval.replace('M', 'Mo')}"
    if ":" in symbol:  # the settlement currency of a future
        return PurePath(exchange, "futures", f"{name}-futures.feather")
    return PurePath(exchange, f"{name}.feather")


def _writer(stream: BinaryIO, columns: Sequence[ExportColumn]) -> ArrowWriter:
    return arrow_writer(stream, [replace(each, name="date") if each.name == "ts" else each for each in columns])


def _series(row: Row) -> Hashable:
    return row[:3]


def _layout(columns: Sequence[ExportColumn]) -> FolderLayout:
    kept = tuple(column for column in columns if column.name in ("ts", *PRICES))
    return FolderLayout(_series, lambda row: data_file(*row[:3]), kept)


FORMAT = ExportFormat("freqtrade", _writer, columns=bar_columns, layout=_layout, of_bars=True)
