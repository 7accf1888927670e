"""The latest records of one series, for clients that follow it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecordRing(Generic[T]):
    """The last ``limit`` records, numbered from 1 in order of arrival. Of records with one identity the first counts.

    ``known_at`` is the event time of a record, milliseconds UTC. ``dropped`` says whether there were earlier ones.
    """

    def __init__(self, limit: int, identity: Callable[[T], Hashable], known_at: Callable[[T], int]) -> None:
        self.number = 0
        self.dropped = False
        self._limit = limit
        self._identity = identity
        self._known_at = known_at
        self._records: deque[T] = deque()
        self._identities: set[Hashable] = set()

    def append(self, record: T) -> bool:
        """Add a record; returns False for a repeat."""
        identity = self._identity(record)
        if identity in self._identities:
            return False
        self._records.append(record)
        self._identities.add(identity)
        self.number += 1
        if len(self._records) > self._limit:
            self._identities.discard(self._identity(self._records.popleft()))
            self.dropped = True
        return True

    def fill(self, earlier: Iterable[T]) -> None:
        """Put records before those that have arrived."""
        arrived = list(self._records)
        self.clear()
        for record in (*earlier, *arrived):
            self.append(record)

    def clear(self) -> None:
        """Forget all records; the numbers continue."""
        self.dropped = False
        self._records.clear()
        self._identities.clear()

    def keep_until(self, time: int) -> None:
        """Forget the records of later events."""
        kept = [record for record in self._records if self._known_at(record) <= time]
        self._records = deque(kept)
        self._identities = {self._identity(record) for record in kept}

    def after(self, number: int, until: int) -> tuple[int, list[T], int]:
        """The records after this number, up to the first of an event later than ``until``.

        Returns the number of the last one, the records, and how many before them are no longer known.
        """
        count = min(self.number - number, len(self._records))
        missed = self.number - number - count
        found: list[T] = []
        for record in list(self._records)[len(self._records) - count :]:
            if self._known_at(record) > until:
                break
            found.append(record)
        return number + missed + len(found), found, missed

    def latest(self, count: int, until: int) -> list[T]:
        """The last ``count`` records of events up to ``until``, in order."""
        return [record for record in self._records if self._known_at(record) <= until][-count:]
