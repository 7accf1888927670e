"""Whether the log still has what a program published, also where a broker has lost its end and others wrote there.

What a broker acknowledges it may lose, as in a power failure. A partition's leader that is restarted has another leader
epoch: while the epoch stays the same, everything acknowledged is on the log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property

import stamina

from tapedeck_common.kafka import BrokerAdmin, admin, is_transient
from tapedeck_common.log_positions import LogPosition, Partition, continuations, leader_epochs
from tapedeck_common.settings import Connections


class PublishedLog:
    """Partitions that a program publishes to. ``confirmed`` are the positions after its records that were on the log.

    Of ``others``, which it reads, the leaders are watched, too. ``group`` is one whose offsets the program may read;
    nothing is committed. Every method raises KafkaException.
    """

    def __init__(
        self,
        connections: Connections,
        group: str,
        partitions: Collection[Partition],
        confirmed: Mapping[Partition, LogPosition] | None = None,
        others: Collection[Partition] = (),
    ) -> None:
        self._connections, self._group = connections, group
        self._partitions = sorted({*partitions, *others})
        self._epochs: dict[Partition, int | None] = {}
        self.confirmed = dict(confirmed or {})

    @cached_property
    def _client(self) -> BrokerAdmin:
        return admin(self._connections, f"{self._group}.published")

    @stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
    def missing(self) -> dict[Partition, int]:
        """Where the log of a partition ends or differs before its confirmed position, which is then forgotten.

        What is acknowledged from now on is confirmed by the leaders of now.
        """
        self._epochs = self._leader_epochs()  # first: a loss after this request is noticed by ``confirm``
        found = continuations(self._connections, self._group, self._group, self.confirmed)
        lost = {each: found.get(each, 0) for each, at in self.confirmed.items() if found.get(each, 0) < at.offset}
        self.confirmed = {each: at for each, at in self.confirmed.items() if each not in lost}
        return lost

    def confirm(self, acknowledged: Mapping[Partition, int]) -> bool:
        """Note the last acknowledged offsets of partitions, if no leader has changed since ``missing``.

        False where one has: some of what was acknowledged since the last call may be lost. The broker is asked once: a
        transaction may be open, which is not to wait.
        """
        if self._leader_epochs() != self._epochs:
            return False
        self.confirmed |= {each: LogPosition(last + 1, self._epochs[each]) for each, last in acknowledged.items()}
        return True

    def _leader_epochs(self) -> dict[Partition, int | None]:
        return leader_epochs(self._client, self._partitions) if self._partitions else {}
