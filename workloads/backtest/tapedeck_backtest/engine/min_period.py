"""How many bars the indicators of a strategy need before its first ``next``."""

from __future__ import annotations

from typing import Any

from tapedeck_backtest.bars.arrays import interval_of
from tapedeck_backtest.engine.cerebro import BacktestEngine
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.intervals import BAR_LENGTHS


def min_period(strategy: Any, width: int) -> int:
    """Bars of ``width`` (ms) that a started strategy needs. On a resampled feed: its bars, and one incomplete bar."""
    needed: list[int] = []
    for data, bars in zip(strategy.datas, strategy._minperiods, strict=True):
        interval = interval_of(data._name)
        needed.append((bars + 1) * (BAR_LENGTHS[interval].ms // width) if interval else bars)
    return max(needed)


class _Found(TapedeckError):
    """Ends the engine before its first bar. Internal: it never leaves this module."""

    def __init__(self, strategy: Any) -> None:
        super().__init__("the minimum period is known")
        self.strategy = strategy


def probed(strategy: type[Any]) -> type[Any]:
    """The strategy, which stops the engine once its indicators are made and before its own ``start``."""

    class Probed(strategy):  # type: ignore[misc]
        def _start(self) -> None:
            self._periodset()
            raise _Found(self)

    Probed.__name__ = strategy.__name__
    return Probed


def probe(engine: BacktestEngine, width: int) -> int:
    """The minimum period of an engine with a ``probed`` strategy; 0 if the strategy's ``__init__`` fails.

    The failure appears again when the strategy runs.
    """
    try:
        engine.run()
    except _Found as found:
        return min_period(found.strategy, width)
    except (Exception, SystemExit):
        return 0
    return 0
