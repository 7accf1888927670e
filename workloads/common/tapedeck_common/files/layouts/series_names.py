"""Of which symbol the rows of a table are: by a declaration, by a column, or by the file's name."""

from __future__ import annotations

from functools import lru_cache

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.layouts.file_names import unified
from tapedeck_common.files.layouts.presets import preset
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.base import is_symbol
from tapedeck_crds.file_presets import preset_names
from tapedeck_crds.text import quoted


def table_symbol(table: Table, reading: Reading, declared: str) -> str:
    """The symbol of all rows of a table; empty where each row says its own. Raises InvalidFiles where nothing does."""
    if declared:
        return declared
    if "symbol" in reading.columns and reading.instrument is None:
        return ""
    if (found := name_symbol(table, reading.layout)) is not None:
        return found
    raise InvalidFiles(
        f"{table.name}: symbol: got no column of symbols, and no name that says one; declare symbol or fileName"
    )


def name_symbol(table: Table, layout: str) -> str | None:
    """The symbol that a file's name has where its layout's names have one."""
    pattern = preset(layout).file if layout in preset_names() else None
    found = None if pattern is None else pattern.match(table.stem)
    text = None if found is None else found.get("symbol")
    symbol = unified(text) if text else None
    return symbol if symbol is not None and is_symbol(symbol) else None


@lru_cache(maxsize=32_768)
def row_symbol(text: str) -> str:
    """The symbol that a row says. Raises ValueError for a text that is none."""
    symbol = unified(text.strip())
    if not is_symbol(symbol):
        raise ValueError(f"symbol: got {quoted(text)}, expected a symbol such as BTC/USD")
    return symbol


@lru_cache(maxsize=32_768)
def is_of_market(text: str, symbol: str) -> bool:
    """Whether a text of a file is a symbol, as exchanges write it: BTCUSD, XBT-USD and BTC/USD are the same."""
    return _letters(symbol) in (_letters(text), _letters(unified(text)))


def _letters(symbol: str) -> str:
    """A symbol as exchanges write it in file names: BTC/USD as BTCUSD, in upper case."""
    return "".join(each for each in symbol.partition(":")[0] if each.isalnum()).upper()
