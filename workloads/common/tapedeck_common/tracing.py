"""Traces of sampled records, by OpenTelemetry: from the program that publishes a record to all that it leads to.

Tracing is on where ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a receiver; else nothing of OpenTelemetry is imported, and
records have no further header. A traced record carries its trace in the W3C header ``traceparent``, and each program
that handles it adds a span. Spans wait in a queue of bounded length for a thread that exports them: while the receiver
does not answer spans are lost, and nothing is delayed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, Message

from tapedeck_common.logs import log
from tapedeck_common.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanKind

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACE_HEADER = "traceparent"
TRACE_HEADER_MAX = 128  # bytes
BEGUN_A_SECOND = 20  # records of a topic that are sampled, at most: the cost has a limit whatever their ratio is
FOLLOWED_MAX = 100  # records of a batch, at most
FOLLOWED_A_SECOND = 1_000  # whoever writes to a topic may have begun their traces
QUEUE_SPANS, EXPORTED_SPANS = 2_048, 512  # that wait, and of one request
EXPORT_PERIOD = 1.0  # seconds
CLOSE_SECONDS = 2.0  # for the last spans, at the end of a pod

_tracer: RecordTracer | None = None


def tracer() -> RecordTracer | None:
    """The program's tracer; None while tracing is off."""
    return _tracer


def configure_tracing(workload: str, identity: Mapping[str, str]) -> None:
    """Turn tracing on where the environment names a receiver. ``identity`` is the resource that the pod runs for.

    A pod works without traces: what is wrong with their settings is logged.
    """
    global _tracer
    _tracer = None
    if not os.environ.get(ENDPOINT):
        return
    try:
        _tracer = RecordTracer(_provider(workload, identity))
    except Exception as error:  # of a library, or of its settings
        log.error("traces are not exported", reason=f"{type(error).__name__}: {error}")


def close_tracing() -> None:
    """Export what is left, for CLOSE_SECONDS at most."""
    global _tracer
    closing, _tracer = _tracer, None
    if closing is not None:
        closing.close()


class RecordSpan:
    """A step on the way of a traced record. ``header`` belongs on records that this step publishes."""

    def __init__(self, name: str, span: Span) -> None:
        context = span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        self.header: tuple[str, str | bytes | None] = (
            TRACE_HEADER,
            f"00-{self.trace_id}-{context.span_id:016x}-01".encode(),
        )
        self._name = name
        self._span = span
        self._place: dict[str, str | int] = {}

    def note(self, **attributes: str | int) -> None:
        """Add attributes of Tapedeck's own."""
        self._span.set_attributes({f"tapedeck.{name}": value for name, value in attributes.items()})

    def at(self, message: Message) -> None:
        """The record is at this place of the log."""
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None:
            return
        self._place = {"topic": topic, "partition": partition, "offset": offset}
        self._span.set_attribute("messaging.destination.partition.id", str(partition))
        self._span.set_attribute("messaging.kafka.offset", offset)

    def ends_with(
        self, callback: Callable[[KafkaError | None, Message], None]
    ) -> Callable[[KafkaError | None, Message], None]:
        """A delivery callback that ends the step, too."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            self.on_delivery(error, message)
            self.end("" if error is None else error.str())
            callback(error, message)

        return delivered

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """A delivery callback: keeps the record's place, and does not end the step."""
        if error is None:
            self.at(message)

    def end(self, failure: str = "") -> None:
        """End the step, and tell it in the log."""
        if failure:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR, failure)
        self._span.end()
        reason = {"reason": failure} if failure else {}
        log.info("traced", step=self._name, traceId=self.trace_id, **self._place, **reason)


class RecordTracer:
    """Begins traces of published records and follows those of others. Any thread may use it."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._spans = provider.get_tracer("tapedeck", VERSION)
        self._nothing = Context()
        self._producer, self._consumer = SpanKind.PRODUCER, SpanKind.CONSUMER
        self._get_span = get_current_span
        self._propagator = TraceContextTextMapPropagator()
        self._counts: dict[str, tuple[int, int]] = {}  # by topic or step: the second, and how many records it had

    def publish(self, topic: str, key: str | bytes) -> RecordSpan | None:
        """A new trace that begins with this record; None where it is not sampled."""
        if not self._within(BEGUN_A_SECOND, topic):
            return None
        return self._start("publish", topic, key, self._producer, self._nothing)

    def follow(self, name: str, message: Message, started_ns: int | None = None) -> RecordSpan | None:
        """The next step of a record, which began at ``started_ns`` (wall clock); None where it is not traced."""
        header = _trace_header(message)
        if header is None or not self._within(FOLLOWED_A_SECOND, name):
            return None
        parent = self._propagator.extract({TRACE_HEADER: header}, self._nothing)
        if not self._get_span(parent).get_span_context().trace_flags.sampled:  # also where the header is none
            return None
        span = self._start(name, message.topic() or "", message.key() or b"", self._consumer, parent, started_ns)
        if span is not None:
            span.at(message)
        return span

    def close(self) -> None:
        """Export what is left. Called once."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _within(self, limit: int, what: str) -> bool:
        """Count one; False if this second has had so many."""
        now = int(time.monotonic())
        second, count = self._counts.get(what, (now, 0))
        count = count if second == now else 0
        if count >= limit:
            return False
        self._counts[what] = (now, count + 1)
        return True

    def _start(
        self,
        name: str,
        topic: str,
        key: str | bytes,
        kind: SpanKind,
        parent: Context,
        started_ns: int | None = None,
    ) -> RecordSpan | None:
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send" if kind is self._producer else "process",
            "messaging.destination.name": topic,
            "messaging.kafka.message.key": key if isinstance(key, str) else key.decode(errors="replace"),
        }
        span = self._spans.start_span(name, parent, kind, attributes, start_time=started_ns)
        return RecordSpan(name, span) if span.get_span_context().trace_flags.sampled else None


def traced(messages: Iterable[Message]) -> list[Message]:
    """The messages that carry a trace, FOLLOWED_MAX at most."""
    found: list[Message] = []
    for message in messages:
        if _trace_header(message) is not None:
            found.append(message)
            if len(found) == FOLLOWED_MAX:
                break
    return found


def _trace_header(message: Message) -> str | None:
    headers = message.headers()
    if not isinstance(headers, list) or len(headers) < 2:  # a record that is not traced has one
        return None
    for name, value in headers:
        if name == TRACE_HEADER and isinstance(value, bytes) and len(value) <= TRACE_HEADER_MAX:
            return value.decode("ascii", "replace")
    return None


def _provider(workload: str, identity: Mapping[str, str]) -> TracerProvider:
    """Samples and exports as the standard variables of OpenTelemetry's environment say."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    problems = _ExportProblems()

    class TellingExporter(SpanExporter):
        def __init__(self) -> None:
            self._exporter = OTLPSpanExporter()

        def export(self, spans: Iterable[ReadableSpan]) -> SpanExportResult:
            result = self._exporter.export([*spans])
            if result is SpanExportResult.SUCCESS:
                problems.solved()
            return result

        def shutdown(self) -> None:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": f"tapedeck-{workload}",
                "service.version": VERSION,
                **{f"tapedeck.{name}": value for name, value in identity.items()},
            }
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            TellingExporter(),
            max_queue_size=QUEUE_SPANS,
            max_export_batch_size=EXPORTED_SPANS,
            schedule_delay_millis=EXPORT_PERIOD * 1000,
        )
    )
    return provider


class _ExportProblems(logging.Handler):
    """Takes the library's lines, one for each attempt, and tells once that and why spans are lost."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told = False
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        """The first line is told, and what follows until ``solved`` is not."""
        if not self._told:
            self._told = True
            log.warning("traces are not exported", reason=record.getMessage())

    def solved(self) -> None:
        """Spans are exported."""
        if self._told:
            self._told = False
            log.info("traces are exported again")
