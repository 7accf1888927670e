"""The market of a run, as its strategy's process is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.protocol.messages import RunMarket
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.session import Session


def market_of(
    spec: BacktestSpec,
    exchange: str,
    symbols: Sequence[str],
    interval: str,
    sessions: Sessions,
    limits: Limits,
    series: Mapping[str, BarArrays],
    begins: int = 0,
) -> RunMarket:
    """The market, with the numbers of the bars in ``series`` that follow; see RunMarket."""
    session = spec.data.session
    return RunMarket(
        exchange=exchange,
        symbols=list(symbols),
        interval=interval,
        sessions={symbol: _json(each) for symbol, each in sessions.items()},
        session=_json(session) if session is not None else None,
        rows=[len(columns.event) for columns in series.values()],
        begins=begins,
        start=limits.start,
        end=limits.end,
    )


def _json(session: Session) -> bytes:
    return session.model_dump_json(by_alias=True).encode()
