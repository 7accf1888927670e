"""The way of the results to the log."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, Message, Producer

from tapedeck_common.kafka import producer
from tapedeck_common.records import ResultRecord
from tapedeck_common.settings import Connections
from tapedeck_common.topics import RESULTS
from tapedeck_common.wire import encode
from tapedeck_crds.errors import Unavailable

QUEUE_SECONDS = 30.0
FLUSH_SECONDS = 30.0


class Publisher:
    """Sends records of one run, keyed by its id and thus in order. No header: they are no market data."""

    def __init__(self, connections: Connections, run_id: str) -> None:
        self._key = run_id.encode()
        self._failed: KafkaError | None = None
        self._producer: Producer = producer(
            connections, f"tapedeck-backtest-{run_id}", {"queue.buffering.max.kbytes": 65_536}
        )

    def send(self, record: ResultRecord) -> None:
        """Queue the record; waits while the queue is full. Raises Unavailable."""
        value, deadline = encode(record), time.monotonic() + QUEUE_SECONDS
        while True:
            try:
                self._producer.produce(RESULTS, value, self._key, on_delivery=self._delivered)
                break
            except BufferError:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{RESULTS}: the broker took nothing for {QUEUE_SECONDS:g} s") from None
                self._producer.poll(0.1)
        self._producer.poll(0)
        self._raise_failed()

    def flush(self, timeout: float = FLUSH_SECONDS) -> None:
        """Wait until the broker has all. Raises Unavailable."""
        left = self._producer.flush(timeout)
        self._raise_failed()
        if left:
            raise Unavailable(f"{RESULTS}: {left} records not taken within {timeout:g} s")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed = error

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise Unavailable(f"{RESULTS}: {self._failed.str()}")
