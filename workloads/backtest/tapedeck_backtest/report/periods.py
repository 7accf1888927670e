"""Results of each month and each year of a run: of the trading days of its market."""

from __future__ import annotations

import numpy as np

from tapedeck_backtest.report.metrics import drawdowns, return_percent
from tapedeck_backtest.report.summary import AccountHistory
from tapedeck_backtest.report.trading_days import trading_dates
from tapedeck_common.records import RunPeriod
from tapedeck_common.store.bars import Floats, Ints


def periods(account: AccountHistory, exit_ts: Ints, pnl_net: Floats) -> list[RunPeriod]:
    """Months, then years, in order; periods without a bar are left out. A trade counts in the period of its exit.

    An event time on a boundary belongs to the period that ends there. Drawdowns start at the period's first value.
    """
    return [period for unit in ("M", "Y") for period in _periods_of_unit(account, exit_ts, pnl_net, unit)]


def _periods_of_unit(account: AccountHistory, exit_ts: Ints, pnl_net: Floats, unit: str) -> list[RunPeriod]:
    names, closed = (
        trading_dates(account.session, account.interval_ms, ts).astype(f"datetime64[{unit}]")
        for ts in (account.ts, exit_ts)
    )
    ends = [*np.flatnonzero(names[1:] != names[:-1]) + 1, len(names)] if len(names) else []
    result, start, first = [], account.start, 0
    for end in ends:
        value = account.value[first:end]
        deepest = drawdowns(start, account.ts[first:end], value, account.interval_ms, 1)
        profits = pnl_net[closed == names[first]]
        result.append(
            RunPeriod(
                period=str(names[first]),
                start_value=start,
                end_value=float(value[-1]),
                return_percent=return_percent(start, float(value[-1])) if start > 0 else None,
                max_drawdown_percent=deepest[0].percent if deepest else 0.0,
                trades=len(profits),
                wins=int(np.count_nonzero(profits > 0)),
                profit=float(profits.sum()),
            )
        )
        start, first = float(value[-1]), end
    return result
