"""The bars of a run, as the pod gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.child.channel import PodChannel
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import EndOfBars, NextBlock, RunMarket, StepBlock, SymbolRows
from tapedeck_common.market import Bar
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.session import Session

IDLE_SECONDS = 0.25  # without bars, before pending results are sent


class StreamBroken(RunFailed):
    """The pod's stream broke off; the pod knows why."""

    def __init__(self) -> None:
        super().__init__("StreamBroken", "the stream of bars broke off")


def sessions_of(market: RunMarket) -> Sessions:
    """The session of each symbol."""
    return {symbol: Session.model_validate_json(each) for symbol, each in market.sessions.items()}


def limits_of(market: RunMarket) -> Limits:
    """The times from which and to which bars are known."""
    return Limits(market.start, market.end)


def spec_of(spec: BacktestSpec, market: RunMarket) -> BacktestSpec:
    """The spec with the session that the run has."""
    session = Session.model_validate_json(market.session) if market.session is not None else None
    return spec.model_copy(update={"data": spec.data.model_copy(update={"session": session})})


def read_series(channel: PodChannel, market: RunMarket) -> dict[str, BarArrays]:
    """The bars of each symbol that follow the market."""
    return {
        symbol: _read_symbol(channel, rows)
        for symbol, rows in zip(market.symbols, market.rows, strict=bool(market.rows))
    }


def read_steps(channel: PodChannel, market: RunMarket, idle: Callable[[], None]) -> Iterator[TimeStep]:
    """The steps of a stream until its end. Calls ``idle`` when no bars arrive. Raises StreamBroken."""
    while True:
        channel.send(NextBlock())
        if not channel.has_message(IDLE_SECONDS):
            idle()
        block = channel.receive()
        if isinstance(block, EndOfBars):
            if block.broken:
                raise StreamBroken
            return
        if not isinstance(block, StepBlock):
            raise TypeError(f"got {type(block).__name__}, expected StepBlock or EndOfBars")
        yield from _steps(block, market)


def _read_symbol(channel: PodChannel, rows: int) -> BarArrays:
    columns: dict[str, Any] = {name: np.empty(rows) for name in ("open", "high", "low", "close", "volume")}
    columns["event"] = np.empty(rows, dtype=np.int64)
    done = 0
    while done < rows:
        part = channel.receive_of(SymbolRows)
        for name, column in columns.items():
            values = np.frombuffer(getattr(part, name), dtype=column.dtype)
            column[done : done + len(values)] = values
        done += len(values)
    return BarArrays(**columns)


def _steps(block: StepBlock, market: RunMarket) -> Iterator[TimeStep]:
    times = (np.frombuffer(each, dtype=np.int64).tolist() for each in (block.event, block.feed, block.ts))
    prices = (block.open, block.high, block.low, block.close, block.volume)
    bars = zip(*times, *(np.frombuffer(each, dtype=np.float64).tolist() for each in prices), strict=True)
    exchange, symbols, interval = market.exchange, market.symbols, market.interval
    for event, rows in groupby(bars, key=lambda bar: bar[0]):
        yield event, [(feed, Bar(exchange, symbols[feed], interval, *values)) for _, feed, *values in rows]
