"""Look-ahead check: orders that change when later bars are cut off were placed with knowledge of those bars."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tapedeck_backtest.bias_checks.rerun import PlacedOrder, StrategyRerun
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace
from tapedeck_crds.base import format_ms

CUTS = 12  # reruns that end at bars with orders, and as many that end at other bars
MAX_FINDINGS = 5


def look_ahead_findings(rerun: StrategyRerun) -> list[str]:
    """One finding for each bar whose orders change, the earliest first; empty if the check passes."""
    events = rerun.events
    full, _ = rerun.run(0, int(events[-1]))
    findings: dict[int, str] = {}
    for cut in _cuts(full, events):
        try:
            truncated, _ = rerun.run(0, cut)
        except Exception as error:  # of any kind: with later bars the strategy did not raise it
            findings.setdefault(cut, f"{format_ms(cut)}: fails without later bars:\n{strategy_trace(error)}")
            continue
        change = _first_change([order for order in full if order.event <= cut], truncated)
        if change is not None:
            findings.setdefault(*change)
    return [findings[event] for event in sorted(findings)][:MAX_FINDINGS]


def _cuts(orders: list[PlacedOrder], events: np.typing.NDArray[np.int64]) -> list[int]:
    """Event times of the last bars of reruns: some with orders, some without, spread evenly."""
    with_orders = np.unique(np.array([order.event for order in orders], dtype=np.int64))
    chosen = {int(event) for times in (with_orders, events[len(events) // 20 : -1]) for event in _spread(times)}
    return sorted(chosen)


def _spread(times: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.int64]:
    if len(times) <= CUTS:
        return times
    return np.take(times, np.linspace(0, len(times) - 1, CUTS).astype(int))


def _first_change(full: list[PlacedOrder], truncated: list[PlacedOrder]) -> tuple[int, str] | None:
    """The event time of the first bar whose orders differ, and the finding."""
    for event in sorted({order.event for order in (*full, *truncated)}):
        with_later = [order for order in full if order.event == event]
        without_later = [order for order in truncated if order.event == event]
        if Counter(with_later) != Counter(without_later):
            finding = f"{_text(with_later)} with all bars, {_text(without_later)} without later bars"
            return event, f"{format_ms(event)}: {finding}"
    return None


def _text(orders: list[PlacedOrder]) -> str:
    return " and ".join(map(str, orders)) or "no order"
