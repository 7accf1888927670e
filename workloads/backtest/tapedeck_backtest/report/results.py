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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.clock import DAY_MS, EPOCH_DAYS, to_ms
from tapedeck_backtest.report import metrics
from tapedeck_backtest.report.curve import Curve
from tapedeck_backtest.report.periods import periods
from tapedeck_backtest.report.summary import Account, Closed, Figures, of_account, of_trades
from tapedeck_common.records import ResultRecord, RunDrawdown, RunFill, RunPeriod, RunTrade
from tapedeck_common.store.bars import Floats, Ints

FLUSH_POINTS = 1_000
FLUSH_SECONDS = 0.25
DRAWDOWNS = 5
REASON_MAX = 200


@dataclass
class Results:
    """The results so far. ``emit`` takes each record, ``pulse`` is called at least every FLUSH_SECONDS of running.

    ``closes`` tells each symbol's first and last close; of each ``every`` steps only the extremes are emitted. Where
    nothing is to be emitted, as in a trial of a sweep, figures and hash are kept all the same.
    """

    run_id: str
    start: float
    interval_ms: int
    emit: Callable[[ResultRecord], None] | None
    pulse: Callable[[], None] = lambda: None
    every: int = 1
    ts: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    cash: array[float] = field(default_factory=lambda: array("d"))
    pnl_net: array[float] = field(default_factory=lambda: array("d"))
    entry_value: array[float] = field(default_factory=lambda: array("d"))
    held: array[int] = field(default_factory=lambda: array("q"))
    exit_ts: array[int] = field(default_factory=lambda: array("q"))
    closes: Callable[[], Sequence[tuple[float, float]]] = lambda: ()
    fills: int = 0
    commission: float = 0.0
    rejected: int = 0
    _sent: int = 0
    _due: float = 0.0
    _hash: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._curve = Curve(self.run_id, self.start, self.interval_ms, self.every)

    def fill(self, symbol: str, ts: int, size: float, price: float, commission: float) -> None:
        """An order was filled; ``size`` below 0 for a sale."""
        record = RunFill(self.run_id, self.fills, symbol, ts, "buy" if size > 0 else "sell", abs(size), price)
        self.fills += 1
        self.commission += commission
        self._hash.update(f"fill,{symbol},{ts},{record.side},{record.size!r},{price!r}\n".encode())
        if self.emit is not None:
            self.emit(record)

    def trade(self, record: RunTrade) -> None:
        """A trade was closed."""
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
        """The account after a step."""
        self.ts.append(ts)
        self.value.append(value)
        self.cash.append(cash)
        if len(self.ts) - self._sent >= FLUSH_POINTS or time.monotonic() >= self._due:
            self._hand_on(len(self.ts) - len(self.ts) % self.every)

    def points(self, ts: Ints, value: Floats, cash: Floats) -> None:
        """The account after many steps at once."""
        self.ts.frombytes(ts.astype(np.int64).tobytes())
        self.value.frombytes(value.tobytes())
        self.cash.frombytes(cash.tobytes())

    def flush(self) -> None:
        """Emit the points that wait."""
        while self._sent < len(self.ts):
            self._hand_on(min(len(self.ts), self._sent + FLUSH_POINTS * self.every))
        self.pulse()

    def flush_due(self) -> None:
        """Flush if it is time to: for whoever waits for bars."""
        if time.monotonic() >= self._due:
            self.flush()

    def _hand_on(self, upto: int) -> None:
        self._due = time.monotonic() + FLUSH_SECONDS
        first, self._sent = self._sent, max(upto, self._sent)
        if first < self._sent and self.emit is not None:
            ts, value, cash = (np.array(each[first : self._sent]) for each in (self.ts, self.value, self.cash))
            self.emit(self._curve.extend(first, ts, value, cash))
        self.pulse()

    @property
    def trades_hash(self) -> str:
        """SHA-256 of all fills and closed trades as text lines, in order: equal runs have equal hashes."""
        digest: str = self._hash.hexdigest()
        return digest

    def summary(self) -> Figures:
        """The metrics of the run so far, by name. May be called from another thread."""
        closed = len(self.pnl_net)  # the last of the three to grow
        return {
            **of_account(self.account(), metrics.hold_percent(self.closes())),
            **of_trades(
                Closed(
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
        """Months and years of the run; none of an account that is no number."""
        account = self.account()
        if not np.all(np.isfinite(account.value)):
            return []
        return periods(account, np.array(self.exit_ts[:]), np.array(self.pnl_net[:]))

    def drawdowns(self) -> list[RunDrawdown]:
        """The deepest falls of the account; none of one that is no number."""
        account = self.account()
        if not np.all(np.isfinite(account.value)):
            return []
        falls = metrics.drawdowns(account.start, account.ts, account.value, account.interval_ms, DRAWDOWNS)
        return [
            RunDrawdown(fall.percent, fall.amount, fall.peak, fall.trough, fall.end, fall.length_ms / DAY_MS)
            for fall in falls
        ]

    def account(self) -> Account:
        """The account so far. May be called from another thread."""
        # Copies: an array that numpy looks into can't grow. The shortest wins, the run goes on meanwhile.
        ts, value, cash = np.array(self.ts[:]), np.array(self.value[:]), np.array(self.cash[:])
        steps = min(len(ts), len(value), len(cash))
        return Account(self.start, self.interval_ms, ts[:steps], value[:steps], cash[:steps])


@dataclass
class _Position:
    """A trade as it grows and shrinks: signed size, how much was opened in all, average price of closing, and why.

    The same sums as in Backtrader's Trade, which forgets how large it was.
    """

    size: float = 0.0
    opened: float = 0.0
    closed: float = 0.0
    exit_price: float = 0.0
    entry_reason: str = ""
    exit_reason: str = ""

    def update(self, size: float, price: float, reason: str) -> None:
        if self.size * size >= 0:
            self.entry_reason = self.entry_reason if self.opened else reason
            self.opened += abs(size)
        else:
            self.exit_reason = reason
            self.closed += abs(size)
            self.exit_price += (price - self.exit_price) * (abs(size) / self.closed)
        self.size += size


def reason_of(order: Any) -> str:
    """What the strategy said as ``reason`` when it made the order, else which kind of priced order: Stop, Limit."""
    said = order.info.get("reason")
    if said is None:
        return "" if order.exectype == bt.Order.Market else str(order.getordername())
    return str(said)[:REASON_MAX].replace("\0", "").encode("utf-8", "replace").decode()


class Collector(bt.Analyzer):  # type: ignore[misc]
    """Hands to Results what Backtrader tells of. ``results`` is the only param."""

    params = (("results", None),)

    def start(self) -> None:
        self._results: Results = self.p.results
        self._open: dict[tuple[Any, int], _Position] = defaultdict(_Position)
        self._closed: dict[tuple[Any, int], deque[_Position]] = defaultdict(deque)
        self._broker = self.strategy.broker
        self._first: dict[Any, float] = {}
        self._later = list(self.strategy.datas)
        self._results.closes = self._closes
        self._now = self.strategy.lines.datetime

    def notify_order(self, order: Any) -> None:
        if order.status in (order.Margin, order.Rejected):
            self._results.rejected += 1
        data = order.data if order.data._compensate is None else order.data._compensate
        for bit in order.executed.iterpending():
            self._results.fill(order.data._name, to_ms(bit.dt), bit.size, bit.price, bit.closedcomm + bit.openedcomm)
            for size in filter(None, (bit.closed, bit.opened)):
                self._update((data, order.tradeid), size, bit.price, reason_of(order))

    def _update(self, key: tuple[Any, int], size: float, price: float, reason: str) -> None:
        position = self._open[key]
        position.update(size, price, reason)
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
                entry_reason=done.entry_reason,
                exit_reason=done.exit_reason,
            )
        )

    def _note_first(self) -> None:
        """The close at which each symbol could first have been bought."""
        self._first.update({data: data.close[0] for data in self._later if len(data)})
        self._later = [data for data in self._later if not len(data)]

    def _closes(self) -> list[tuple[float, float]]:
        return [(first, data.close[0]) for data, first in list(self._first.items())]

    def next(self) -> None:
        if self._later:
            self._note_first()
        now = self._now
        self._results.point(
            round((now.array[now._idx] - EPOCH_DAYS) * DAY_MS), self._broker.getvalue(), self._broker.getcash()
        )
