"""What the strategy's process may send as results. Its pod numbers and names them, and refuses what no run produces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Sequence

import msgspec

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Figures, Outcome
from tapedeck_backtest.report.analyses import plain
from tapedeck_backtest.text import storable
from tapedeck_common.records import RunAnalyses, RunEquity, RunFill, RunTrade

BAD_RECORD = "BadRecord"
_TIMES = range(-62_135_596_800_000, 253_402_300_800_000)  # the years 1 to 9999, ms UTC
_RECORDS_FREE, _RECORDS_PER_BAR = 10_000, 1_000  # fills and closed trades
_REASON_MAX = 200
_COUNTS_MAX = 2**53


class RecordCheck:
    """Checks the records of one run, in order. ``feeds`` are the names of all of its feeds."""

    def __init__(self, run_id: str, feeds: Collection[str]) -> None:
        self._run_id = run_id
        self._feeds = set(feeds)
        self._fills = self._trades = self._points = 0
        self._bars = 0

    def give_bars(self, count: int) -> None:
        """The strategy is given so many more bars: there may be as many more records."""
        self._bars += count

    def fill(self, record: RunFill) -> RunFill:
        """The fill of this run, numbered. Raises RunFailed (BadRecord)."""
        self._check(record.symbol, (record.ts,), (record.size, record.price))
        numbered = msgspec.structs.replace(record, run_id=self._run_id, seq=self._fills)
        self._fills += 1
        return numbered

    def trade(self, record: RunTrade) -> RunTrade:
        """The closed trade of this run, numbered. Raises RunFailed (BadRecord)."""
        figures = (
            record.size, record.entry_price, record.exit_price, record.pnl, record.pnl_net, record.commission,
        )  # fmt: skip
        self._check(record.symbol, (record.entry_ts, record.exit_ts), figures)
        reasons = {name: storable(getattr(record, name))[:_REASON_MAX] for name in ("entry_reason", "exit_reason")}
        numbered = msgspec.structs.replace(record, run_id=self._run_id, seq=self._trades, **reasons)
        self._trades += 1
        return numbered

    def equity(self, record: RunEquity) -> RunEquity:
        """The chunk of this run's equity, which continues the one before. Raises RunFailed (BadRecord)."""
        points = len(record.ts)
        columns = (record.value, record.cash, record.change_percent, record.drawdown_percent, record.sharpe)
        if not points or any(len(column) != points for column in columns):
            raise _bad("equity: got columns of different lengths")
        if record.at and (len(record.at) != points or record.at[0] < 0 or not _ascend(record.at)):
            raise _bad("equity: got points out of order")
        if record.seq < self._points or (not record.at and record.seq != self._points):
            raise _bad(f"equity: got point {record.seq}, expected {self._points}")
        self._points = record.seq + (record.at[-1] if record.at else points - 1) + 1
        if self._points > self._bars:
            raise _bad(f"equity: got {self._points} points, expected one a bar at most: {self._bars}")
        self._check_times(record.ts)
        if not math.isfinite(sum(sum(filter(None, column)) for column in columns)):
            raise _bad("equity: got NaN or infinity")
        return msgspec.structs.replace(record, run_id=self._run_id)

    def _check(self, symbol: str, times: Sequence[int], figures: Iterable[float]) -> None:
        if symbol not in self._feeds:
            raise _bad(f"symbol: got {symbol[:80]!r}, expected one of the run")
        if self._fills + self._trades >= _RECORDS_FREE + _RECORDS_PER_BAR * self._bars:
            raise _bad(f"got more than {_RECORDS_PER_BAR} fills and trades a bar")
        self._check_times(times)
        if not all(map(math.isfinite, figures)):
            raise _bad("a fill or trade: got NaN or infinity")

    def _check_times(self, times: Sequence[int]) -> None:
        if min(times) not in _TIMES or max(times) not in _TIMES:
            raise _bad("a time: got one beyond the years 1 to 9999")


def checked_outcome(outcome: Outcome | None) -> Outcome:
    """The outcome as the store can keep it: figures that are no numbers become None. Raises RunFailed (BadRecord)."""
    if outcome is None:
        return Outcome()
    listed = (*outcome.drawdowns, *outcome.periods, *outcome.positions, *outcome.orders)
    for each in listed:
        for name in each.__struct_fields__:
            value = getattr(each, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise _bad(f"{name}: got NaN or infinity")
            if isinstance(value, int) and abs(value) > _COUNTS_MAX:
                raise _bad(f"{name}: got {value}")
            if isinstance(value, str) and storable(value)[:_REASON_MAX] != value:
                raise _bad(f"{name}: got text that the store does not take")
    analyses = RunAnalyses(plain(outcome.analyses.analyzers), plain(outcome.analyses.observers))
    return msgspec.structs.replace(outcome, figures=checked_figures(outcome.figures), analyses=analyses)


def checked_figures(figures: Figures) -> Figures:
    """The figures; None for one that is no number."""
    return {name: figure if figure is None or math.isfinite(figure) else None for name, figure in figures.items()}


def _ascend(numbers: list[int]) -> bool:
    return all(before < after for before, after in itertools.pairwise(numbers))


def _bad(problem: str) -> RunFailed:
    return RunFailed(BAD_RECORD, f"the strategy's process sent a result that no run produces: {problem}")
