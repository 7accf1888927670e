"""The pipeline from log to log: each record through its series, its points published, then its offset committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common import wire
from tapedeck_common.log_positions import LogPosition, Partition, message_partition, position_after
from tapedeck_common.market import Bar, Point
from tapedeck_common.tracing import RecordSpan, tracer
from tapedeck_common.wire import Headers
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.transforms import Transform
from tapedeck_transform.execution_plan import plan_series
from tapedeck_transform.offsets import CatchUpTracker, GroupOffsets, ResumePoint
from tapedeck_transform.publisher import PointPublisher
from tapedeck_transform.series import SeriesState, ignore_failure
from tapedeck_transform.stages import FunctionCall
from tapedeck_transform.stats import RECORDS, TransformStats
from tapedeck_transform.topic_selection import TopicSelection
from tapedeck_transform.values import Record
from tapedeck_transform.warmup import WarmupReader

BATCH, WAIT_SECONDS = 1_000, 0.1
COMMIT_SECONDS = 1.0
CONFIRM_SECONDS = 10.0  # where there is nothing to commit
REREAD_MAX = 500_000  # records of a partition after a restart


class _TrackedSeries(NamedTuple):
    """``warmed_up_at`` is the offset of the first record if the store had been read before it, else -1."""

    state: SeriesState
    warmed_up_at: int


class LogUncertain(Unavailable):
    """A leader has changed: it may have lost records that were read, or points. Another pipeline resumes."""


class TransformPipeline:
    """The transforms of one Feed or Replay. At-least-once: an offset is committed once its points are on the log.

    Every method that waits for the broker raises KafkaException, and LogUncertain.
    """

    def __init__(
        self,
        reader: Consumer,
        offsets: GroupOffsets,
        publisher: PointPublisher,
        selection: TopicSelection,
        transforms: Sequence[Transform],
        call: FunctionCall,
        warmup: WarmupReader,
        stats: TransformStats,
        stop: Event,
    ) -> None:
        self._reader, self._offsets = reader, offsets
        self._publisher, self._selection = publisher, selection
        self._transforms, self._call, self._warmup, self._stats = transforms, call, warmup, stats
        self._stop = stop
        self._tracer = tracer()
        self._resumed: dict[Partition, ResumePoint] = {}
        self._next: dict[Partition, LogPosition] = {}
        # By (exchange, symbol, interval); None for a series to which no transform applies.
        self._series: dict[Partition, dict[tuple[str, str, str], _TrackedSeries | None]] = {}
        self._at_end: set[Partition] = set()
        self._ended: set[Partition] = set()  # whose Replay has ended
        self._tracker = CatchUpTracker(reader)
        self._committed_at = self._confirmed_at = time.monotonic()
        self._uncommitted: set[Partition] = set()
        self.lookbacks: dict[str, int] = {}

    def open(self, since_ms: int | None) -> None:
        """Find the resume points, see GroupOffsets. Raises KafkaException."""
        self._resumed = self._offsets.resume_points(self._selection.channels, since_ms)
        self._series = {key: {} for key in self._resumed}
        self._next = {key: point.publish_from for key, point in self._resumed.items()}
        self._reader.assign([TopicPartition(*key, point.read_from) for key, point in self._resumed.items()])

    def run(self) -> bool:
        """Process records; True at the end of a Replay, False after a stop. Raises KafkaException, psycopg.Error."""
        while not self._stop.is_set():
            messages = self._reader.consume(BATCH, WAIT_SECONDS)
            for message in messages:
                self._process(message)
            RECORDS.inc(sum(message.error() is None for message in messages))
            self._publisher.poll()
            if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
                self._commit()
            if self._selection.replay and len(self._ended) == len(self._resumed):
                self._commit()
                self._stats.catch_up(int(time.time() * 1000))
                return True
            if (moment := self._tracker.caught_up(self._next_offsets(), self._at_end)) is not None:
                self._commit()
                self._stats.catch_up(moment)
        self._commit()
        return False

    def hold(self) -> None:
        """Wait for a stop, after the end of a Replay."""
        while not self._stop.wait(COMMIT_SECONDS):
            self._commit()

    def _next_offsets(self) -> dict[Partition, int]:
        return {key: position.offset for key, position in self._next.items()}

    def _process(self, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        if topic is None or partition is None or offset is None or error is not None:
            self._handle_event(error, (topic or "", partition or 0))
            return
        key = (topic, partition)
        self._at_end.discard(key)
        # Records before the resume point only restore the state of their series: nothing is published for them.
        restoring = offset < self._next[key].offset
        if self._selection.matches_key(message.key()):
            self._transform(key, message, offset, restoring)
        if not restoring:
            self._next[key] = position_after(message)
            self._uncommitted.add(key)

    def _handle_event(self, error: KafkaError | None, key: Partition) -> None:
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add(key)
        elif error is not None and not error.retriable():
            raise KafkaException(error)

    def _transform(self, key: Partition, message: Message, offset: int, restoring: bool) -> None:
        try:
            control, record = self._selection.control(message), self._selection.record(message)
        except ValueError:  # the recorder stores invalid records as ingest errors
            return
        if control is not None:
            self._apply_control(key, control, message, restoring)
        series = self._series_of(key, record, offset, restoring) if record is not None else None
        if record is None or series is None:
            return
        span = self._tracer.follow("transform", message) if self._tracer is not None and not restoring else None
        points = series.update(record, offset, ignore_failure if restoring else self._report_failure)
        if not restoring:
            self._publish(points, message, span)

    def _publish(self, points: list[Point], message: Message, span: RecordSpan | None = None) -> None:
        if points:
            added: Headers = [] if span is None else [span.header]
            headers = self._selection.point_headers(message)
            self._publisher.publish(points, headers, message_partition(message), added)
        if span is not None:
            span.note(points=len(points))
            span.end()
        for point in points:
            self._stats.count_point(point.series)

    def _apply_control(self, key: Partition, control: wire.ControlRecord, message: Message, restoring: bool) -> None:
        """A Replay's epoch starts without state; its end ends the partition, and with it the bars under way."""
        if isinstance(control, wire.EpochStart):
            self._series[key].clear()
            self._ended.discard(key)
        elif isinstance(control, wire.ReplayEnd):
            self._ended.add(key)
            for tracked in self._series[key].values():
                if tracked is not None and not restoring:
                    self._publish(tracked.state.finish(self._report_failure), message)

    def _report_failure(self, transform: str, record: Record, reason: str) -> None:
        self._stats.count_error(transform, reason)
        self._publisher.publish_error(transform, record, reason)

    def _series_of(self, key: Partition, record: Record, offset: int, restoring: bool) -> SeriesState | None:
        interval = record.interval if isinstance(record, Bar) else ""
        name = (record.exchange, record.symbol, interval)
        series = self._series[key]
        if name not in series:
            series[name] = self._new_series(key, record, interval, offset, restoring)
        tracked = series[name]
        return tracked.state if tracked is not None else None

    def _new_series(
        self, key: Partition, record: Record, interval: str, offset: int, restoring: bool
    ) -> _TrackedSeries | None:
        """A series at its first record, warmed up from the store unless the log contains all that it depends on.

        A Replay's series start with the replay.
        """
        plan = plan_series(self._transforms, self._selection.channels[key[0]], interval)
        if not plan.transforms:
            return None
        for name, lookback in plan.lookback.items():
            self.lookbacks[name] = max(lookback, self.lookbacks.get(name, 0))
        state = SeriesState(plan, self._call)
        use_store = not self._selection.replay and (self._resumed[key].use_store or not restoring)
        count = plan.max_lookback + 1 if use_store and plan.max_lookback else 0
        for earlier in self._warmup.records_before(record, count) if count else ():
            state.update(earlier, offset, ignore_failure)
        return _TrackedSeries(state, offset if count else -1)

    def _commit(self) -> None:
        """Wait for every delivery, then commit the resume points."""
        self._committed_at = time.monotonic()
        if not self._uncommitted and self._committed_at - self._confirmed_at < CONFIRM_SECONDS:
            return
        self._publisher.flush()
        if not self._offsets.confirm(self._publisher.take_acknowledged()):
            raise LogUncertain("the broker was restarted; what it may have lost is read and published again")
        self._confirmed_at = time.monotonic()
        if not self._uncommitted:
            return
        points = {key: self._resume_point(key) for key in self._uncommitted}
        self._offsets.commit(points)
        self._uncommitted.clear()

    def _resume_point(self, key: Partition) -> ResumePoint:
        """A successor reads from the earliest record that a series depends on, at most REREAD_MAX back.

        For a Feed's series without recent records the store has what they need. For a Replay at least the last record
        is read again, because it may be the end.
        """
        following, next_position = self._next[key].offset, self._next[key]
        tracked = [each for each in self._series[key].values() if each is not None]
        needed = [first for each in tracked if (first := each.state.first_needed) is not None]
        read_from = min([*needed, following])
        if self._selection.replay:
            return ResumePoint(max(min(read_from, following - 1), 0), next_position, False)
        if read_from < following - REREAD_MAX:
            return ResumePoint(following - REREAD_MAX, next_position, True)
        use_store = any(
            each.warmed_up_at >= 0 and (each.state.first_needed or 0) <= each.warmed_up_at for each in tracked
        )
        return ResumePoint(read_from, next_position, use_store)
