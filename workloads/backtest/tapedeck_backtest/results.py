"""What happens in a run, taken down as it happens: fills, closed trades, equity.

Each kind is counted by itself from 0, and the run is deterministic: a run done again from the
beginning takes down the same content under the same number, however the equity is cut into chunks.
Results go out without a header: they are no market data, the topic says what they are.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck.records import ResultRecord, RunEquity, RunFill, RunTrade
from tapedeck_backtest import metrics
from tapedeck_backtest.clock import DAY_MS, EPOCH_DAYS, to_ms

FLUSH_POINTS = 1_000
FLUSH_SECONDS = 0.25


@dataclass
class Results:
    """The results so far. ``emit`` takes each record, ``pulse`` is called at least every FLUSH_SECONDS of running."""

    run_id: str
    start: float
    interval_ms: int
    emit: Callable[[ResultRecord], None]
    pulse: Callable[[], None] = lambda: None
    ts: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    cash: array[float] = field(default_factory=lambda: array("d"))
    pnl_net: array[float] = field(default_factory=lambda: array("d"))
    fills: int = 0
    commission: float = 0.0
    rejected: int = 0
    _sent: int = 0
    _due: float = 0.0
    _hash: Any = field(default_factory=hashlib.sha256)

    def fill(self, symbol: str, ts: int, size: float, price: float, commission: float) -> None:
        """An order was filled; ``size`` below 0 for a sale."""
        record = RunFill(self.run_id, self.fills, symbol, ts, "buy" if size > 0 else "sell", abs(size), price)
        self.fills += 1
        self.commission += commission
        self._hash.update(f"fill,{symbol},{ts},{record.side},{record.size!r},{price!r}\n".encode())
        self.emit(record)

    def trade(self, record: RunTrade) -> None:
        """A trade was closed."""
        self.pnl_net.append(record.pnl_net)
        self._hash.update(
            f"trade,{record.symbol},{record.side},{record.size!r},{record.entry_ts},{record.entry_price!r},"
            f"{record.exit_ts},{record.exit_price!r},{record.pnl!r},{record.pnl_net!r}\n".encode()
        )
        self.emit(record)

    def point(self, ts: int, value: float, cash: float) -> None:
        """The account after a step."""
        self.ts.append(ts)
        self.value.append(value)
        self.cash.append(cash)
        if len(self.ts) - self._sent >= FLUSH_POINTS or time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Emit the points that wait."""
        self._due = time.monotonic() + FLUSH_SECONDS
        first, self._sent = self._sent, len(self.ts)
        if first < self._sent:
            chunk = slice(first, self._sent)
            self.emit(
                RunEquity(
                    self.run_id, first, self.ts[chunk].tolist(), self.value[chunk].tolist(), self.cash[chunk].tolist()
                )
            )
        self.pulse()

    def flush_due(self) -> None:
        """Flush if it is time to: for whoever waits for bars."""
        if time.monotonic() >= self._due:
            self.flush()

    @property
    def trades_hash(self) -> str:
        """SHA-256 of all fills and closed trades as text lines, in order: equal runs have equal hashes."""
        digest: str = self._hash.hexdigest()
        return digest

    def summary(self) -> dict[str, float | None]:
        """The metrics of the run so far, by name. May be called from another thread."""
        # Copies: an array that numpy looks into can't grow. The shortest wins, the run goes on meanwhile.
        ts, value, cash = np.array(self.ts[:]), np.array(self.value[:]), np.array(self.cash[:])
        steps = min(len(ts), len(value), len(cash))
        ts, value, cash = ts[:steps], value[:steps], cash[:steps]
        pnl_net = np.array(self.pnl_net[:])
        final = float(value[-1]) if steps else self.start
        return {
            "final_value": final,
            "return_percent": metrics.return_percent(self.start, final),
            "max_drawdown_percent": metrics.max_drawdown_percent(self.start, value),
            "sharpe": metrics.sharpe(self.start, ts, value, self.interval_ms),
            "trades": float(len(pnl_net)),
            "win_rate_percent": metrics.win_rate_percent(pnl_net),
            "profit_factor": metrics.profit_factor(pnl_net),
            "average_trade": metrics.average_trade(pnl_net),
            "exposure_percent": metrics.exposure_percent(value, cash),
            "commission": self.commission,
            "fills": float(self.fills),
            "rejected_orders": float(self.rejected),
        }


@dataclass
class _Position:
    """A trade as it grows and shrinks: signed size, how much was opened in all, average price of closing.

    The same sums as in Backtrader's Trade, which forgets how large it was.
    """

    size: float = 0.0
    opened: float = 0.0
    closed: float = 0.0
    exit_price: float = 0.0

    def update(self, size: float, price: float) -> None:
        if self.size * size >= 0:
            self.opened += abs(size)
        else:
            self.closed += abs(size)
            self.exit_price += (price - self.exit_price) * (abs(size) / self.closed)
        self.size += size


class Collector(bt.Analyzer):  # type: ignore[misc]
    """Hands to Results what Backtrader tells of. ``results`` is the only param."""

    params = (("results", None),)

    def start(self) -> None:
        self._results: Results = self.p.results
        self._open: dict[tuple[Any, int], _Position] = defaultdict(_Position)
        self._closed: dict[tuple[Any, int], deque[_Position]] = defaultdict(deque)
        self._broker = self.strategy.broker
        self._now = self.strategy.lines.datetime

    def notify_order(self, order: Any) -> None:
        if order.status in (order.Margin, order.Rejected):
            self._results.rejected += 1
        data = order.data if order.data._compensate is None else order.data._compensate
        for bit in order.executed.iterpending():
            self._results.fill(order.data._name, to_ms(bit.dt), bit.size, bit.price, bit.closedcomm + bit.openedcomm)
            for size in filter(None, (bit.closed, bit.opened)):
                self._update((data, order.tradeid), size, bit.price)

    def _update(self, key: tuple[Any, int], size: float, price: float) -> None:
        position = self._open[key]
        position.update(size, price)
        if position.size == 0:
            self._closed[key].append(self._open.pop(key))

    def notify_trade(self, trade: Any) -> None:
        if not trade.isclosed:
            return
        done = self._closed[trade.data, trade.tradeid].popleft()
        self._results.trade(
            RunTrade(
                run_id=self._results.run_id,
                seq=len(self._results.pnl_net),
                symbol=trade.data._name,
                side="long" if trade.long else "short",
                size=done.opened,
                entry_ts=to_ms(trade.dtopen),
                entry_price=trade.price,
                exit_ts=to_ms(trade.dtclose),
                exit_price=done.exit_price,
                pnl=trade.pnl,
                pnl_net=trade.pnlcomm,
                commission=trade.commission,
            )
        )

    def next(self) -> None:
        now = self._now
        self._results.point(
            round((now.array[now._idx] - EPOCH_DAYS) * DAY_MS), self._broker.getvalue(), self._broker.getcash()
        )
