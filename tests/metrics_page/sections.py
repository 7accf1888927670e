"""The metrics of each pod, as its program registers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import REGISTRY, Collector

import tapedeck_common.metrics
import tapedeck_feed.exchanges.request_metrics
import tapedeck_gateway.push.metrics
import tapedeck_gateway.routes.open_sockets
import tapedeck_gateway.routes.request_metrics
import tapedeck_gateway.server.certificate_expiry
import tapedeck_gateway.server.connection_table
import tapedeck_gateway.server.http_protocol
import tapedeck_gateway.service_monitor
import tapedeck_gateway.topics.topic_reader
import tapedeck_operator.cluster.metrics
import tapedeck_operator.reconcile.metrics
import tapedeck_recorder.lag
import tapedeck_recorder.metrics
import tapedeck_replay.metrics
import tapedeck_transform.stats
from tapedeck_backtest.report.gauges import RunGauges
from tapedeck_crds.report import BacktestReport
from tapedeck_feed.backfill.stats import BackfillStats
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.stats import FeedStats
from tapedeck_operator.reconcile.resource_metrics import ResourceMetrics


class DescribedMetric(NamedTuple):
    """A metric as a query names it, a histogram without its endings."""

    name: str
    type: str
    labels: tuple[str, ...]
    about: str

    @property
    def series(self) -> set[str]:
        """The names of its series."""
        endings = ("_bucket", "_sum", "_count") if self.type == "histogram" else ("",)
        return {self.name + ending for ending in endings}


@dataclass(frozen=True)
class Section:
    """One pod's own metrics. ``note`` says what they have in common."""

    title: str
    note: str
    modules: Sequence[ModuleType] = ()
    collectors: Sequence[Collector] = ()

    def metrics(self) -> list[DescribedMetric]:
        """All of them, by name."""
        registered = [each for module in self.modules for each in _registered(module)]
        found = {metric.name: metric for each in (*registered, *self.collectors) for metric in _described(each)}
        return [found[name] for name in sorted(found)]


def _registered(module: ModuleType) -> Iterator[Collector]:
    """The collectors that a module makes and registers."""
    for value in vars(module).values():
        if getattr(value, "__hash__", None) is not None and value in REGISTRY._collector_to_names:
            yield value


def _described(collector: Collector) -> Iterator[DescribedMetric]:
    if isinstance(collector, MetricWrapperBase):
        (family,) = collector.describe()
        yield _of_family(family, tuple(collector._labelnames))
        return
    for family in collector.collect():
        yield _of_family(family, tuple(getattr(family, "_labelnames", ())))


def _of_family(family: Metric, labels: tuple[str, ...]) -> DescribedMetric:
    name = family.name + ("_total" if family.type == "counter" else "")
    return DescribedMetric(name, family.type, labels, family.documentation)


EVERY_POD = Section("Every pod", "", [tapedeck_common.metrics])
LIVE_FEED = Section(
    "Feed: a live exchange",
    "Of each pod, which has its part of the symbols.",
    [tapedeck_feed.exchanges.request_metrics],
    [FeedStats()],
)
BACKFILL = Section(
    "Feed: backfill",
    "Of each pod, which has its part of the range.",
    [tapedeck_feed.exchanges.request_metrics],
    [BackfillStats()],
)
FILES = Section("Feed: files", "", collectors=[ImportStats()])
REPLAY = Section("Replay", "Of each shard.", [tapedeck_replay.metrics])
TRANSFORM = Section("Transforms", "", [tapedeck_transform.stats])
BACKTEST = Section("Backtest", "Of each shard of a sweep.", collectors=[RunGauges(BacktestReport)])
RECORDER = Section(
    "Recorder", "Of each recorder. Sinks are its own.", [tapedeck_recorder.metrics, tapedeck_recorder.lag]
)
GATEWAY = Section(
    "Gateway",
    "A request that matches no route has the route `other`.",
    [
        tapedeck_gateway.push.metrics,
        tapedeck_gateway.routes.open_sockets,
        tapedeck_gateway.routes.request_metrics,
        tapedeck_gateway.server.certificate_expiry,
        tapedeck_gateway.server.connection_table,
        tapedeck_gateway.server.http_protocol,
        tapedeck_gateway.service_monitor,
        tapedeck_gateway.topics.topic_reader,
    ],
)
OPERATOR = Section(
    "Operator",
    "`kind` is that of the watched or reconciled object.",
    [tapedeck_operator.cluster.metrics, tapedeck_operator.reconcile.metrics],
)
RESOURCES = Section(
    "Resources",
    "The operator's, from the statuses of Feeds, Replays and Backtests: they also tell of a Job whose pod was gone "
    "before a scrape. Numbers that are not known yet, or that a kind does not have, are left out.",
    collectors=[ResourceMetrics(lambda kind: [])],
)
SECTIONS = (
    EVERY_POD, LIVE_FEED, BACKFILL, FILES, REPLAY, TRANSFORM, BACKTEST, RECORDER, GATEWAY, OPERATOR, RESOURCES
)  # fmt: skip
OF_OPERATOR = (OPERATOR, RESOURCES)


def all_metrics() -> dict[str, DescribedMetric]:
    """Every metric, by name."""
    return {metric.name: metric for section in SECTIONS for metric in section.metrics()}
