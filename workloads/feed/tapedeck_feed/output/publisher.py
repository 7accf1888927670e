"""An idempotent Kafka producer with a bounded queue, whose delivery failures end the pod's work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from threading import Event
from typing import TypeAlias

from confluent_kafka import KafkaError, Message

from tapedeck_common.kafka import producer
from tapedeck_common.market import RecordSource
from tapedeck_common.settings import Connections
from tapedeck_common.tracing import tracer
from tapedeck_common.wire import market_headers
from tapedeck_crds.errors import Interrupted, Unavailable

DELIVERY_TIMEOUT = 60.0  # seconds
POLL_EVERY = 500  # records between polls for acknowledgements
ANY_PARTITION = -1  # the one that the key gives
FLUSH_SLICE = 0.5  # seconds
FLUSH_AT_ABORT = 2.0  # seconds

DeliveryCallback: TypeAlias = Callable[[KafkaError | None, Message], None]


class DeliveryFailed(Unavailable):
    """The broker did not acknowledge a record in time."""


class MarketDataPublisher:
    """Publishes records whose header names their source. ``timeout`` is in seconds from ``send``.

    With ``failures_only`` callbacks are not called for what was acknowledged, which takes a third of a record's time:
    ``acknowledged`` counts it.
    """

    def __init__(
        self,
        connections: Connections,
        client_id: str,
        stop: Event,
        *,
        source: RecordSource = "backfill",
        timeout: float = DELIVERY_TIMEOUT,
        linger_ms: int = 5,
        failures_only: bool = False,
    ) -> None:
        self._bootstrap = connections.kafka_bootstrap
        self._timeout = timeout
        self._stop = stop
        self._producer = producer(
            connections,
            client_id,
            {
                "delivery.timeout.ms": int(timeout * 1000),
                "linger.ms": linger_ms,
                "delivery.report.only.error": failures_only,
            },
        )
        self._headers: list[tuple[str, str | bytes | None]] = [*market_headers(source)]
        self._tracer = tracer()
        self._failures_only = failures_only
        self._sent: Counter[str] = Counter()
        self._since_poll = 0
        self._failed = 0
        self._last_error = ""

    def callback(self, on_delivered: Callable[[], None]) -> DeliveryCallback:
        """A delivery callback for ``send``, for one record or many: calls ``on_delivered`` for each acknowledged."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                on_delivered()
            else:
                self._failed += 1
                self._last_error = error.str()

        return delivered

    def timed_callback(self, on_delivered: Callable[[float | None], None]) -> DeliveryCallback:
        """As ``callback``, with the seconds from ``send`` to the acknowledgement, None where they are unknown."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            self.callback(lambda: on_delivered(message.latency()))(error, message)

        return delivered

    def send(self, topic: str, key: str, value: bytes, callback: DeliveryCallback, *, traceable: bool = True) -> None:
        """Enqueue a record, waiting while the queue is full. Raises DeliveryFailed or Interrupted.

        One that is ``traceable`` may begin a trace, where tracing is on.
        """
        headers = self._headers
        span = self._tracer.publish(topic, key) if self._tracer is not None and traceable else None
        if span is not None:
            headers = [*headers, span.header]
            callback = callback if self._failures_only else span.ends_with(callback)
        while True:
            try:
                self._producer.produce(topic, value, key, ANY_PARTITION, callback, None, 0, headers)
                break
            except BufferError:  # the loop ends: each enqueued record is delivered or fails within the timeout
                self.poll(0.1)
        if span is not None and self._failures_only:
            span.end()
        self._sent[topic] += 1
        self._since_poll += 1
        if self._since_poll >= POLL_EVERY:
            self.poll(0)

    def send_all(self, topic: str, key: str, values: Iterable[bytes], callback: DeliveryCallback) -> None:
        """Enqueue the records of one key. Raises DeliveryFailed or Interrupted."""
        # The client takes half a microsecond more for arguments by name, and a tenth for a key that it must encode.
        produce, headers, encoded_key, remaining = self._producer.produce, self._headers, key.encode(), iter(values)
        while part := list(islice(remaining, POLL_EVERY)):
            if self._tracer is not None:  # of so many records only the first may begin a trace
                self.send(topic, key, part.pop(0), callback)
            for value in part:
                try:
                    produce(topic, value, encoded_key, ANY_PARTITION, callback, None, 0, headers)
                except BufferError:
                    self._sent[topic] -= 1  # counted below
                    self.send(topic, key, value, callback, traceable=False)
            self._sent[topic] += len(part)
            self.poll(0)

    def acknowledged(self, topic: str) -> int:
        """How many records of a topic the broker has acknowledged, at least; exact after ``flush``."""
        return max(0, self._sent[topic] - len(self._producer))

    def flush(self) -> None:
        """Wait until every record is acknowledged. Raises DeliveryFailed or Interrupted."""
        deadline = time.monotonic() + self._timeout + 5
        while self._producer.flush(FLUSH_SLICE) and time.monotonic() < deadline:
            self.poll(0)
        self.poll(0)
        if remaining := len(self._producer):
            raise DeliveryFailed(self._describe_failure(remaining))

    def abort(self) -> None:
        """Flush for two seconds at most, then drop what is still enqueued."""
        if not self._failed:
            self._producer.flush(FLUSH_AT_ABORT)
        self._producer.purge()
        self._producer.poll(0)

    def poll(self, seconds: float) -> None:
        """Call the delivery callbacks of acknowledged records. Raises DeliveryFailed or Interrupted."""
        self._since_poll = 0
        self._producer.poll(seconds)
        if self._failed:
            raise DeliveryFailed(self._describe_failure(self._failed + len(self._producer)))
        if self._stop.is_set():
            raise Interrupted("stopped on request before all was published")

    def _describe_failure(self, records: int) -> str:
        error = self._last_error or "no response"
        return (
            f"broker {self._bootstrap}: {records} records not delivered within {self._timeout:g} s ({error}); "
            "delivered records stay, a restart publishes all again"
        )
