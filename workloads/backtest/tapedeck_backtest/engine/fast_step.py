"""The strategy's turn at a bar of a range, as Backtrader's own takes it, without asking each time what can't change.

Indicators know all their values then: a turn moves the strategy and its indicators on by one, tells of orders and
trades where there are any, and calls the strategy and its analyzers. A strategy that replaces one of the steps takes
Backtrader's own turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import backtrader as bt
from backtrader.linebuffer import LineBuffer
from backtrader.lineseries import LineSeries

Turn = Callable[[float], None]
_STEPS = (
    "_oncepost", "_notify", "_getminperstatus", "_next_analyzers", "_next_observers", "_addnotification", "forward",
    "clear", "__len__", "__getattribute__",
)  # fmt: skip
_CASH = ("notify_cashvalue", "notify_fund")


def turn_of(strategy: Any) -> Turn:
    """What to call with each event time (Backtrader's days), once the strategy's indicators are computed."""
    if not _as_it_comes(strategy):
        return cast("Turn", strategy._oncepost)
    followers = [_follower(each) for each in strategy._lineiterators[bt.LineIterator.IndType]]
    now, *others = list(strategy.lines)
    analyzers = list(strategy.analyzers)
    told_of_cash = _told_of_cash(strategy, analyzers)
    ready = False

    def turn(days: float) -> None:
        nonlocal ready
        for clock, own, lines in followers:
            if clock.lencount > own.lencount:
                for line in lines:
                    line._idx += 1
                    line.lencount += 1
        now.array.append(days)
        now._idx += 1
        now.lencount += 1
        for line in others:
            line.array.append(math.nan)
            line._idx += 1
            line.lencount += 1
        if told_of_cash or strategy._orderspending or strategy._tradespending:
            strategy._notify()
        if ready:
            strategy.next()
            for analyzer in analyzers:
                analyzer._next()
        else:
            status = strategy._getminperstatus()
            ready = status < 0
            if ready:
                strategy.next()
            elif status == 0:
                strategy.nextstart()
            else:
                strategy.prenext()
            strategy._next_analyzers(status, once=True)
        if strategy._orderspending or strategy._tradespending:
            strategy.clear()

    return turn


def _as_it_comes(strategy: Any) -> bool:
    cls = type(strategy)
    return (
        all(getattr(cls, step) is getattr(bt.Strategy, step) for step in _STEPS)
        and not strategy._oldsync
        and not strategy.cerebro.p.quicknotify
        and not strategy._lineiterators[bt.LineIterator.ObsType]
        and not any(line.bindings for line in strategy.lines)
        and all(_follows(each) for each in strategy._lineiterators[bt.LineIterator.IndType])
    )


def _follows(indicator: Any) -> bool:
    """Whether the indicator moves on as Backtrader's own do: when its clock has, all its lines by one."""
    return (
        type(indicator).advance in (bt.Indicator.advance, LineBuffer.advance)
        and _length(indicator) is not None
        and _length(indicator._clock) is not None
    )


def _length(lines: Any) -> Any:
    """The buffer whose count is the length of ``lines``; None where they count otherwise."""
    counts = type(lines).__len__
    if counts is LineBuffer.__len__:
        return lines
    return lines.lines[0] if counts is LineSeries.__len__ else None


def _follower(indicator: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    own = _length(indicator)
    return _length(indicator._clock), own, (own,) if own is indicator else tuple(indicator.lines)


def _told_of_cash(strategy: Any, analyzers: list[Any]) -> bool:
    """Whether someone wants the account's value before each turn."""
    if any(getattr(type(strategy), name) is not getattr(bt.Strategy, name) for name in _CASH):
        return True
    return bool(strategy._slave_analyzers) or any(
        each._children or getattr(type(each), name) is not getattr(bt.Analyzer, name)
        for each in analyzers
        for name in _CASH
    )
