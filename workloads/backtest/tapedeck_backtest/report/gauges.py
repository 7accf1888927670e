"""The run's metrics at /metrics: the numbers of its report, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from tapedeck_common.metrics import counter_family, gauge_family
from tapedeck_crds.report import BacktestReport


class RunGauges(Collector):
    """Calls ``report`` at each scrape; numbers that the run does not have yet are left out."""

    def __init__(self, report: Callable[[], BacktestReport]) -> None:
        self._report = report

    def describe(self) -> list[Metric]:
        """Nothing, so that registration does not call ``report``."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Bars, trades and trials as counters, the account as gauges."""
        report = self._report()
        is_sweep = report.trials > 0
        for name, about, number in (
            ("bars", "Bars that the strategy has processed.", report.bars),
            ("closed_trades", "Closed trades.", report.trades),
            (
                "trials",
                "Trials of a sweep that this shard has completed, those found in the store included.",
                report.tried if is_sweep else None,
            ),
        ):
            yield counter_family(f"tapedeck_backtest_{name}_total", about, number)
        for name, about, value in (
            ("expected_bars", "Bars of the run.", report.total or None),
            ("expected_trials", "Trials of the sweep, of all shards.", report.trials or None),
            ("account_value", "Value of the account, in the quote currency.", report.value),
            ("return_ratio", "Total return so far.", _ratio(report.return_percent)),
            ("max_drawdown_ratio", "Largest drawdown from a peak so far.", _ratio(report.max_drawdown_percent)),
        ):
            yield gauge_family(f"tapedeck_backtest_{name}", about, value)


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
