"""Traced bars of a stream: each is followed from its reading until the strategy has been given it."""

from __future__ import annotations

from confluent_kafka import Message

from tapedeck_common.tracing import FOLLOWED_MAX, RecordSpan, RecordTracer, tracer


class BarTraces:
    """What was read and not given yet, FOLLOWED_MAX bars at most."""

    def __init__(self, recording: RecordTracer) -> None:
        self._tracer = recording
        self._waiting: list[tuple[int, RecordSpan]] = []  # event time and span

    def read(self, message: Message, event: int) -> None:
        """A bar with this event time was read."""
        span = self._tracer.follow("backtest", message) if len(self._waiting) < FOLLOWED_MAX else None
        if span is not None:
            self._waiting.append((event, span))

    def given(self, event: int) -> None:
        """The strategy has been given the bars up to this event time."""
        waiting, self._waiting = self._waiting, []
        for known_at, span in waiting:
            if known_at <= event:
                span.end()
            else:
                self._waiting.append((known_at, span))

    def clear(self) -> None:
        """What was read and not given never is."""
        self._waiting.clear()


def bar_traces() -> BarTraces | None:
    """None while tracing is off."""
    recording = tracer()
    return None if recording is None else BarTraces(recording)
