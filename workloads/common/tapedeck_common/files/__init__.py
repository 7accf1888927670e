"""Market data in files: which formats there are and how they become bars and trades."""

from tapedeck_common.files.build import bars_from_trades
from tapedeck_common.files.keys import Key, bar_key, shown, trade_key
from tapedeck_common.files.merge import merged_bars, merged_trades
from tapedeck_common.files.read import Row, read_bars, read_trades
from tapedeck_common.files.remote import FilesUnavailable
from tapedeck_common.files.source import BadFiles, BadRow, SourceFile, find_files

__all__ = [
    "BadFiles",
    "BadRow",
    "FilesUnavailable",
    "Key",
    "Row",
    "SourceFile",
    "bar_key",
    "bars_from_trades",
    "find_files",
    "merged_bars",
    "merged_trades",
    "read_bars",
    "read_trades",
    "shown",
    "trade_key",
]
