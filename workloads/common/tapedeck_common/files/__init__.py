"""Market data in files: the formats, and reading them as bars and trades."""

from tapedeck_common.files.merge import merged_bars, merged_trades
from tapedeck_common.files.remote_files import FilesUnavailable
from tapedeck_common.files.rows import Row, RowKey, bar_key, format_key, read_bars, read_trades
from tapedeck_common.files.source_files import InvalidFiles, InvalidRow, SourceFile, find_files

__all__ = [
    "FilesUnavailable",
    "InvalidFiles",
    "InvalidRow",
    "Row",
    "RowKey",
    "SourceFile",
    "bar_key",
    "find_files",
    "format_key",
    "merged_bars",
    "merged_trades",
    "read_bars",
    "read_trades",
]
