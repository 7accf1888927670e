"""Orders, fills and accounts that are no numbers end a run: JSON has no word for them, and no one should believe them.

Backtrader itself takes them: an order for NaN is refused as if cash were lacking, and the run goes on.
"""

from __future__ import annotations

import math
from typing import Any

from tapedeck_backtest.bars.clock import to_ms
from tapedeck_backtest.engine.feeds import is_coarse
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.results import Collector
from tapedeck_common.records import ResultRecord, RunEquity, RunFill
from tapedeck_crds.base import format_ms

REASON = "NotANumber"


class FiniteCollector(Collector):
    """Collects, and raises RunFailed for an order whose size or price is no finite number."""

    def start(self) -> None:
        super().start()
        self._later = [data for data in self._later if not is_coarse(data._name)]  # those are bought and held

    def notify_order(self, order: Any) -> None:
        asked = order.created
        if not all(math.isfinite(each) for each in (asked.size, asked.price, asked.pricelimit) if each is not None):
            raise RunFailed(
                REASON,
                f"the strategy's order at {format_ms(to_ms(asked.dt))}: {'buy' if order.isbuy() else 'sell'} "
                f"{asked.size} of {order.data._name} at {asked.price}, expected numbers",
            )
        super().notify_order(order)


def checked(record: ResultRecord) -> ResultRecord:
    """The record. Raises RunFailed where a fill or the account is no finite number."""
    if isinstance(record, RunFill) and not math.isfinite(record.size * record.price):
        raise RunFailed(
            REASON,
            f"the fill at {format_ms(record.ts)}: {record.side} {record.size} of {record.symbol} at {record.price}, "
            "expected numbers",
        )
    if isinstance(record, RunEquity) and not math.isfinite(sum(record.value) + sum(record.cash)):
        points = zip(record.ts, record.value, record.cash, strict=True)
        ts, value, cash = next(p for p in points if not math.isfinite(p[1] + p[2]))
        raise RunFailed(REASON, f"the account at {format_ms(ts)}: value {value}, cash {cash}, expected numbers")
    return record
