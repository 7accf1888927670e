"""A sink's thread: read messages, post points, commit offsets; start over at the committed offsets after a failure."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import stamina
from confluent_kafka import KafkaException, Message

from tapedeck_common.logs import log
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_crds.report import SinkReport
from tapedeck_crds.sink import SinkOptions
from tapedeck_recorder import metrics
from tapedeck_recorder.rows.batch_builder import DECODE_ERRORS
from tapedeck_recorder.sinks.http_client import REASON_MAX, LineProtocolClient, PointsRejected, SinkUnreachable
from tapedeck_recorder.sinks.line_protocol import encode_points
from tapedeck_recorder.sinks.sink_consumer import SinkConsumer

POST_BYTES = 1_000_000
ATTEMPTS, ATTEMPT_SECONDS = 3, 30.0
BACKOFF_FIRST, BACKOFF_MAX = 1.0, 30.0
POLL_SECONDS = 0.2
# So many rejected points in a row without an accepted one mean that the sink is at fault, not the points.
REJECTED_IN_A_ROW = 100


class SinkDelivery(threading.Thread):
    """Delivers to one sink until ``stop`` is set. At most one batch is in memory."""

    def __init__(
        self,
        connections: Connections,
        verifier: ResultVerifier,
        sink: SinkOptions,
        secrets: Path,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"sink-{sink.name}", daemon=True)
        self._connections = connections
        self._verifier = verifier
        self._sink = sink
        self._client = LineProtocolClient(sink.url, secrets / sink.name)
        self._stopping = stop
        self._restart_requested = threading.Event()
        self._up: bool | None = None
        self._backoff = BACKOFF_FIRST
        self._delivered = self._rejected = self._errors = self._lag = self._rejected_in_a_row = 0
        self._last_error = ""

    def report(self) -> SinkReport:
        """The sink's state and counters."""
        return SinkReport(
            name=self._sink.name,
            up=self._up,
            delivered=self._delivered,
            refused=self._rejected,
            errors=self._errors,
            lag=self._lag,
            last_error=self._last_error,
        )

    def request_restart(self) -> None:
        """Read with a new Kafka client: one that knew a topic before does not read it after it was recreated."""
        self._restart_requested.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            pause = 0.0
            self._restart_requested.clear()
            try:
                self._deliver()
            except SinkUnreachable as error:
                pause = max(self._record_failure(str(error)), error.retry_after)
            except KafkaException as error:
                pause = self._record_failure(f"broker: {error}")
            except Exception as error:  # a sink must never end the recorder, nor end silently
                pause = self._record_failure(f"{type(error).__name__}: {error}")
                log.exception("unexpected error in a sink", sink=self._sink.name)
            self._client.close()
            self._stopping.wait(pause)

    def _deliver(self) -> None:
        """Deliver from the committed offsets until a restart is requested, a leader has changed or ``stop`` is set.

        Raises SinkUnreachable and KafkaException.
        """
        consumer = SinkConsumer(self._connections, self._sink)
        try:
            while not (self._stopping.is_set() or self._restart_requested.is_set()):
                messages = consumer.read(POLL_SECONDS)
                if consumer.has_later_leader(messages):
                    return
                self._export_lag(consumer)
                if messages:
                    self._send(messages)
                    consumer.commit(messages)
        finally:
            consumer.close()

    def _send(self, messages: list[Message]) -> None:
        """Encode messages and post them in requests of about POST_BYTES."""
        request: list[str] = []
        size = undecodable = 0
        for message in messages:
            try:
                lines = encode_points(message, self._verifier)
            except DECODE_ERRORS:  # the recorder keeps the message and the reason in ingest_errors
                undecodable += 1
                continue
            request += lines
            size += sum(map(len, lines))
            if size > POST_BYTES:
                self._post(request)
                request, size = [], 0
        if request:
            self._post(request)
        metrics.SINK_UNREADABLE.labels(self._sink.name).inc(undecodable)

    def _post(self, lines: list[str]) -> None:
        """Post points; bisect a rejected request down to the rejected points. Raises SinkUnreachable."""
        try:
            dropped = self._post_with_retries(lines)
        except PointsRejected as error:
            if len(lines) == 1:
                self._count_rejected(1, str(error))
                self._rejected_in_a_row += 1
                if self._rejected_in_a_row >= REJECTED_IN_A_ROW:
                    raise SinkUnreachable(f"rejected {self._rejected_in_a_row} points in a row: {error}") from None
                return
            middle = len(lines) // 2
            self._post(lines[:middle])
            self._post(lines[middle:])
            return
        if dropped:
            self._count_rejected(dropped, "the sink dropped points of a request: too old, or of another field type")
        self._rejected_in_a_row = 0
        self._count_delivered(len(lines) - dropped)

    def _post_with_retries(self, lines: list[str]) -> int:
        def retriable(error: Exception) -> bool:
            return isinstance(error, SinkUnreachable) and not error.retry_after and not self._stopping.is_set()

        for attempt in stamina.retry_context(
            on=retriable, attempts=ATTEMPTS, timeout=ATTEMPT_SECONDS, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return self._client.write(lines)
        raise AssertionError("unreachable: the last attempt raises")

    def _count_delivered(self, count: int) -> None:
        self._delivered += count
        self._backoff = BACKOFF_FIRST
        metrics.SINK_POINTS.labels(self._sink.name).inc(count)
        self._set_up(True)

    def _count_rejected(self, count: int, reason: str) -> None:
        self._rejected += count
        self._last_error = reason
        metrics.SINK_REFUSED.labels(self._sink.name).inc(count)
        if self._rejected == count:  # only the first is logged, the others are counted
            log.warning("sink rejected points", sink=self._sink.name, reason=reason)

    def _record_failure(self, reason: str) -> float:
        """Count and log a failed delivery; returns the seconds until the next try, doubled after each failure."""
        self._errors += 1
        self._rejected_in_a_row = 0
        self._last_error = reason[:REASON_MAX]
        metrics.SINK_FAILURES.labels(self._sink.name).inc()
        log.warning("sink unreachable", sink=self._sink.name, reason=self._last_error)
        self._set_up(False)
        pause, self._backoff = self._backoff, min(self._backoff * 2, BACKOFF_MAX)
        return pause

    def _set_up(self, up: bool) -> None:
        self._up = up
        metrics.SINK_UP.labels(self._sink.name).set(up)

    def _export_lag(self, consumer: SinkConsumer) -> None:
        self._lag = consumer.lag()
        metrics.SINK_LAG.labels(self._sink.name).set(self._lag)


def start_all(
    connections: Connections,
    verifier: ResultVerifier,
    sinks: tuple[SinkOptions, ...],
    secrets: Path,
    stop: threading.Event,
) -> tuple[SinkDelivery, ...]:
    """Start one thread per sink. ``secrets`` has one folder per sink, by name."""
    deliveries = tuple(SinkDelivery(connections, verifier, sink, secrets, stop) for sink in sinks)
    for delivery in deliveries:
        delivery.start()
    return deliveries


def join_all(deliveries: tuple[SinkDelivery, ...], seconds: float) -> None:
    """Wait up to ``seconds`` for all threads. What a thread has not committed by then is delivered again."""
    deadline = time.monotonic() + seconds
    for delivery in deliveries:
        delivery.join(max(deadline - time.monotonic(), 0.0))
