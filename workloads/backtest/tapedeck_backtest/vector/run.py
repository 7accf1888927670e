"""Whether a run can be made over whole arrays, and the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.portfolio import Trading, Unlike
from tapedeck_backtest.vector.signals import WAYS, Market
from tapedeck_crds.backtest import BacktestSpec


def market_for(spec: BacktestSpec, strategy: type[Any], series: dict[str, Columns]) -> Market | None:
    """The bars as they can be traded over whole arrays; None where the engine must."""
    if strategy not in WAYS or len(series) != 1 or spec.broker.fill != "nextOpen":
        return None
    if spec.data.intervals or spec.data.warmup_bars:
        return None
    (columns,) = series.values()
    prices = (columns.open, columns.high, columns.low, columns.close)
    return Market(columns) if all(np.isfinite(each).all() and (each > 0).all() for each in prices) else None


def trade(
    spec: BacktestSpec, strategy: type[Any], params: dict[str, Any], symbol: str, market: Market, results: Results
) -> bool:
    """Fill ``results`` as the engine would. False, with ``results`` spoilt, where only the engine can."""
    chosen = SimpleNamespace(**dict(strategy.params._getpairs()) | params)
    way = WAYS[strategy]
    if not way.takes(chosen) or len(market.columns.event) <= way.bars(chosen):
        return False
    try:
        Trading(spec, symbol, market.columns, way.marks(market, chosen), results).run()
    except Unlike:
        return False
    return True
