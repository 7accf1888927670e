"""Publishes points, and the records whose results could not be computed."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException, Message

from tapedeck_common import topics
from tapedeck_common.kafka import producer
from tapedeck_common.log_positions import Partition, message_offset, message_partition
from tapedeck_common.market import Bar, Point, series_key
from tapedeck_common.records import IngestError
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Headers, encode, market_headers
from tapedeck_crds.base import described_ms
from tapedeck_transform.values import Record

FLUSH_SECONDS = 30.0
PAYLOAD_MAX = 500
ANY_PARTITION = -1  # the one that the key gives


class PointPublisher:
    """At-least-once: what is not delivered when ``flush`` raises, the next pod computes and publishes again."""

    def __init__(self, connections: Connections, name: str, topic: str, recorded_as: str) -> None:
        self._name, self._topic, self._recorded_as = name, topic, recorded_as
        self._producer = producer(connections, f"transform-{name}", {"delivery.timeout.ms": int(FLUSH_SECONDS * 1000)})
        self._error: KafkaError | None = None
        self._acknowledged: dict[Partition, int] = {}

    def outputs(self, partition: Partition) -> tuple[Partition, ...]:
        """The partitions to which the points of a partition's records are published."""
        number = partition[1]  # as the key gives it: both topics have as many partitions
        stored = (topics.MARKET_POINTS, number % topics.PERMANENT_PARTITIONS)
        return ((self._topic, number), stored) if self._recorded_as else ((self._topic, number),)

    def publish(self, points: list[Point], headers: Headers, partition: Partition, added: Headers) -> None:
        """Queue points of a partition's record, and copies with another exchange id if they are to be stored.

        Both have the headers ``added``, too.
        """
        output, *stored = self.outputs(partition)
        for point in points:
            self._produce(output, series_key(point.exchange, point.symbol), encode(point), [*headers, *added])
            for place in stored:
                copy = Point(self._recorded_as, *(getattr(point, name) for name in point.__struct_fields__[1:]))
                key = series_key(copy.exchange, copy.symbol)
                self._produce(place, key, encode(copy), [*market_headers("replay"), *added])

    def take_acknowledged(self) -> dict[Partition, int]:
        """The last acknowledged offset of each partition, of points that were acknowledged since the last call."""
        acknowledged, self._acknowledged = self._acknowledged, {}
        return acknowledged

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
        self._produce((topics.MARKET_INGEST, ANY_PARTITION), key, encode(error), market_headers("live"))

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

    def _produce(self, place: Partition, key: str, value: bytes, headers: Headers) -> None:
        topic, partition = place
        on_delivery = self._on_delivery if partition == ANY_PARTITION else self._on_point_delivery
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery, headers=[*headers])
                return
            except BufferError:  # temporary: each queued record is delivered or fails within its timeout
                self._producer.poll(0.1)
                self.poll()

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._error = error

    def _on_point_delivery(self, error: KafkaError | None, message: Message) -> None:
        self._on_delivery(error, message)
        if error is None:
            self._acknowledged[message_partition(message)] = message_offset(message)
