"""A sink's thread: read, post, commit; begin again where the sink is when something is away."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import stamina
from confluent_kafka import KafkaException, Message

from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_crds.report import SinkReport
from tapedeck_crds.sink import SinkOptions
from tapedeck_recorder import metrics
from tapedeck_recorder.rows.batch_builder import BAD_MESSAGE
from tapedeck_recorder.sinks.http_client import REASON_MAX, Away, Refused, Remote
from tapedeck_recorder.sinks.line_protocol import points
from tapedeck_recorder.sinks.sink_consumer import Position

POST_BYTES = 1_000_000
TRIES, TRY_SECONDS = 3, 30.0
PAUSE_FIRST, PAUSE_MAX = 1.0, 30.0
POLL_SECONDS = 0.2
# Where so many points in a row are refused and none was taken, it is not the points.
REFUSED_IN_A_ROW = 100


class Delivery(threading.Thread):
    """Delivers to one sink until ``stop`` is set. A batch is in memory at a time."""

    def __init__(self, connections: Connections, sink: SinkOptions, secrets: Path, stop: threading.Event) -> None:
        super().__init__(name=f"sink-{sink.name}", daemon=True)
        self._connections = connections
        self._sink = sink
        self._remote = Remote(sink.url, secrets / sink.name)
        self._stopping = stop
        self._anew = threading.Event()
        self._up: bool | None = None
        self._pause = PAUSE_FIRST
        self._delivered = self._refused = self._errors = self._lag = self._in_a_row = 0
        self._last_error = ""

    def report(self) -> SinkReport:
        """How it goes."""
        return SinkReport(
            name=self._sink.name,
            up=self._up,
            delivered=self._delivered,
            refused=self._refused,
            errors=self._errors,
            lag=self._lag,
            last_error=self._last_error,
        )

    def begin_anew(self) -> None:
        """Read by another client, as one that was there before never reads topics made anew."""
        self._anew.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            pause = 0.0
            self._anew.clear()
            try:
                self._deliver()
            except Away as error:
                pause = max(self._failed(str(error)), error.after)
            except KafkaException as error:
                pause = self._failed(f"broker: {error}")
            except Exception as error:  # a sink must never end the recorder, nor end silently
                pause = self._failed(f"{type(error).__name__}: {error}")
                log.exception("a sink failed", sink=self._sink.name)
            self._remote.close()
            self._stopping.wait(pause)

    def _deliver(self) -> None:
        """From where the sink is to the end of the log, and what comes then, until it has to begin anew or to end.

        Raises Away and KafkaException.
        """
        position = Position(self._connections, self._sink)
        try:
            while not (self._stopping.is_set() or self._anew.is_set()):
                messages = position.read(POLL_SECONDS)
                self._measure(position)
                if messages:
                    self._send(messages)
                    position.commit(messages)
        finally:
            position.close()

    def _send(self, messages: list[Message]) -> None:
        post: list[str] = []
        size = unreadable = 0
        for message in messages:
            try:
                lines = points(message)
            except BAD_MESSAGE:  # the recorder keeps it, with the reason, in ingest_errors
                unreadable += 1
                continue
            post += lines
            size += sum(map(len, lines))
            if size > POST_BYTES:
                self._post(post)
                post, size = [], 0
        if post:
            self._post(post)
        metrics.SINK_UNREADABLE.labels(self._sink.name).inc(unreadable)

    def _post(self, lines: list[str]) -> None:
        """Post points, in halves where they are refused, down to the one that is. Raises Away."""
        try:
            dropped = self._try(lines)
        except Refused as error:
            if len(lines) == 1:
                self._refuse(1, str(error))
                self._in_a_row += 1
                if self._in_a_row >= REFUSED_IN_A_ROW:
                    raise Away(f"takes none of {self._in_a_row} points: {error}") from None
                return
            middle = len(lines) // 2
            self._post(lines[:middle])
            self._post(lines[middle:])
            return
        if dropped:
            self._refuse(dropped, "let points of a request fall: too old for it, or of another type")
        self._in_a_row = 0
        self._took(len(lines) - dropped)

    def _try(self, lines: list[str]) -> int:
        def passing(error: Exception) -> bool:
            return isinstance(error, Away) and not error.after and not self._stopping.is_set()

        for attempt in stamina.retry_context(
            on=passing, attempts=TRIES, timeout=TRY_SECONDS, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return self._remote.write(lines)
        raise AssertionError("unreachable: the last attempt raises")

    def _took(self, count: int) -> None:
        self._delivered += count
        self._pause = PAUSE_FIRST
        metrics.SINK_POINTS.labels(self._sink.name).inc(count)
        self._is_up(True)

    def _refuse(self, count: int, reason: str) -> None:
        self._refused += count
        self._last_error = reason
        metrics.SINK_REFUSED.labels(self._sink.name).inc(count)
        if self._refused == count:  # the first; the rest is counted
            log.warning("a sink refuses points", sink=self._sink.name, reason=reason)

    def _failed(self, reason: str) -> float:
        """Tell it; returns the seconds to wait before the next try, more with each in a row."""
        self._errors += 1
        self._in_a_row = 0
        self._last_error = reason[:REASON_MAX]
        metrics.SINK_ERRORS.labels(self._sink.name).inc()
        log.warning("a sink is away", sink=self._sink.name, reason=self._last_error)
        self._is_up(False)
        pause, self._pause = self._pause, min(self._pause * 2, PAUSE_MAX)
        return pause

    def _is_up(self, up: bool) -> None:
        self._up = up
        metrics.SINK_UP.labels(self._sink.name).set(up)

    def _measure(self, position: Position) -> None:
        self._lag = position.lag()
        metrics.SINK_LAG.labels(self._sink.name).set(self._lag)


def start_all(
    connections: Connections, sinks: tuple[SinkOptions, ...], secrets: Path, stop: threading.Event
) -> tuple[Delivery, ...]:
    """A thread a sink. ``secrets`` holds a folder a sink, by name."""
    deliveries = tuple(Delivery(connections, sink, secrets, stop) for sink in sinks)
    for delivery in deliveries:
        delivery.start()
    return deliveries


def join_all(deliveries: tuple[Delivery, ...], seconds: float) -> None:
    """Wait for those that end in time; what a thread still has in hand is delivered again."""
    deadline = time.monotonic() + seconds
    for delivery in deliveries:
        delivery.join(max(deadline - time.monotonic(), 0.0))
