"""Publishing with a bounded queue: what the broker does not take in time ends the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeAlias

from confluent_kafka import KafkaError, Message

from tapedeck_common.kafka import producer
from tapedeck_common.market import Source
from tapedeck_common.settings import Connections
from tapedeck_common.wire import market_headers
from tapedeck_crds.errors import Interrupted, Unavailable

DELIVERY_TIMEOUT = 60.0
POLL_EVERY = 500  # records between looks at what was delivered
FLUSH_SLICE = 0.5
FLUSH_AT_STOP = 2.0


Delivery: TypeAlias = Callable[[KafkaError | None, Message], None]


class Undelivered(Unavailable):
    """The broker did not take what was sent."""


class Publisher:
    """An idempotent producer of market data."""

    def __init__(
        self,
        connections: Connections,
        client_id: str,
        stop: Event,
        *,
        source: Source = "backfill",
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
        self._fault = ""

    def delivery(self, on_delivered: Callable[[], None]) -> Delivery:
        """What ``send`` takes, for one record or for many: calls back for each that the broker has taken."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                on_delivered()
            else:
                self._failed += 1
                self._fault = error.str()

        return delivered

    def timed(self, on_delivered: Callable[[float | None], None]) -> Delivery:
        """As ``delivery``, but tells the seconds from ``send`` to the acknowledgement, where they are known."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            self.delivery(lambda: on_delivered(message.latency()))(error, message)

        return delivered

    def send(self, topic: str, key: str, value: bytes, delivered: Delivery) -> None:
        """Queue a record, waiting while the queue is full. Raises Undelivered or Interrupted."""
        while True:
            try:
                self._producer.produce(topic, value, key, headers=self._headers, on_delivery=delivered)
                break
            except BufferError:  # ends: each record in the queue is delivered or fails within the timeout
                self.look(0.1)
        self._sent += 1
        if self._sent % POLL_EVERY == 0:
            self.look(0)

    def drain(self) -> None:
        """Wait until all that was sent is delivered. Raises Undelivered or Interrupted."""
        deadline = time.monotonic() + self._timeout + 5
        while self._producer.flush(FLUSH_SLICE) and time.monotonic() < deadline:
            self.look(0)
        self.look(0)
        if left := len(self._producer):
            raise Undelivered(self._complaint(left))

    def abandon(self) -> None:
        """Give what is queued a last short chance, then drop it."""
        if not self._failed:
            self._producer.flush(FLUSH_AT_STOP)
        self._producer.purge()
        self._producer.poll(0)

    def look(self, seconds: float) -> None:
        """Hear what was delivered meanwhile. Raises Undelivered or Interrupted."""
        self._producer.poll(seconds)
        if self._failed:
            raise Undelivered(self._complaint(self._failed + len(self._producer)))
        if self._stop.is_set():
            raise Interrupted("asked to end before all was published")

    def _complaint(self, records: int) -> str:
        fault = self._fault or "no answer"
        return (
            f"broker {self._bootstrap}: {records} records not delivered within {self._timeout:g} s ({fault}); "
            "what was delivered stays, a restart sends all again"
        )
