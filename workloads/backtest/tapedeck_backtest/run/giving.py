"""Gives bars to the strategy's process, and takes the outcome of the run over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Ended, EndOfBars, NextBlock, Outcome, RunMarket
from tapedeck_backtest.run.bars_out import series_messages, step_blocks
from tapedeck_backtest.run.context import RunContext


def give_series(context: RunContext, market: RunMarket, series: Mapping[str, BarArrays]) -> None:
    """Give the market and all bars of it. Raises RunFailed, StrategyKilled, Interrupted and Unavailable."""
    context.notices.give_bars(sum(market.rows))
    context.process.send(market)
    for message in series_messages(series):
        context.process.send(message)


def give_stream(context: RunContext, blocks: Iterator[Sequence[TimeStep]]) -> Outcome:
    """Give the bars of a stream, after its market, and return the outcome. A block is read while one is processed.

    Raises as ``give_series``, and what ``blocks`` raises.
    """
    process = context.process
    try:
        for steps in blocks:
            for block, bars in step_blocks(steps):
                process.answer(NextBlock)
                context.notices.give_bars(bars)
                process.send(block)
    except RunFailed:
        if process.failed:
            raise
        context.outcome = _break_off(context)  # the stream failed
        raise
    process.answer(NextBlock)
    process.send(EndOfBars())
    return context.ended()


def _break_off(context: RunContext) -> Outcome | None:
    """The outcome of a run whose stream broke off, with all that the strategy did until then."""
    process = context.process
    process.answer(NextBlock)
    process.send(EndOfBars(broken=True))
    return context.notices.take(process.answer(Ended).outcome)
