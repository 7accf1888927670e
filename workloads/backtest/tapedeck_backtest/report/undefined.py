"""Why a figure of a run is undefined, in words; follows from the other figures alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pydantic.alias_generators import to_camel

from tapedeck_backtest.report.metrics import RETURNS_MIN, TRADES_MIN
from tapedeck_backtest.report.summary import ANNUALISED, Figures

_WITHOUT_TRADES = ("buy_and_hold_percent", "exposure_percent", "unrealised_profit")  # defined without a closed trade
_OF_SWEEPS = ("best_sharpe", "best_sharpe_error", "deflated_sharpe")
_NO_LOSS = "no closed trade has a loss"
_OTHER_REASONS = {
    "buy_and_hold_percent": "the first close of each symbol is 0 or below",
    "exposure_percent": "the run has no bars",
    "cagr_percent": "the growth is beyond any meaning",
    "sharpe": "all daily returns are equal",
    "sharpe_error": "all daily returns are equal",
    "probabilistic_sharpe": "all daily returns are equal",
    "sortino": "no daily return is below 0",
    "calmar": "the run has no drawdown",
    "annual_return_percent": "the run has no bars",
    "volatility_percent": "the run has no bars",
    "profit_factor": _NO_LOSS,
    "expectancy_ratio": _NO_LOSS,
    "sqn": "all closed trades have the same profit",
    "unrealised_profit": "the last close of an open position is no number",
}


def undefined(figures: Figures) -> dict[str, str]:
    """The reason for each figure that is None."""
    return {name: _reason(name, figures) for name, figure in figures.items() if figure is None}


def reason_lines(reasons: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each reason, with the names that figures have in the status: "cagrPercent, sharpe: reason"."""
    names = defaultdict(list)
    for name, reason in reasons.items():
        names[reason].append(to_camel(name))
    return tuple(f"{', '.join(each)}: {reason}" for reason, each in names.items())


def _reason(name: str, figures: Figures) -> str:
    if name in _OF_SWEEPS:
        return _reason_of_sweep(figures)
    returns, trades, depth = (figures.get(each) or 0.0 for each in ("daily_returns", "trades", "max_drawdown_percent"))
    if name in ANNUALISED and depth >= 100:
        return "the account's value fell to 0 or below"
    if name in ANNUALISED and returns < RETURNS_MIN:
        return f"got {returns:g} daily returns, expected at least {RETURNS_MIN}"
    if name == "sqn" and 0 < trades < TRADES_MIN:
        return f"got {trades:g} closed trades, expected at least {TRADES_MIN}"
    if trades == 0 and name not in (*ANNUALISED, *_WITHOUT_TRADES):
        return "the run has no closed trade"
    return _OTHER_REASONS.get(name, "the account is no number")


def _reason_of_sweep(figures: Figures) -> str:
    if figures.get("best_sharpe") is None:
        return f"the best trial has no Sharpe ratio, which needs {RETURNS_MIN} daily returns"
    if (figures.get("trials_with_sharpe") or 0.0) < 2:
        return "expected two trials or more with a Sharpe ratio"
    return "all daily returns of the best trial are equal"
