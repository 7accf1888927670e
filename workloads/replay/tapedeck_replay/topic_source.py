"""Bars or trades on a topic: what a Feed or another Replay has published until now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import consumer, error_of, passing
from tapedeck_common.market import series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import REPLAY_PREFIX
from tapedeck_crds.base import time_ms
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.source import TopicRange
from tapedeck_replay.spool import Row, Spool
from tapedeck_replay.symbols import matching_symbols
from tapedeck_replay.tape import After, BadInput, Rows, Tape
from tapedeck_replay.topic_records import Found, Kind
from tapedeck_replay.writer import explain

READ_SECONDS = 15.0
BATCH = 5_000
B = TypeVar("B", bound=Rows)
Ends = dict[int, tuple[int, int]]
"""Partition → first and last + 1 of the offsets to read."""


class TopicSource(Generic[B]):
    """Committed bars or trades between the offsets at the start, in the one order. Control records are neither.

    A topic has them in the order of publishing, a partition each by itself, some of them more than once (by
    revision, by a Feed that began again, in several epochs of a Replay): they are sorted on disk, and of a bar that
    is there repeatedly the highest revision counts. A successor reads the same offsets again.
    """

    def __init__(
        self, connections: Connections, wanted: TopicRange, kind: Kind[B], name: str, pulse: Callable[[], None]
    ) -> None:
        self._connections, self._wanted, self._name, self._pulse = connections, wanted, name, pulse
        self._kind = kind
        self._spool: Spool[B] | None = None
        if wanted.name == name:
            raise BadInput("BadTopic", f"source.topic.name: got {name}, expected another topic than the Replay's own")

    def resolve(self) -> Tape:
        wanted = self._wanted
        ends = self._ask(self._ends)
        self._spool, (exchange, interval) = self._filled(ends)
        spool = self._spool
        numbers = spool.numbers()
        if not numbers:
            kind = self._kind.channel
            raise BadInput(f"No{kind.capitalize()}", f"source.topic: {wanted.name} has no {kind} of what is wanted")
        symbols = tuple(sorted(numbers))
        first, last = spool.span()
        offsets = ",".join(f"{partition}:{low}-{high}" for partition, (low, high) in sorted(ends.items()))
        return Tape(
            exchange,
            symbols,
            interval,
            first if wanted.from_ is None else time_ms(wanted.from_),
            last + self._kind.length(interval) if wanted.to is None else time_ms(wanted.to),
            numbers,
            f"{wanted.name}[{offsets}]={spool.check(symbols)}",
            channel=self._kind.channel,
        )

    def resume(self, tape: Tape) -> None:
        self._of(tape)

    def count(self, tape: Tape, v: int) -> int:
        return self._of(tape).count(tape.symbols, min(tape.end, v - tape.known_after + 1))

    def blocks(self, tape: Tape, after: After | None) -> Iterator[B]:
        return self._of(tape).blocks(tape.symbols, after)

    def _of(self, tape: Tape) -> Spool[B]:
        """The records that an earlier life resolved the tape to, read again where this one has not yet."""
        if self._spool is not None:
            return self._spool
        ends, check = _told(tape.fingerprint)
        there = self._ask(self._ends)
        if all(partition in there and there[partition][0] <= low for partition, (low, _) in ends.items()):
            spool, _ = self._filled(ends)
            if spool.check(tuple(spool.numbers())) == check:
                self._spool = spool
                return spool
        raise BadInput(
            "DataChanged",
            f"source.topic: {self._wanted.name} no longer has what this Replay began with (retention, or a "
            "topic made anew), expected them to stay; make a new Replay",
        )

    def _ends(self) -> Ends:
        reader = self._reader()
        try:
            topic = reader.list_topics(self._wanted.name, timeout=READ_SECONDS).topics[self._wanted.name]
            if topic.error is not None:
                if topic.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise KafkaException(topic.error)
                raise BadInput(
                    "NoTopic",
                    f"source.topic.name: got {self._wanted.name}, which the broker does not have, expected one that is "
                    "there: a topic to be played is not made; was its Replay deleted, or `tapedeck migrate` not run?",
                )
            ends: Ends = {}
            for partition in topic.partitions:
                place = TopicPartition(self._wanted.name, partition)
                low, high = reader.get_watermark_offsets(place, timeout=READ_SECONDS)
                ends[partition] = (min(max(low, self._wanted.from_offset or 0), high), high)
            return ends
        finally:
            reader.close()

    def _filled(self, ends: Ends) -> tuple[Spool[B], tuple[str, str]]:
        spool, wanted = self._kind.spool(), self._wanted
        start = None if wanted.from_ is None else time_ms(wanted.from_)
        end = None if wanted.to is None else time_ms(wanted.to)
        kinds: set[tuple[str, str]] = set()
        chosen: dict[str, bool] = {}

        def rows() -> Iterator[Row]:
            for each in self._records(ends):
                if wanted.exchange not in (None, each.exchange) or wanted.interval not in (None, each.interval):
                    continue
                ts, symbol = each.row[:2]
                if symbol not in chosen:
                    chosen[symbol] = wanted.symbols is None or bool(matching_symbols([symbol], wanted.symbols))
                if chosen[symbol] and (start is None or ts >= start) and (end is None or ts < end):
                    kinds.add((each.exchange, each.interval))
                    yield each.row

        found = rows()
        while batch := list(islice(found, BATCH)):
            spool.put(batch)
            self._pulse()
        if len(kinds) > 1:
            raise self._kind.mixed(wanted.name, kinds)
        return spool, next(iter(kinds), ("", ""))

    def _records(self, ends: Ends) -> Iterator[Found]:
        reader = self._reader()
        left = {partition: high for partition, (low, high) in ends.items() if low < high}
        try:
            reader.assign([TopicPartition(self._wanted.name, p, ends[p][0]) for p in left])
            while left:
                first = reader.poll(READ_SECONDS)
                if first is None:
                    raise Unavailable(f"{self._wanted.name}: no record within {READ_SECONDS:g} s")
                for message in (first, *reader.consume(BATCH, 0)):
                    yield from self._record(message, left)
        except KafkaException as error:
            raise Unavailable(f"{self._wanted.name}: {explain(error_of(error))}") from error
        finally:
            reader.close()

    def _record(self, message: Message, left: dict[int, int]) -> Iterator[Found]:
        partition, offset, fault = message.partition(), message.offset(), message.error()
        if fault is not None and fault.code() != KafkaError._PARTITION_EOF:
            if not fault.retriable():
                raise KafkaException(fault)
            return
        if partition not in left or offset is None:
            return
        if offset >= left[partition] - 1:  # at the end of a partition it is the offset to come
            end = left.pop(partition)
            if fault is not None or offset >= end:
                return
        if fault is not None or not self._ours(message.key()):
            return
        try:
            origin = wire.origin_of(message.headers())
            if origin.control or (origin.source == "replay" and not self._wanted.name.startswith(REPLAY_PREFIX)):
                return
            found = self._kind.read(message.value() or b"", origin.source == "live")
        except ValueError as error:
            place = f"{self._wanted.name} partition {partition} offset {offset}"
            raise BadInput("BadTopic", f"{place}: {error}; expected a topic of {self._kind.channel}") from error
        if found is not None:
            yield found

    def _ours(self, key: str | bytes | None) -> bool:
        """Whether a record is of the exchange that was chosen: what others left on a shared topic is not judged."""
        exchange = self._wanted.exchange
        return exchange is None or not isinstance(key, bytes) or key.startswith(series_key(exchange, "").encode())

    def _reader(self) -> Consumer:
        return consumer(
            self._connections, f"{self._name}.source", f"{self._name}.source", {"enable.partition.eof": True}
        )

    @stamina.retry(on=passing, attempts=6, timeout=60.0, wait_max=3.0)
    def _retried(self, question: Callable[[], Ends]) -> Ends:
        return question()

    def _ask(self, question: Callable[[], Ends]) -> Ends:
        try:
            return self._retried(question)
        except KafkaException as error:
            raise Unavailable(f"{self._wanted.name}: {explain(error_of(error))}") from error


def _told(fingerprint: str) -> tuple[Ends, str]:
    """The offsets and the check of a topic's fingerprint, name[partition:low-high,…]=check."""
    named, check = fingerprint.split(";")[0].rsplit("=", 1)
    ends: Ends = {}
    for part in named[named.index("[") + 1 : -1].split(","):
        partition, offsets = part.split(":")
        low, high = offsets.split("-")
        ends[int(partition)] = (int(low), int(high))
    return ends, check
