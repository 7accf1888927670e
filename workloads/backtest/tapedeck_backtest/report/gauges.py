"""What the run shows at /metrics: the numbers of its report, read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tapedeck_crds.report import BacktestReport


class RunGauges(Collector):
    """Asks ``report`` at each scrape; what the run has not come to yet is left out."""

    def __init__(self, report: Callable[[], BacktestReport]) -> None:
        self._report = report

    def describe(self) -> list[Metric]:
        """Nothing, so that being registered asks for no report."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Bars and trades as counters, the account as gauges."""
        report = self._report()
        yield CounterMetricFamily("tapedeck_backtest_bars", "Bars the strategy has seen.", value=report.bars)
        yield CounterMetricFamily("tapedeck_backtest_trades", "Closed trades.", value=report.trades)
        gauges = {
            "value": ("Value of the account, in the quote currency.", report.value),
            "return_percent": ("Total return so far.", report.return_percent),
            "max_drawdown_percent": ("Largest fall from a peak so far.", report.max_drawdown_percent),
        }
        for name, (about, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"tapedeck_backtest_{name}", about, value=value)
