"""Trades in files."""

from __future__ import annotations

from collections.abc import Iterator

from tapedeck_common.files import merged_trades
from tapedeck_common.market import Trade
from tapedeck_common.store.trades import TradeBlock
from tapedeck_replay.file_records import FileRecords
from tapedeck_replay.spool import Row, Spool, TradeSpool


class FileTrades(FileRecords[Trade, TradeBlock]):
    """Trades of the files below a folder."""

    CHANNEL = "trades"

    def _merged(self) -> Iterator[Trade]:
        return merged_trades(self._files, self._root, self._credentials)

    def _length(self) -> int:
        return 1

    def _kept(self) -> type[Spool[TradeBlock]]:
        return TradeSpool

    def _row(self, trade: Trade) -> Row:
        return TradeSpool.row(trade)
