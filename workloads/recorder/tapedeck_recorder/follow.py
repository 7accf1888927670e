"""When the log is not what it was: topics made anew, records deleted before they were recorded."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from tapedeck.kafka import error_of, passing
from tapedeck.logs import log
from tapedeck_recorder.batch import Batch, Fault, Partition
from tapedeck_recorder.consume import Reader
from tapedeck_recorder.identity import Identity
from tapedeck_recorder.lanes import Lanes
from tapedeck_recorder.offsets import NOWHERE, Offsets

TIMEOUT = 2.0  # while the broker is asked nothing is read


class Follower:
    """Sees to it that nothing of the log is passed over silently."""

    def __init__(
        self,
        identity: Identity,
        offsets: Offsets,
        lanes: Lanes,
        reader: Reader,
        load: Callable[[list[Partition]], dict[Partition, int]],
    ) -> None:
        self._identity = identity
        self._offsets = offsets
        self._lanes = lanes
        self._reader = reader
        self._load = load

    def check(self) -> None:
        """Begin again where topics have other ids, and at the log's beginning where it lost what comes next.

        What a topic made anew got meanwhile may have been written under its old id: read again, it changes nothing.
        """
        try:
            ids = self._identity.topic_ids(TIMEOUT)
            held = {place: self._reader.held(place, TIMEOUT) for place in self._reader.astray}
        except KafkaException as error:
            if not passing(error) and error_of(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            return
        if self._offsets.named(ids) and not held:
            return
        self._lanes.settle()
        self._offsets.rename(ids)
        found = self._load(sorted(self._reader.assigned))
        for place, (low, high) in held.items():
            if found[place] != NOWHERE and not low <= found[place] <= high:
                self._lanes.write(_lost(place, found[place], low, high))
        self._reader.begin_again()

    def catch_up(self) -> None:
        """Move the store on behind what transactions leave at the log's end, so that it is seen to be complete."""
        if self._offsets.behind(self._reader.positions()):
            self._lanes.settle()
            if ahead := self._offsets.behind(self._reader.positions()):
                self._lanes.write(Batch(next_offsets=ahead))


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
