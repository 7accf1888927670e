"""Whether a run can be vectorised, and the vectorised run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.portfolio import LongOnlyPortfolio, NeedsEngine
from tapedeck_backtest.vector.signals import VECTOR_STRATEGIES, VectorSeries
from tapedeck_crds.backtest import BacktestSpec


def vector_series(spec: BacktestSpec, strategy: type[Any], series: dict[str, BarArrays]) -> VectorSeries | None:
    """The bars for a vectorised run; None if only the engine can run this strategy, spec or data."""
    if strategy not in VECTOR_STRATEGIES or len(series) != 1 or spec.broker.fill != "nextOpen":
        return None
    if spec.broker.cheat_on_open:  # the margin of an order is then checked at another price
        return None
    if spec.data.intervals or spec.data.warmup_bars or spec.observers or spec.analyzers:
        return None
    (columns,) = series.values()
    prices = (columns.open, columns.high, columns.low, columns.close)
    return VectorSeries(columns) if all(np.isfinite(each).all() and (each > 0).all() for each in prices) else None


def run_vectorised(
    spec: BacktestSpec, strategy: type[Any], params: dict[str, Any], symbol: str, series: VectorSeries, results: Results
) -> bool:
    """Fill ``results`` with what the engine would. False, with unusable ``results``, if only the engine can."""
    defaults = dict(strategy.params._getpairs())
    if any(isinstance(defaults[name], int) and not isinstance(value, int) for name, value in params.items()):
        return False  # the strategy refuses a length that is no whole number
    all_params = SimpleNamespace(**defaults | params)
    vectorised = VECTOR_STRATEGIES[strategy]
    if not vectorised.accepts(all_params) or len(series.columns.event) <= vectorised.min_bars(all_params):
        return False
    try:
        LongOnlyPortfolio(spec, symbol, series.columns, vectorised.signals(series, all_params), results).run()
    except NeedsEngine:
        return False
    return True
