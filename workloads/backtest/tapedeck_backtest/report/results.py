"""The results of a run as they arise: fills, closed trades and the account's value.

Each kind is numbered from 0, and a run is deterministic: a run that is repeated from its beginning produces the same
content under the same numbers, however its equity is cut into chunks. Records carry no header, because they are no
market data; the topic says what they are.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapedeck_backtest.bars.clock import DAY_MS
from tapedeck_backtest.report import metrics
from tapedeck_backtest.report.equity_curve import EquityCurve
from tapedeck_backtest.report.periods import periods
from tapedeck_backtest.report.summary import (
    AccountHistory,
    ClosedTrades,
    Figures,
    account_figures,
    open_figures,
    trade_figures,
)
from tapedeck_common.records import (
    ResultRecord,
    RunAnalyses,
    RunDrawdown,
    RunFill,
    RunOrder,
    RunPeriod,
    RunPosition,
    RunTrade,
)
from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.session import ALWAYS_OPEN, Session

FLUSH_POINTS = 1_000
FLUSH_SECONDS = 0.25
DRAWDOWNS = 5


@dataclass
class Results:
    """The results so far. ``emit`` receives each record; None, as in a trial of a sweep, only computes the figures.

    ``heartbeat`` is called with every chunk of equity, at least every FLUSH_SECONDS while bars are processed. Of each
    ``every`` steps only the extremes are emitted. ``closes`` returns each symbol's first and last close;
    ``positions`` and ``orders`` return what is open.
    ``session`` is that of the market, whose days have the returns.
    """

    run_id: str
    start: float
    interval_ms: int
    emit: Callable[[ResultRecord], None] | None
    heartbeat: Callable[[], None] = lambda: None
    every: int = 1
    session: Session = ALWAYS_OPEN
    ts: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    cash: array[float] = field(default_factory=lambda: array("d"))
    pnl_net: array[float] = field(default_factory=lambda: array("d"))
    entry_value: array[float] = field(default_factory=lambda: array("d"))
    held: array[int] = field(default_factory=lambda: array("q"))
    exit_ts: array[int] = field(default_factory=lambda: array("q"))
    closes: Callable[[], Sequence[tuple[float, float]]] = lambda: ()
    positions: Callable[[], Sequence[RunPosition]] = lambda: ()
    orders: Callable[[], Sequence[RunOrder]] = lambda: ()
    fills: int = 0
    commission: float = 0.0
    rejected: int = 0
    analyses: RunAnalyses = field(default_factory=RunAnalyses)
    _emitted: int = 0  # points
    _flush_at: float = 0.0  # monotonic seconds
    _hash: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._curve = EquityCurve(self.run_id, self.start, self.interval_ms, self.every, self.session)

    def fill(self, symbol: str, ts: int, size: float, price: float, commission: float) -> None:
        """Add the fill of an order; ``size`` is negative for a sale, ``ts`` is ms UTC."""
        record = RunFill(self.run_id, self.fills, symbol, ts, "buy" if size > 0 else "sell", abs(size), price)
        self.fills += 1
        self.commission += commission
        self._hash.update(f"fill,{symbol},{ts},{record.side},{record.size!r},{price!r}\n".encode())
        if self.emit is not None:
            self.emit(record)

    def trade(self, record: RunTrade) -> None:
        """Add a closed trade."""
        self.exit_ts.append(record.exit_ts)
        self.held.append(record.exit_ts - record.entry_ts)
        self.entry_value.append(record.entry_price * record.size)
        self.pnl_net.append(record.pnl_net)
        self._hash.update(
            f"trade,{record.symbol},{record.side},{record.size!r},{record.entry_ts},{record.entry_price!r},"
            f"{record.exit_ts},{record.exit_price!r},{record.pnl!r},{record.pnl_net!r}\n".encode()
        )
        if self.emit is not None:
            self.emit(record)

    def point(self, ts: int, value: float, cash: float) -> None:
        """Add the account after a step: event time (ms UTC), value and cash (quote currency)."""
        self.ts.append(ts)
        self.value.append(value)
        self.cash.append(cash)
        if len(self.ts) - self._emitted >= FLUSH_POINTS or time.monotonic() >= self._flush_at:
            self._emit_points(len(self.ts) - len(self.ts) % self.every)

    def points(self, ts: Ints, value: Floats, cash: Floats) -> None:
        """Add the account after many steps; nothing is emitted before ``flush``."""
        self.ts.frombytes(ts.astype(np.int64).tobytes())
        self.value.frombytes(value.tobytes())
        self.cash.frombytes(cash.tobytes())

    def flush(self) -> None:
        """Emit all points that have not been emitted."""
        while self._emitted < len(self.ts):
            self._emit_points(min(len(self.ts), self._emitted + FLUSH_POINTS * self.every))
        self.heartbeat()

    def flush_if_pending(self) -> None:
        """Flush if FLUSH_SECONDS have passed since the last chunk. Call this while no bars arrive."""
        if time.monotonic() >= self._flush_at:
            self.flush()

    def _emit_points(self, end: int) -> None:
        self._flush_at = time.monotonic() + FLUSH_SECONDS
        first, self._emitted = self._emitted, max(end, self._emitted)
        if first < self._emitted and self.emit is not None:
            ts, value, cash = (np.array(each[first : self._emitted]) for each in (self.ts, self.value, self.cash))
            self.emit(self._curve.extend(first, ts, value, cash))
        self.heartbeat()

    @property
    def trades_hash(self) -> str:
        """SHA-256 of all fills and closed trades as text lines, in order: equal runs have equal hashes."""
        digest: str = self._hash.hexdigest()
        return digest

    def summary(self) -> Figures:
        """The metrics of the run so far, by name. May be called from another thread."""
        closed = len(self.pnl_net)  # ``trade`` appends to it last
        return {
            **account_figures(self.account(), metrics.hold_percent(self.closes())),
            **open_figures(self.positions(), self.orders()),
            **trade_figures(
                ClosedTrades(
                    np.array(self.pnl_net[:closed]),
                    np.array(self.entry_value[:closed]),
                    np.array(self.held[:closed]),
                )
            ),
            "commission": self.commission,
            "fills": float(self.fills),
            "rejected_orders": float(self.rejected),
        }

    def periods(self) -> list[RunPeriod]:
        """Months and years of the run; none if the account was ever NaN or infinite."""
        account = self.account()
        if not np.all(np.isfinite(account.value)):
            return []
        return periods(account, np.array(self.exit_ts[:]), np.array(self.pnl_net[:]))

    def drawdowns(self) -> list[RunDrawdown]:
        """The DRAWDOWNS deepest drawdowns; none if the account was ever NaN or infinite."""
        account = self.account()
        if not np.all(np.isfinite(account.value)):
            return []
        deepest = metrics.drawdowns(account.start, account.ts, account.value, account.interval_ms, DRAWDOWNS)
        return [
            RunDrawdown(each.percent, each.amount, each.peak, each.trough, each.end, each.length_ms / DAY_MS)
            for each in deepest
        ]

    def account(self) -> AccountHistory:
        """The account so far. May be called from another thread."""
        # Copies, because an array with a numpy view cannot grow. The run continues meanwhile: the shortest one counts.
        ts, value, cash = np.array(self.ts[:]), np.array(self.value[:]), np.array(self.cash[:])
        steps = min(len(ts), len(value), len(cash))
        return AccountHistory(self.start, self.interval_ms, ts[:steps], value[:steps], cash[:steps], self.session)
