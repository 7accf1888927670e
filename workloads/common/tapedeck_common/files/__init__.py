"""Market data in files: the formats, and reading them as bars and trades."""

from tapedeck_common.files.dedupe import count_out_of_order, deduplicate
from tapedeck_common.files.errors import FilesUnavailable, InvalidFiles
from tapedeck_common.files.external_sort import external_sort
from tapedeck_common.files.row_checks import Row
from tapedeck_common.files.rows import kind_of, read_bars, read_trades
from tapedeck_common.files.series import SeriesReader, StrictReader, SymbolSeries, TradeOrder, trades_in_order
from tapedeck_common.files.source_files import FilesAccess, InvalidRow, SourceFile, find_files
from tapedeck_common.files.source_rows import Part, SourceItem, SourceRow, ValidBlock, in_parts, single_rows
from tapedeck_common.files.splitting import SymbolItem
from tapedeck_common.files.table_rows import ReadingNotes
from tapedeck_common.files.valid_bars import ValidBars
from tapedeck_common.files.valid_trades import ValidTrades

__all__ = [
    "FilesAccess",
    "FilesUnavailable",
    "InvalidFiles",
    "InvalidRow",
    "Part",
    "ReadingNotes",
    "Row",
    "SeriesReader",
    "SourceFile",
    "SourceItem",
    "SourceRow",
    "StrictReader",
    "SymbolItem",
    "SymbolSeries",
    "TradeOrder",
    "ValidBars",
    "ValidBlock",
    "ValidTrades",
    "count_out_of_order",
    "deduplicate",
    "external_sort",
    "find_files",
    "in_parts",
    "kind_of",
    "read_bars",
    "read_trades",
    "single_rows",
    "trades_in_order",
]
