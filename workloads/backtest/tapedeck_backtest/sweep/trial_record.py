"""The record of a trial, from what the strategy's process says of it."""

from __future__ import annotations

import msgspec

from tapedeck_backtest.sweep.ranking import is_feasible, metric_value
from tapedeck_backtest.sweep.search_space import Params
from tapedeck_common.records import RunTrial
from tapedeck_crds.sweep import Sweep

Metrics = dict[str, float | None]


def trial_record(
    run_id: str,
    sweep: Sweep,
    window: int,
    number: int,
    params: Params,
    span: tuple[int, int],
    metrics: Metrics,
    trades_hash: str,
    message: str,
) -> RunTrial:
    """The record of a trial over opens in ``span``, ms UTC. A failed one has a ``message`` and no metrics."""
    metrics = {} if message else metrics
    return RunTrial(
        run_id=run_id,
        window=window,
        trial=number,
        params=msgspec.Raw(msgspec.json.encode(params)),
        start=span[0],
        end=span[1],
        metrics=metrics,
        objective=metric_value(metrics, sweep.objective.metric),
        feasible=is_feasible(sweep, metrics),
        trades_hash="" if message else trades_hash,
        message=message,
    )
