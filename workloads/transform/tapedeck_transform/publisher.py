"""Publishes points, and the records whose results could not be computed."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException, Message

from tapedeck_common import topics
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, Point, series_key
from tapedeck_common.records import IngestError
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Headers, encode, market_headers
from tapedeck_crds.base import described_ms
from tapedeck_transform.values import Record

FLUSH_SECONDS = 30.0
PAYLOAD_MAX = 500


class PointPublisher:
    """At-least-once: what is not delivered when ``flush`` raises, the next pod computes and publishes again."""

    def __init__(self, connections: Connections, name: str, topic: str, recorded_as: str) -> None:
        self._name, self._topic, self._recorded_as = name, topic, recorded_as
        self._producer = producer(connections, f"transform-{name}", {"delivery.timeout.ms": int(FLUSH_SECONDS * 1000)})
        self._error: KafkaError | None = None

    def publish(self, points: list[Point], headers: Headers, added: Headers) -> None:
        """Queue points, and copies with another exchange id if they are to be stored. Both have ``added``, too."""
        for point in points:
            self._produce(self._topic, series_key(point.exchange, point.symbol), encode(point), [*headers, *added])
            if self._recorded_as:
                copy = Point(self._recorded_as, *(getattr(point, name) for name in point.__struct_fields__[1:]))
                key = series_key(copy.exchange, copy.symbol)
                self._produce(topics.MARKET_POINTS, key, encode(copy), [*market_headers("replay"), *added])

    def publish_error(self, transform: str, record: Record, reason: str) -> None:
        """Queue an ingest error for a record without a result."""
        interval = f" {record.interval}" if isinstance(record, Bar) else ""
        error = IngestError(
            feed=self._name,
            exchange=record.exchange,
            symbol=record.symbol,
            place=f"transforms.{transform}{interval} at {described_ms(record.ts)}",
            reason=reason,
            payload=encode(record).decode()[:PAYLOAD_MAX],
            at=time.time_ns() // 1_000_000,
        )
        key = series_key(record.exchange, record.symbol)
        self._produce(topics.MARKET_INGEST, key, encode(error), market_headers("live"))

    def poll(self) -> None:
        """Handle delivery reports. Raises KafkaException for a failed delivery."""
        self._producer.poll(0)
        if self._error is not None:
            raise KafkaException(self._error)

    def flush(self) -> None:
        """Wait until everything is delivered. Raises KafkaException."""
        self._producer.flush(FLUSH_SECONDS + 5)
        self.poll()
        if len(self._producer):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{len(self._producer)} points not delivered"))

    def _produce(self, topic: str, key: str, value: bytes, headers: Headers) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers, on_delivery=self._on_delivery)
                return
            except BufferError:  # temporary: each queued record is delivered or fails within its timeout
                self._producer.poll(0.1)
                self.poll()

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._error = error
