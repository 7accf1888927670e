"""Prometheus metrics of what is pushed to WebSockets."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import REGISTRY, Collector

from tapedeck_common.metrics import counter_family

FANOUT_SECONDS = Histogram(
    "tapedeck_gateway_fanout_seconds",
    "Seconds from a change on a topic to its push to all subscribers.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CHANNELS = Gauge("tapedeck_gateway_channels", "Open channels of WebSockets.")
SLOW_SOCKETS = Counter(
    "tapedeck_gateway_slow_sockets_total", "WebSockets that were closed because their client did not read."
)


class MessageCounts(Collector):
    """Counts of messages, which change in the event loop alone: a plain number costs a tenth of a Counter."""

    def __init__(self) -> None:
        self.written = 0
        self.dropped = 0

    def collect(self) -> Iterator[Metric]:
        """The counts."""
        about = "Messages written to WebSockets."
        yield counter_family("tapedeck_gateway_socket_messages_total", about, self.written)
        about = "Messages to slow clients that a later state or a snapshot replaced."
        yield counter_family("tapedeck_gateway_dropped_messages_total", about, self.dropped)


MESSAGES = MessageCounts()
REGISTRY.register(MESSAGES)
