"""All figures of a run by name, as the store, sweeps and the page receive them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tapedeck_backtest.report import metrics
from tapedeck_backtest.report.trading_days import DAY_MS
from tapedeck_common.records import RunOrder, RunPosition
from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.session import ALWAYS_OPEN, Session

Figures = dict[str, float | None]

# Figures in the report of a running pod and in the status of the Backtest.
HEADLINE = (
    "return_percent", "buy_and_hold_percent", "cagr_percent", "max_drawdown_percent", "sharpe", "sharpe_error",
    "probabilistic_sharpe", "sortino", "profit_factor", "win_rate_percent", "lowest_value", "unrealised_profit",
)  # fmt: skip

ANNUALISED = (
    "annual_return_percent", "cagr_percent", "volatility_percent", "sharpe", "sharpe_error", "probabilistic_sharpe",
    "sortino", "calmar",
)  # fmt: skip


@dataclass(frozen=True)
class AccountHistory:
    """The account after each step: event time (ms UTC), value and cash; ``start`` is the initial cash.

    ``session`` is that of the market, whose days have the returns.
    """

    start: float
    interval_ms: int
    ts: Ints
    value: Floats
    cash: Floats
    session: Session = ALWAYS_OPEN


@dataclass(frozen=True)
class ClosedTrades:
    """The closed trades: profit after commission and value at entry (quote currency), holding time (ms)."""

    pnl_net: Floats
    entry_value: Floats
    held: Ints


def account_figures(account: AccountHistory, hold_percent: float | None) -> Figures:
    """Return, risk, and the return of buy-and-hold. Drawdown figures are those of the deepest drawdown."""
    start, ts, value = account.start, account.ts, account.value
    final = float(value[-1]) if len(value) else start
    length = int(ts[-1] - ts[0]) + account.interval_ms if len(ts) else 0
    deepest = metrics.drawdowns(start, ts, value, account.interval_ms, 1)
    depth = deepest[0].percent if deepest else 0.0
    returns = metrics.returns(start, ts, value, account.interval_ms, account.session)
    return {
        "final_value": final,
        "lowest_value": min(float(np.min(value)), start) if len(value) else start,
        "return_percent": metrics.return_percent(start, final),
        "buy_and_hold_percent": hold_percent,
        "daily_returns": float(len(returns.each)),
        **_annualised(returns, metrics.cagr_percent(start, final, length) if length else None, depth),
        "max_drawdown_percent": depth,
        "max_drawdown_amount": deepest[0].amount if deepest else 0.0,
        "max_drawdown_days": deepest[0].length_ms / DAY_MS if deepest else 0.0,
        "exposure_percent": metrics.exposure_percent(value, account.cash),
    }


def _annualised(returns: metrics.Returns, cagr: float | None, depth: float) -> Figures:
    """The figures that speak of a year; all None if the run has fewer than RETURNS_MIN daily returns."""
    if len(returns.each) < metrics.RETURNS_MIN:
        return dict.fromkeys(ANNUALISED)
    figures = (
        returns.annual_percent(), cagr, returns.volatility_percent(), returns.sharpe(), returns.sharpe_error(),
        returns.probabilistic_sharpe(), returns.sortino(), metrics.calmar(cagr, depth),
    )  # fmt: skip
    return dict(zip(ANNUALISED, figures, strict=True))


def open_figures(positions: Sequence[RunPosition], orders: Sequence[RunOrder]) -> Figures:
    """What is open: positions with their unrealised profit (None if it is NaN), and orders that are not filled."""
    profits = [each.unrealised for each in positions]
    return {
        "open_positions": float(len(positions)),
        "unrealised_profit": None if None in profits else math.fsum(filter(None, profits)),
        "open_orders": float(len(orders)),
    }


def trade_figures(closed: ClosedTrades) -> Figures:
    """Figures of the closed trades, and of them alone. A trade's percentage is relative to its value at entry."""
    pnl = closed.pnl_net
    percent = pnl / closed.entry_value * 100
    has_trades = len(pnl) > 0
    return {
        "trades": float(len(pnl)),
        "wins": float(np.count_nonzero(pnl > 0)),
        "draws": float(np.count_nonzero(pnl == 0)),
        "losses": float(np.count_nonzero(pnl < 0)),
        "win_rate_percent": metrics.win_rate_percent(pnl),
        "profit_factor": metrics.profit_factor(pnl),
        "average_trade": metrics.average_trade(pnl),
        "average_trade_percent": float(np.mean(percent)) if has_trades else None,
        "expectancy_ratio": metrics.expectancy_ratio(pnl),
        "sqn": metrics.sqn(pnl),
        "best_trade": float(np.max(pnl)) if has_trades else None,
        "best_trade_percent": float(np.max(percent)) if has_trades else None,
        "worst_trade": float(np.min(pnl)) if has_trades else None,
        "worst_trade_percent": float(np.min(percent)) if has_trades else None,
        "average_hold_hours": float(np.mean(closed.held)) / metrics.HOUR_MS if has_trades else None,
    }
