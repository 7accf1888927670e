"""Prometheus metrics: what every program exposes, and families whose numbers are read at each scrape.

Such a family is exposed also while it has no number, so that a scrape names every metric of a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from tapedeck_common.version import VERSION

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST
BUILD_INFO = Gauge("tapedeck_build_info", "1, with the version of the program.", ["version"])
BUILD_INFO.labels(VERSION).set(1)


def render_metrics() -> bytes:
    """The body of /metrics. Without the time at which each counter was created, a series that no query reads."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    return generate_latest()


def counter_by(name: str, about: str, label: str, values: Iterable[str]) -> Counter:
    """A counter by one label, which begins at 0 for each of its values: a query sees the first increment."""
    counter = Counter(name, about, [label])
    for value in values:
        counter.labels(value)
    return counter


class LateGauge(Collector):
    """A gauge without a sample until it is set for the first time."""

    def __init__(self, name: str, about: str) -> None:
        self._name = name
        self._about = about
        self._value: float | None = None
        REGISTRY.register(self)

    def set(self, value: float) -> None:
        """Set the number."""
        self._value = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauge."""
        yield gauge_family(self._name, self._about, self._value)


def counter_family(name: str, about: str, value: float | None) -> CounterMetricFamily:
    """A counter, without a sample where the number is not known."""
    return CounterMetricFamily(name, about, value=value)


def gauge_family(name: str, about: str, value: float | None) -> GaugeMetricFamily:
    """A gauge, without a sample where the number is not known."""
    return GaugeMetricFamily(name, about, value=value)


def counter_family_by(name: str, about: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    """A counter with a sample for each value of a label."""
    family = CounterMetricFamily(name, about, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def gauge_family_by(name: str, about: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """A gauge with a sample for each value of a label."""
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
