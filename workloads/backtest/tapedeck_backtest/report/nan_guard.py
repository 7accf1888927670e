"""A NaN or infinity in an order, a fill or the account fails the run: JSON cannot represent it, and no figure is valid.

Backtrader accepts them: it rejects an order of size NaN as if cash were insufficient, and continues.
"""

from __future__ import annotations

import math
from typing import Any

from tapedeck_backtest.bars.clock import to_ms
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.records import ResultRecord, RunEquity, RunFill
from tapedeck_crds.base import format_ms

NOT_A_NUMBER = "NotANumber"


def check_order(order: Any) -> None:
    """Raises RunFailed (NotANumber) if the size or a price of the Backtrader order is NaN or infinite."""
    created = order.created
    if all(math.isfinite(each) for each in (created.size, created.price, created.pricelimit) if each is not None):
        return
    raise RunFailed(
        NOT_A_NUMBER,
        f"the strategy's order at {format_ms(to_ms(created.dt))}: got {'buy' if order.isbuy() else 'sell'} "
        f"{created.size} of {order.data._name} at {created.price}, expected finite numbers",
    )


def checked(record: ResultRecord) -> ResultRecord:
    """The record. Raises RunFailed (NotANumber) if a fill or the account in it is NaN or infinite."""
    if isinstance(record, RunFill) and not math.isfinite(record.size * record.price):
        raise RunFailed(
            NOT_A_NUMBER,
            f"the fill at {format_ms(record.ts)}: got {record.side} {record.size} of {record.symbol} at "
            f"{record.price}, expected finite numbers",
        )
    if isinstance(record, RunEquity) and not math.isfinite(sum(record.value) + sum(record.cash)):
        points = zip(record.ts, record.value, record.cash, strict=True)
        ts, value, cash = next(p for p in points if not math.isfinite(p[1] + p[2]))
        raise RunFailed(
            NOT_A_NUMBER, f"the account at {format_ms(ts)}: got value {value}, cash {cash}, expected finite numbers"
        )
    return record
