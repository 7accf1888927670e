"""A strategy's step over a stored range, equal to Backtrader's ``_oncepost`` without its repeated checks.

Indicators have all their values before the first step. A step then moves the strategy's and the indicators' lines by
one, delivers order and trade notifications, and calls the strategy, its analyzers and its observers. A strategy that
overrides one of these methods uses Backtrader's own step. README.md in this folder lists the conditions and why the
result is equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import backtrader as bt
from backtrader.linebuffer import LineBuffer
from backtrader.lineseries import LineSeries

StepFunction = Callable[[float], None]
"""Called with the strategy's datetime at each step, in Backtrader days."""
_STEP_METHODS = (
    "_oncepost", "_notify", "_getminperstatus", "_next_analyzers", "_next_observers", "_addnotification", "forward",
    "clear", "__len__", "__getattribute__",
)  # fmt: skip
_CASH_METHODS = ("notify_cashvalue", "notify_fund")


def step_function(strategy: Any) -> StepFunction:
    """The strategy's step. Call this after its indicators have been computed."""
    if not _has_stock_step(strategy):
        return cast("StepFunction", strategy._oncepost)
    indicators = [_lines_to_advance(each) for each in strategy._lineiterators[bt.LineIterator.IndType]]
    datetime_line, *other_lines = list(strategy.lines)
    analyzers = list(strategy.analyzers)
    analyzer_steps = [_step_of(analyzer) for analyzer in analyzers]
    observers = strategy._lineiterators[bt.LineIterator.ObsType]
    notifies_cash = _notifies_cash(strategy, analyzers)
    past_min_period = False

    def step(days: float) -> None:
        nonlocal past_min_period
        for clock, own, lines in indicators:
            if clock.lencount > own.lencount:
                for line in lines:
                    line._idx += 1
                    line.lencount += 1
        datetime_line.array.append(days)
        datetime_line._idx += 1
        datetime_line.lencount += 1
        for line in other_lines:
            line.array.append(math.nan)
            line._idx += 1
            line.lencount += 1
        if notifies_cash or strategy._orderspending or strategy._tradespending:
            strategy._notify()
        if past_min_period:
            strategy.next()
            for analyze in analyzer_steps:
                analyze()
            if observers:
                strategy._next_observers(-1, once=True)
        else:
            status = strategy._getminperstatus()
            past_min_period = status < 0
            if past_min_period:
                strategy.next()
            elif status == 0:
                strategy.nextstart()
            else:
                strategy.prenext()
            strategy._next_analyzers(status, once=True)
            strategy._next_observers(status, once=True)
        if strategy._orderspending or strategy._tradespending:
            strategy.clear()

    return step


def _step_of(analyzer: Any) -> Callable[[], None]:
    """What ``analyzer._next`` does in the end, where it does nothing else before."""
    is_plain = type(analyzer)._next is bt.Analyzer._next and not analyzer._children
    return cast("Callable[[], None]", analyzer.next if is_plain else analyzer._next)


def _has_stock_step(strategy: Any) -> bool:
    cls = type(strategy)
    return (
        all(getattr(cls, name) is getattr(bt.Strategy, name) for name in _STEP_METHODS)
        and not strategy._oldsync
        and not strategy.cerebro.p.quicknotify
        and not any(line.bindings for line in strategy.lines)
        and all(_has_stock_advance(each) for each in strategy._lineiterators[bt.LineIterator.IndType])
    )


def _has_stock_advance(indicator: Any) -> bool:
    """Whether the indicator moves on like Backtrader's own: if its clock has a new bar, all its lines by one."""
    return (
        type(indicator).advance in (bt.Indicator.advance, LineBuffer.advance)
        and _length_buffer(indicator) is not None
        and _length_buffer(indicator._clock) is not None
    )


def _length_buffer(lines: Any) -> Any:
    """The buffer whose ``lencount`` is the length of ``lines``; None if the length is defined in another way."""
    length_method = type(lines).__len__
    if length_method is LineBuffer.__len__:
        return lines
    return lines.lines[0] if length_method is LineSeries.__len__ else None


def _lines_to_advance(indicator: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """The buffers of its clock's length and of its own length, and the lines that move on together."""
    own = _length_buffer(indicator)
    return _length_buffer(indicator._clock), own, (own,) if own is indicator else tuple(indicator.lines)


def _notifies_cash(strategy: Any, analyzers: list[Any]) -> bool:
    """Whether the strategy or an analyzer receives the account's value before each step."""
    if any(getattr(type(strategy), name) is not getattr(bt.Strategy, name) for name in _CASH_METHODS):
        return True
    return bool(strategy._slave_analyzers) or any(
        each._children or getattr(type(each), name) is not getattr(bt.Analyzer, name)
        for each in analyzers
        for name in _CASH_METHODS
    )
