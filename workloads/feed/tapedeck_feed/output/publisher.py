"""An idempotent Kafka producer with a bounded queue, whose delivery failures end the pod's work."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeAlias

from confluent_kafka import KafkaError, Message

from tapedeck_common.kafka import producer
from tapedeck_common.market import RecordSource
from tapedeck_common.settings import Connections
from tapedeck_common.wire import market_headers
from tapedeck_crds.errors import Interrupted, Unavailable

DELIVERY_TIMEOUT = 60.0  # seconds
POLL_EVERY = 500  # records between polls for acknowledgements
FLUSH_SLICE = 0.5  # seconds
FLUSH_AT_ABORT = 2.0  # seconds

DeliveryCallback: TypeAlias = Callable[[KafkaError | None, Message], None]


class DeliveryFailed(Unavailable):
    """The broker did not acknowledge a record in time."""


class MarketDataPublisher:
    """Publishes records whose header names their source. ``timeout`` is in seconds from ``send``."""

    def __init__(
        self,
        connections: Connections,
        client_id: str,
        stop: Event,
        *,
        source: RecordSource = "backfill",
        timeout: float = DELIVERY_TIMEOUT,
        linger_ms: int = 5,
    ) -> None:
        self._bootstrap = connections.kafka_bootstrap
        self._timeout = timeout
        self._stop = stop
        self._producer = producer(
            connections, client_id, {"delivery.timeout.ms": int(timeout * 1000), "linger.ms": linger_ms}
        )
        self._headers: list[tuple[str, str | bytes | None]] = [*market_headers(source)]
        self._sent = 0
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

    def send(self, topic: str, key: str, value: bytes, callback: DeliveryCallback) -> None:
        """Enqueue a record, waiting while the queue is full. Raises DeliveryFailed or Interrupted."""
        while True:
            try:
                self._producer.produce(topic, value, key, headers=self._headers, on_delivery=callback)
                break
            except BufferError:  # the loop ends: each enqueued record is delivered or fails within the timeout
                self.poll(0.1)
        self._sent += 1
        if self._sent % POLL_EVERY == 0:
            self.poll(0)

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
