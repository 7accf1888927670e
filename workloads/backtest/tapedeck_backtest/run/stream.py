"""Plays a stream to the strategy, after the warm-up history of the spec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.bars.resample import first_open
from tapedeck_backtest.protocol.messages import Outcome
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.giving import give_series, give_stream
from tapedeck_backtest.run.market import market_of
from tapedeck_backtest.sources.stored_bars import read_history
from tapedeck_crds.intervals import BAR_LENGTHS


def run_stream(
    context: RunContext,
    blocks: Iterator[Sequence[TimeStep]],
    exchange: str,
    symbols: list[str],
    interval: str,
    sessions: Sessions,
    limits: Callable[[], Limits],
) -> Outcome:
    """Run the strategy over a stream. ``limits`` returns those of the stream once it has begun.

    Raises RunFailed, StrategyKilled, Interrupted, Unavailable and psycopg.Error.
    """
    warmup, begins, history = context.spec.data.warmup_bars, 0, dict[str, BarArrays]()
    first = next(blocks, None)
    known = limits()
    if first is not None:
        blocks = chain([first], blocks)
        if warmup:
            begins = first[0][0]
            before = BAR_LENGTHS[interval].open_of(begins - 1)
            history = read_history(context.connections, exchange, symbols, interval, before, warmup)
            known = Limits(first_open(history, interval), known.end)
    market = market_of(context.spec, exchange, symbols, interval, sessions, known, history, begins)
    give_series(context, market, history)
    return give_stream(context, blocks)
