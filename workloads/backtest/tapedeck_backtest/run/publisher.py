"""Publishes a run's records to the results topic."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, Message, Producer

from tapedeck_common.kafka import producer
from tapedeck_common.records import ResultRecord
from tapedeck_common.result_signatures import ResultSigner
from tapedeck_common.settings import Connections
from tapedeck_common.topics import RESULTS
from tapedeck_common.wire import encode
from tapedeck_crds.errors import Unavailable

QUEUE_SECONDS = 30.0
FLUSH_SECONDS = 30.0


class ResultPublisher:
    """Publishes records of one run, signed by its key, and keyed by its id and therefore in order."""

    def __init__(self, connections: Connections, run_id: str, signer: ResultSigner) -> None:
        self._connections = connections
        self._delivery_error: KafkaError | None = None
        self._key = run_id.encode()
        self._signer = signer
        self._producer = self._new_producer(run_id)

    def switch_run(self, run_id: str) -> None:
        """Publish the records of another run from now on. Call ``flush`` first."""
        self._key = run_id.encode()
        self._producer = self._new_producer(run_id)

    def publish(self, record: ResultRecord) -> None:
        """Enqueue the record, waiting while the queue is full. Raises Unavailable."""
        value, deadline = encode(record), time.monotonic() + QUEUE_SECONDS
        headers = self._signer.headers(value)
        while True:
            try:
                self._producer.produce(RESULTS, value, self._key, headers=headers, on_delivery=self._on_delivery)
                break
            except BufferError:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{RESULTS}: the broker accepted no record for {QUEUE_SECONDS:g} s") from None
                self._producer.poll(0.1)
        self._producer.poll(0)
        self._raise_delivery_error()

    def flush(self, timeout: float = FLUSH_SECONDS) -> None:
        """Wait until the broker has all records. Raises Unavailable."""
        remaining = self._producer.flush(timeout)
        self._raise_delivery_error()
        if remaining:
            raise Unavailable(f"{RESULTS}: {remaining} records were not delivered within {timeout:g} s")

    def _new_producer(self, run_id: str) -> Producer:
        return producer(self._connections, f"tapedeck-backtest-{run_id}", {"queue.buffering.max.kbytes": 65_536})

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._delivery_error = error

    def _raise_delivery_error(self) -> None:
        if self._delivery_error is not None:
            raise Unavailable(f"{RESULTS}: {self._delivery_error.str()}")
