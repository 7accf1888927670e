"""Traced bars of a stream: each is followed from its reading until the strategy has been given it."""

from __future__ import annotations

from confluent_kafka import Message

from tapedeck_common.tracing import FOLLOWED_MAX, RecordSpan, RecordTracer, tracer
from tapedeck_common.wire import Epoch


class BarTraces:
    """What was read and not given yet, FOLLOWED_MAX bars at most."""

    def __init__(self, recording: RecordTracer) -> None:
        self._tracer = recording
        self._waiting: list[tuple[Epoch, int, RecordSpan]] = []  # epoch, event time, span

    def read(self, message: Message, epoch: Epoch, event: int) -> None:
        """A bar with this event time was read. A live stream has one epoch, a Replay's may read several at a time."""
        span = self._tracer.follow("backtest", message) if len(self._waiting) < FOLLOWED_MAX else None
        if span is not None:
            self._waiting.append((epoch, event, span))

    def given(self, epoch: Epoch, event: int) -> None:
        """The strategy has been given the epoch's bars up to this event time."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            of_epoch, known_at, span = each
            if of_epoch == epoch and known_at <= event:
                span.end()
            else:
                self._waiting.append(each)

    def forget_before(self, epoch: Epoch) -> None:
        """What was read of earlier epochs and not given never is."""
        self._waiting = [each for each in self._waiting if each[0] >= epoch]


def bar_traces() -> BarTraces | None:
    """None while tracing is off."""
    recording = tracer()
    return None if recording is None else BarTraces(recording)
