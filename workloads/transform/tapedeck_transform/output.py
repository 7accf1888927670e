"""Points and what failed, onto the log."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException, Message

from tapedeck_common import topics
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, Point, series_key
from tapedeck_common.records import IngestError
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Headers, encode, market_headers
from tapedeck_transform.values import Record

FLUSH_SECONDS = 30.0
PAYLOAD_MAX = 500


class Output:
    """Sends at least once: what was not delivered when ``settle`` raises is computed again by the next pod."""

    def __init__(self, connections: Connections, name: str, topic: str, recorded_as: str) -> None:
        self._name, self._topic, self._recorded_as = name, topic, recorded_as
        self._producer = producer(connections, f"transform-{name}", {"delivery.timeout.ms": int(FLUSH_SECONDS * 1000)})
        self._fault: KafkaError | None = None

    def points(self, points: list[Point], headers: Headers) -> None:
        """Queue points, and once more under another exchange id where they are to be kept."""
        for point in points:
            self._send(self._topic, series_key(point.exchange, point.symbol), encode(point), headers)
            if self._recorded_as:
                kept = Point(self._recorded_as, *(getattr(point, name) for name in point.__struct_fields__[1:]))
                key = series_key(kept.exchange, kept.symbol)
                self._send(topics.MARKET_POINTS, key, encode(kept), market_headers("synthetic"))

    def failed(self, transform: str, record: Record, reason: str) -> None:
        """Queue what is kept of a record without a result."""
        interval = f" {record.interval}" if isinstance(record, Bar) else ""
        error = IngestError(
            feed=self._name,
            exchange=record.exchange,
            symbol=record.symbol,
            place=f"transforms.{transform}{interval} at {record.ts}",
            reason=reason,
            payload=encode(record).decode()[:PAYLOAD_MAX],
            at=time.time_ns() // 1_000_000,
        )
        key = series_key(record.exchange, record.symbol)
        self._send(topics.MARKET_INGEST, key, encode(error), market_headers("live"))

    def poll(self) -> None:
        """Hear what was delivered. Raises KafkaException."""
        self._producer.poll(0)
        if self._fault is not None:
            raise KafkaException(self._fault)

    def settle(self) -> None:
        """Wait until all is delivered. Raises KafkaException."""
        self._producer.flush(FLUSH_SECONDS + 5)
        self.poll()
        if len(self._producer):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{len(self._producer)} points not delivered"))

    def _send(self, topic: str, key: str, value: bytes, headers: Headers) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=[*headers], on_delivery=self._delivered)
                return
            except BufferError:  # ends: each record is delivered or fails in time
                self._producer.poll(0.1)
                self.poll()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._fault = error
