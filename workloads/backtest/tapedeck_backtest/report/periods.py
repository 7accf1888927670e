"""What each month and each year of a run came to, UTC."""

from __future__ import annotations

import numpy as np

from tapedeck_backtest.report.metrics import drawdowns, return_percent
from tapedeck_backtest.report.summary import Account
from tapedeck_common.records import RunPeriod
from tapedeck_common.store.bars import Floats, Ints


def periods(account: Account, exit_ts: Ints, pnl_net: Floats) -> list[RunPeriod]:
    """Months, then years, in order; those without a bar are left out. A trade counts where it was closed.

    An event time on a boundary belongs to the period that ends there. Drawdowns begin at the period's start value.
    """
    return [period for unit in ("M", "Y") for period in _of_unit(account, exit_ts, pnl_net, unit)]


def _of_unit(account: Account, exit_ts: Ints, pnl_net: Floats, unit: str) -> list[RunPeriod]:
    names = _names(account.ts, unit)
    closed = _names(exit_ts, unit)
    edges = [*np.flatnonzero(names[1:] != names[:-1]) + 1, len(names)] if len(names) else []
    found, start, first = [], account.start, 0
    for behind in edges:
        value = account.value[first:behind]
        falls = drawdowns(start, account.ts[first:behind], value, account.interval_ms, 1)
        profits = pnl_net[closed == names[first]]
        found.append(
            RunPeriod(
                period=str(names[first]),
                start_value=start,
                end_value=float(value[-1]),
                return_percent=return_percent(start, float(value[-1])) if start > 0 else None,
                max_drawdown_percent=falls[0].percent if falls else 0.0,
                trades=len(profits),
                wins=int(np.count_nonzero(profits > 0)),
                profit=float(profits.sum()),
            )
        )
        start, first = float(value[-1]), behind
    return found


def _names(ts: Ints, unit: str) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return (ts - 1).astype("datetime64[ms]").astype(f"datetime64[{unit}]")
