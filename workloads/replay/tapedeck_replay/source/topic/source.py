"""Bars or trades from a topic: what Feeds or another Replay have published so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import consumer, is_transient, kafka_error
from tapedeck_common.market import series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import REPLAY_PREFIX
from tapedeck_crds.base import time_ms
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.source import TopicRange, matching_symbols
from tapedeck_replay.errors import InvalidReplay, describe_kafka_error
from tapedeck_replay.source.dataset import Dataset, RecordBlock, StartAfter
from tapedeck_replay.source.sorted_table import SortedTable, TableRow
from tapedeck_replay.source.topic.codec import DecodedRecord, RecordCodec

# A broker does not tell a user whether a topic exists that it may not read.
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED)
READ_SECONDS = 15.0
BATCH = 5_000
B = TypeVar("B", bound=RecordBlock)
OffsetRanges = dict[int, tuple[int, int]]
"""Partition → first offset to read, and the one after the last."""


class TopicSource(Generic[B]):
    """Committed bars or trades between the offsets at the start of the replay. Control records are skipped.

    Within a partition, records are in the order of publishing, and some of them occur more than once:
    revisions, repeats of a restarted Feed, the epochs of a Replay. A sorted table on disk puts them in order and keeps
    the highest revision of each bar. A successor reads the same offsets again.
    """

    def __init__(
        self,
        connections: Connections,
        spec: TopicRange,
        codec: RecordCodec[B],
        own_topic: str,
        heartbeat: Callable[[], None],
    ) -> None:
        self._connections, self._spec, self._own_topic = connections, spec, own_topic
        self._codec, self._heartbeat = codec, heartbeat
        self._table: SortedTable[B] | None = None
        if spec.name == own_topic:
            raise InvalidReplay(
                "BadTopic", f"source.topic.name: got {spec.name}, expected another topic than the Replay's own"
            )

    def resolve(self) -> Dataset:
        spec, channel = self._spec, self._codec.channel
        ranges = self._offset_ranges()
        table, (exchange, interval) = self._read_into_table(ranges)
        self._table = table
        rows = table.rows_by_symbol()
        if not rows:
            message = f"source.topic: {spec.name} has no {channel} of the selected series and range"
            raise InvalidReplay(f"No{channel.capitalize()}", message)
        symbols = tuple(sorted(rows))
        first, last = table.span()
        return Dataset(
            exchange,
            symbols,
            interval,
            first if spec.from_ is None else time_ms(spec.from_),
            self._codec.end(last, interval) if spec.to is None else time_ms(spec.to),
            rows,
            _fingerprint(spec.name, ranges, table.checksum(symbols)),
            channel=channel,
        )

    def resume(self, dataset: Dataset) -> None:
        self._table_of(dataset)

    def count(self, dataset: Dataset, v: int) -> int:
        return self._table_of(dataset).count(dataset.symbols, min(dataset.end, dataset.time_of(v) + 1))

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[B]:
        return self._table_of(dataset).blocks(dataset.symbols, after)

    def _table_of(self, dataset: Dataset) -> SortedTable[B]:
        """The dataset's records, read again if an earlier pod resolved it. Raises InvalidReplay ``DataChanged``."""
        if self._table is not None:
            return self._table
        ranges, checksum = _parse_fingerprint(dataset.fingerprint)
        current = self._offset_ranges()
        if all(partition in current and current[partition][0] <= low for partition, (low, _) in ranges.items()):
            table, _ = self._read_into_table(ranges)
            if table.checksum(tuple(table.rows_by_symbol())) == checksum:
                self._table = table
                return table
        raise InvalidReplay(
            "DataChanged",
            f"source.topic: {self._spec.name} no longer has the records that this Replay started with, because of "
            "retention or because the topic was created again; create a new Replay",
        )

    def _offset_ranges(self) -> OffsetRanges:
        """The current offsets of every partition, from the spec's first offset on. Raises Unavailable."""
        try:
            return self._offset_ranges_with_retries()
        except KafkaException as error:
            raise Unavailable(f"{self._spec.name}: {describe_kafka_error(kafka_error(error))}") from error

    @stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
    def _offset_ranges_with_retries(self) -> OffsetRanges:
        name = self._spec.name
        reader = self._consumer()
        try:
            topic = reader.list_topics(name, timeout=READ_SECONDS).topics[name]
            if topic.error is not None:
                if topic.error.code() not in _ABSENT:
                    raise KafkaException(topic.error)
                raise InvalidReplay(
                    "NoTopic",
                    f"source.topic.name: got {name}, which the broker does not have, or does not let Replays read; "
                    "expected an existing topic: "
                    "a Replay does not create its source; was the source's Replay deleted, or `tapedeck migrate` not "
                    "run?",
                )
            ranges: OffsetRanges = {}
            for partition in topic.partitions:
                low, high = reader.get_watermark_offsets(TopicPartition(name, partition), timeout=READ_SECONDS)
                ranges[partition] = (min(max(low, self._spec.from_offset or 0), high), high)
            return ranges
        finally:
            reader.close()

    def _read_into_table(self, ranges: OffsetRanges) -> tuple[SortedTable[B], tuple[str, str]]:
        """The selected records of these offsets, and their (exchange, interval)."""
        table = self._codec.new_table()
        series: set[tuple[str, str]] = set()
        rows = self._selected_rows(ranges, series)
        while batch := list(islice(rows, BATCH)):
            table.insert(batch)
            self._heartbeat()
        if len(series) > 1:
            raise self._codec.mixed_series(self._spec.name, series)
        return table, next(iter(series), ("", ""))

    def _selected_rows(self, ranges: OffsetRanges, series: set[tuple[str, str]]) -> Iterator[TableRow]:
        """The rows that the spec selects; the (exchange, interval) of each is added to ``series``."""
        spec = self._spec
        start = None if spec.from_ is None else time_ms(spec.from_)
        end = None if spec.to is None else time_ms(spec.to)
        selected: dict[str, bool] = {}  # by symbol
        for record in self._decoded(ranges):
            if spec.exchange not in (None, record.exchange) or spec.interval not in (None, record.interval):
                continue
            ts, symbol = record.row[:2]
            if symbol not in selected:
                selected[symbol] = spec.symbols is None or bool(matching_symbols([symbol], spec.symbols))
            if selected[symbol] and (start is None or ts >= start) and (end is None or ts < end):
                series.add((record.exchange, record.interval))
                yield record.row

    def _decoded(self, ranges: OffsetRanges) -> Iterator[DecodedRecord]:
        name = self._spec.name
        reader = self._consumer()
        remaining = {partition: high for partition, (low, high) in ranges.items() if low < high}
        try:
            reader.assign([TopicPartition(name, partition, ranges[partition][0]) for partition in remaining])
            while remaining:
                first = reader.poll(READ_SECONDS)
                if first is None:
                    raise Unavailable(f"{name}: no record within {READ_SECONDS:g} s")
                for message in (first, *reader.consume(BATCH, 0)):
                    if self._is_in_range(message, remaining) and (record := self._decode(message)) is not None:
                        yield record
        except KafkaException as error:
            raise Unavailable(f"{name}: {describe_kafka_error(kafka_error(error))}") from error
        finally:
            reader.close()

    def _is_in_range(self, message: Message, remaining: dict[int, int]) -> bool:
        """Whether a message is a record of the range; removes partitions that are read to their end."""
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if not error.retriable():
                raise KafkaException(error)
            return False
        if partition not in remaining or offset is None:
            return False
        if offset >= remaining[partition] - 1:  # at the end of a partition it is the next offset
            end = remaining.pop(partition)
            return error is None and offset < end
        return error is None

    def _decode(self, message: Message) -> DecodedRecord | None:
        """The record of a message; None for other exchanges, control records and, on shared topics, replayed data."""
        if not self._is_of_exchange(message.key()):
            return None
        name = self._spec.name
        try:
            origin = wire.origin_of(message.headers())
            if origin.control or (origin.streamed and not name.startswith(REPLAY_PREFIX)):
                return None
            return self._codec.decode(message.value() or b"", origin.source == "live")
        except ValueError as error:
            place = f"{name} partition {message.partition()} offset {message.offset()}"
            raise InvalidReplay("BadTopic", f"{place}: {error}; expected a topic of {self._codec.channel}") from error

    def _is_of_exchange(self, key: str | bytes | None) -> bool:
        """Whether a record may be of the spec's exchange: other programs' records on a shared topic are not checked."""
        exchange = self._spec.exchange
        return exchange is None or not isinstance(key, bytes) or key.startswith(series_key(exchange, "").encode())

    def _consumer(self) -> Consumer:
        name = f"{self._own_topic}.source"
        return consumer(self._connections, name, name, {"enable.partition.eof": True})


def _fingerprint(topic: str, ranges: OffsetRanges, checksum: str) -> str:
    """``topic[partition:low-high,…]=checksum``."""
    offsets = ",".join(f"{partition}:{low}-{high}" for partition, (low, high) in sorted(ranges.items()))
    return f"{topic}[{offsets}]={checksum}"


def _parse_fingerprint(fingerprint: str) -> tuple[OffsetRanges, str]:
    """The offsets and the checksum of a fingerprint."""
    place, checksum = fingerprint.split(";")[0].rsplit("=", 1)
    ranges: OffsetRanges = {}
    for part in place[place.index("[") + 1 : -1].split(","):
        partition, offsets = part.split(":")
        low, high = offsets.split("-")
        ranges[int(partition)] = (int(low), int(high))
    return ranges, checksum
