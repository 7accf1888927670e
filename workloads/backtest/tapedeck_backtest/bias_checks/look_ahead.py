"""Look-ahead analysis: orders that change when the bars after them are cut off were made with knowledge of those."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tapedeck_backtest.bias_checks.rerun import Lab, Signal
from tapedeck_backtest.sandbox.trace import strategy_trace
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import Interrupted

CUTS = 12  # at bars with orders, and as many at other bars
SHOWN = 5


def look_ahead(lab: Lab) -> list[str]:
    """A sentence for each bar whose orders change, the earliest first; none where all is well."""
    events = lab.events
    whole, _ = lab.run(0, int(events[-1]))
    found: dict[int, str] = {}
    for cut in _cuts(whole, events):
        try:
            seen, _ = lab.run(0, cut)
        except Interrupted:
            raise
        except Exception as error:  # whatever it is: with later bars it did not come
            found.setdefault(cut, f"{format_ms(cut)}: where later bars are cut off:\n{strategy_trace(error)}")
            continue
        changed = _first_change([s for s in whole if s.event <= cut], seen)
        if changed is not None:
            found.setdefault(*changed)
    return [found[event] for event in sorted(found)][:SHOWN]


def _cuts(whole: list[Signal], events: np.typing.NDArray[np.int64]) -> list[int]:
    """Event times to cut after: some with orders, some without, spread evenly."""
    ordered = np.unique(np.array([signal.event for signal in whole], dtype=np.int64))
    chosen = {int(event) for times in (ordered, events[len(events) // 20 : -1]) for event in _spread(times)}
    return sorted(chosen)


def _spread(times: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.int64]:
    if len(times) <= CUTS:
        return times
    return np.take(times, np.linspace(0, len(times) - 1, CUTS).astype(int))


def _first_change(whole: list[Signal], cut: list[Signal]) -> tuple[int, str] | None:
    for event in sorted({signal.event for signal in (*whole, *cut)}):
        with_all = [s for s in whole if s.event == event]
        without = [s for s in cut if s.event == event]
        if Counter(with_all) != Counter(without):
            told = f"{_text(with_all)} with all bars, {_text(without)} where later ones are cut off"
            return event, f"{format_ms(event)}: {told}"
    return None


def _text(signals: list[Signal]) -> str:
    return " and ".join(map(str, signals)) or "no order"
