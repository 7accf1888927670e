"""The process of a strategy by itself: without a pod, a broker or a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import tapedeck_backtest.child.main  # noqa: F401 (each fork has it then)
from pods.engine import columns_of
from tapedeck_backtest.__main__ import serve
from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import NO_LIMITS
from tapedeck_backtest.protocol.messages import Ended, Outcome
from tapedeck_backtest.run.bars_out import series_messages
from tapedeck_backtest.run.market import market_of
from tapedeck_backtest.run.notices import NoticeReceiver
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.supervisor.strategy_process import start_process
from tapedeck_common.market import Bar
from tapedeck_common.records import ResultRecord
from tapedeck_common.settings import PodSettings
from tapedeck_crds.backtest import BacktestSpec


@dataclass
class RecordSink:
    """In place of the publisher: ``publish`` receives what a pod would publish."""

    publish: Callable[[ResultRecord], object]


def run_series(
    spec: BacktestSpec,
    settings: PodSettings,
    series: Mapping[str, BarArrays],
    publish: Callable[[ResultRecord], object],
) -> Outcome:
    """Run the spec's strategy over stored bars as a pod does, in a process of its own. Raises RunFailed."""
    assert spec.data.store is not None
    exchange, interval, symbols = spec.data.store.exchange, spec.data.store.interval, list(series)
    notices = NoticeReceiver(RunProgress(settings.uid), RecordSink(publish))  # type: ignore[arg-type]
    notices.begin(settings.uid, symbols, ())
    process = start_process(serve)
    try:
        process.begin(spec, settings, Event(), notices.receive)
        notices.give_bars(sum(len(columns.event) for columns in series.values()))
        process.send(market_of(spec, exchange, symbols, interval, {}, NO_LIMITS, series))
        for message in series_messages(series):
            process.send(message)
        return notices.take(process.answer(Ended).outcome)
    finally:
        process.end()


def run_strategy(
    folder: Path, bars: Sequence[Bar], module: str, run_id: str = "run", **more: Any
) -> tuple[Outcome, list[ResultRecord]]:
    """Run ``module`` (name:Class) of the folder over the bars of A. Raises RunFailed."""
    spec = BacktestSpec.model_validate(
        {"strategy": {"module": module}, "data": {"store": {"exchange": "x", "symbols": ["A"]}}, **more}
    )
    settings = PodSettings(uid=run_id, files=folder, connections=folder / "connections")
    records: list[ResultRecord] = []
    return run_series(spec, settings, {"A": columns_of(bars)}, records.append), records
