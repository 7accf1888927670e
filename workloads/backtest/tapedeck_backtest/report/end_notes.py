"""What a report must say of a run's end, because its figures alone may look fine."""

from __future__ import annotations

from collections.abc import Mapping

from tapedeck_backtest.report.summary import Figures

BUST = "Bust"
"""The reason of a run whose account was worth nothing or less after a step. It continues, as in Backtrader."""


def is_bust(figures: Mapping[str, float | None]) -> bool:
    """Whether the account was worth nothing or less after a step."""
    lowest = figures.get("lowest_value")
    return lowest is not None and lowest <= 0


def end_notes(figures: Figures) -> list[str]:
    """A sentence each on a ruined account, on open positions, and on orders that were never filled or rejected."""
    notes = []
    if is_bust(figures):
        notes.append(f"{BUST}: the account's value fell to {figures['lowest_value']:.2f}")
    if positions := int(figures.get("open_positions") or 0):
        profit, trades = figures.get("unrealised_profit"), int(figures.get("trades") or 0)
        open_ = f"{positions} open position{'s' * (positions > 1)} at the end"
        notes.append(open_ + (f", unrealised profit {profit:+.2f}" if profit is not None else ""))
        if trades:
            notes.append(f"win rate and profit factor count the {trades} closed trade{'s' * (trades > 1)} alone")
    if orders := int(figures.get("open_orders") or 0):
        notes.append(f"{orders} order{'s' * (orders > 1)} never filled")
    if rejected := int(figures.get("rejected_orders") or 0):
        notes.append(f"{rejected} order{'s' * (rejected > 1)} rejected")
    return notes
