"""Market data in files: the formats, and reading them as bars and trades."""

from tapedeck_common.files.dedupe import SourceRow, count_out_of_order, deduplicate
from tapedeck_common.files.errors import FilesUnavailable, InvalidFiles
from tapedeck_common.files.external_sort import external_sort
from tapedeck_common.files.rows import Row, kind_of, read_bars, read_trades
from tapedeck_common.files.series import StrictReader, encoded_rows, trades_in_order
from tapedeck_common.files.source_files import FilesAccess, InvalidRow, SourceFile, find_files

__all__ = [
    "FilesAccess",
    "FilesUnavailable",
    "InvalidFiles",
    "InvalidRow",
    "Row",
    "SourceFile",
    "SourceRow",
    "StrictReader",
    "count_out_of_order",
    "deduplicate",
    "encoded_rows",
    "external_sort",
    "find_files",
    "kind_of",
    "read_bars",
    "read_trades",
    "trades_in_order",
]
