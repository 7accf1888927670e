"""The run's metrics at /metrics: the numbers of its report, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tapedeck_crds.report import BacktestReport


class RunGauges(Collector):
    """Calls ``report`` at each scrape; numbers that the run does not have yet are left out."""

    def __init__(self, report: Callable[[], BacktestReport]) -> None:
        self._report = report

    def describe(self) -> list[Metric]:
        """Nothing, so that registration does not call ``report``."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Bars and trades as counters, the account as gauges."""
        report = self._report()
        yield CounterMetricFamily("tapedeck_backtest_bars", "Bars that the strategy has processed.", value=report.bars)
        yield CounterMetricFamily("tapedeck_backtest_trades", "Closed trades.", value=report.trades)
        gauges = {
            "value": ("Value of the account, in the quote currency.", report.value),
            "return_percent": ("Total return so far, in percent.", report.return_percent),
            "max_drawdown_percent": ("Maximum drawdown so far, in percent.", report.max_drawdown_percent),
        }
        for name, (about, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"tapedeck_backtest_{name}", about, value=value)
