"""The figures of a report: formula, source, and how many returns or trades each needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from reference.markdown import code, prose, table
from tapedeck_backtest.report import metrics, summary
from tapedeck_backtest.report.metrics import RETURNS_MIN, TRADES_MIN
from tapedeck_backtest.sweep.outcome import OF_SEARCH
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.fields import find_field

# The function whose docstring has the formula, where the name of the figure does not lead to it.
_FORMULAS: dict[str, Callable[..., object]] = {
    "annual_return_percent": metrics.Returns.annual_percent,
    "volatility_percent": metrics.Returns.volatility_percent,
    "sharpe": metrics.Returns.sharpe,
    "sharpe_error": metrics.Returns.sharpe_error,
    "probabilistic_sharpe": metrics.Returns.probabilistic_sharpe,
    "sortino": metrics.Returns.sortino,
    "buy_and_hold_percent": metrics.hold_percent,
}
_SAID = {
    "final_value": "The account's value after the last bar, quote currency.",
    "lowest_value": "The lowest value of the account after a bar, or before the first, quote currency.",
    "daily_returns": "The number of returns of trading days, or of longer bars.",
    "max_drawdown_percent": "The largest (peak - value) / peak × 100; the first peak is the initial cash.",
    "max_drawdown_amount": "The deepest drawdown, quote currency.",
    "max_drawdown_days": "The length of the deepest drawdown, from its peak until the peak is reached again, days.",
    "open_positions": "The number of open positions.",
    "unrealised_profit": "The profit of the open positions at the last close, quote currency.",
    "open_orders": "The number of orders that are not filled.",
    "trades": "The number of closed trades.",
    "wins": "Closed trades with a profit after commission.",
    "draws": "Closed trades without profit and loss.",
    "losses": "Closed trades with a loss after commission.",
    "average_trade_percent": "Mean of profit / value at entry × 100.",
    "best_trade": "The largest profit of a closed trade, quote currency.",
    "best_trade_percent": "The largest of profit / value at entry × 100.",
    "worst_trade": "The largest loss of a closed trade, quote currency.",
    "worst_trade_percent": "The lowest of profit / value at entry × 100.",
    "best_sharpe": "Of a sweep: the Sharpe ratio of its best trial.",
    "best_sharpe_error": "Of a sweep: the standard error of the best trial's Sharpe ratio.",
    "deflated_sharpe": "Of a sweep: probability that the best trial's true Sharpe ratio is above what the best of as "
    "many trials without skill reaches (Bailey and López de Prado 2014).",
    "trials_with_sharpe": "Of a sweep: the number of trials that have a Sharpe ratio.",
    "average_hold_hours": "Mean time from entry to exit, hours.",
}


def names() -> list[str]:
    """Every figure of a run, in the order of a report."""
    none, never = np.empty(0), np.empty(0, np.int64)
    account = summary.AccountHistory(1.0, 60_000, never, none, none)
    closed = summary.ClosedTrades(none, none, never)
    return [
        *summary.account_figures(account, None), *summary.open_figures([], []), *summary.trade_figures(closed),
        *OF_SEARCH,
    ]  # fmt: skip


def formula(name: str) -> str:
    """What a figure is; empty where nothing says it."""
    if name in _SAID:
        return _SAID[name]
    function = _FORMULAS.get(name) or getattr(metrics, name, None)
    return " ".join((inspect.getdoc(function) or "").split()) if function is not None else ""


def page() -> str:
    """The page of figures."""
    rows = [(code(name), prose(formula(name)), _needs(name), _status_field(name)) for name in names()]
    return "\n".join(
        [
            "# Figures of a report\n",
            "`metrics` of a run, by name. Returns are those of trading days: of `data.session`, or days in UTC "
            "of a market "
            "that never closes (365 a year). A figure that has too few of them, or cannot be computed, is missing, and "
            "`undefined` says why. Profits are after commission. "
            "[Backtests](../guides/strategies.md#broker-and-report) says how the report is read.\n",
            table(("figure", "formula and source", "needs", "in the status as"), rows),
        ]
    )


def _needs(name: str) -> str:
    if name == "deflated_sharpe":
        return "2 trials with a Sharpe ratio"
    if name in summary.ANNUALISED:
        return f"{RETURNS_MIN} daily returns"
    if name == "sqn":
        return f"{TRADES_MIN} closed trades"
    return ""


def _status_field(name: str) -> str:
    head, *rest = name.split("_")
    field = head + "".join(word.capitalize() for word in rest)
    field = {"finalValue": "value"}.get(field, field)
    try:
        return code(find_field("Backtest", ["status", field]).name)
    except InvalidInput:
        return ""
