"""When the log is not what it was: topics made anew, records deleted before they were recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import KafkaException

from tapedeck_common.logs import log
from tapedeck_recorder.kafka.consumer import Reader
from tapedeck_recorder.kafka.topic_ids import Identity, Seen
from tapedeck_recorder.rows.batch import Batch, Fault, Partition
from tapedeck_recorder.store.offsets import NOWHERE, Offsets
from tapedeck_recorder.store.writer_pool import Lanes

FOLLOW_SECONDS = 10.0
ASTRAY_SECONDS = 1.0


class Follower:
    """Sees to it that nothing of the log is passed over silently. The broker is asked by a thread of its own."""

    def __init__(
        self,
        identity: Identity,
        offsets: Offsets,
        lanes: Lanes,
        reader: Reader,
        load: Callable[[list[Partition]], dict[Partition, int]],
        made_anew: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._offsets = offsets
        self._lanes = lanes
        self._reader = reader
        self._load = load
        self._made_anew = made_anew
        self._thread = ThreadPoolExecutor(1, "follower")
        self._asked: Future[Seen] | None = None
        self._due = time.monotonic() + FOLLOW_SECONDS

    def follow(self) -> None:
        """Take up the answer if there is one, else ask when it is time. Does not wait for the broker."""
        if self._asked is None:
            if time.monotonic() > self._due or self._reader.astray:
                self._asked = self._thread.submit(self._identity.look, frozenset(self._reader.astray))
        elif self._asked.done():
            asked, self._asked = self._asked, None
            self._due = time.monotonic() + FOLLOW_SECONDS
            try:
                seen = asked.result()
            except KafkaException as error:  # reading says itself what does not pass
                log.warning("the broker did not tell its topics", reason=str(error))
                self._due = time.monotonic() + ASTRAY_SECONDS
            else:
                self._take_up(seen)

    def catch_up(self) -> None:
        """Move the store on behind what transactions leave at the log's end, so that it is seen to be complete."""
        if self._offsets.behind(self._reader.positions()):
            self._lanes.settle()
            if ahead := self._offsets.behind(self._reader.positions()):
                self._lanes.write(Batch(next_offsets=ahead))

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take_up(self, seen: Seen) -> None:
        if not self._offsets.named(seen.topic_ids):
            self._begin_with(seen.topic_ids)
        elif astray := self._reader.astray & seen.held.keys():
            self._pass_over(astray, seen.held)

    def _begin_with(self, topic_ids: dict[str, str]) -> None:
        """Begin again where topics were made anew.

        What they got meanwhile may have been written under their old ids: read again, it changes nothing.
        """
        log.warning("topics were made anew", ids=topic_ids)
        self._lanes.settle()
        self._offsets.rename(topic_ids)
        self._reader.open_anew()
        self._made_anew()

    def _pass_over(self, astray: Set[Partition], held: Mapping[Partition, tuple[int, int]]) -> None:
        """Go on at the log's beginning where it lost what comes next."""
        self._lanes.settle()
        found = self._load(sorted(self._reader.assigned))
        for place in astray:
            low, high = held[place]
            if found[place] != NOWHERE and not low <= found[place] <= high:
                self._lanes.write(_lost(place, found[place], low, high))
        self._reader.begin_again()


def _lost(place: Partition, wanted: int, low: int, high: int) -> Batch:
    """Go on at the log's beginning, and keep what it lost."""
    reason = (
        f"offsets {wanted} to {low - 1} were deleted from the log before they were recorded"
        if wanted < low
        else f"the log ends at {high}, before {wanted} where the store is: the broker lost records"
    )
    log.error("records are missing on the log", topic=place[0], partition=place[1], reason=reason)
    fault = Fault(*place, offset=wanted, at=int(time.time() * 1000), reason=reason, payload="")
    return Batch(next_offsets={place: low}, faults=[fault])
