"""When all that was on the log at some moment is through, though others go on writing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeAlias

from confluent_kafka import Consumer, TopicPartition

LOOK_SECONDS = 0.5
SLACK_MS = 1_000  # what was written so long before is fetched by then
Key: TypeAlias = tuple[str, int]


class Progress:
    """Compares places with where the log ended a moment ago."""

    def __init__(self, reader: Consumer) -> None:
        self._reader = reader
        self._asked: float | None = None
        self._ends: dict[Key, int] = {}

    def through(self, following: Mapping[Key, int], at_end: set[Key]) -> int | None:
        """The latest moment, milliseconds UTC, of which all is through; None where there is no news.

        ``following`` is the next place of each partition, ``at_end`` those that had nothing more.
        """
        now = time.time()
        if self._asked is None:
            self._asked = now
            self._ends = {key: self._end(key) for key in following if key not in at_end}
        self._ends = {
            key: end for key, end in self._ends.items() if key not in at_end and (end < 0 or following[key] < end)
        }
        if self._ends or now - self._asked < LOOK_SECONDS:
            return None
        through, self._asked = int(self._asked * 1000) - SLACK_MS, None
        return through

    def _end(self, key: Key) -> int:
        """As of the last fetch; below 0 before the first."""
        found = self._reader.get_watermark_offsets(TopicPartition(*key), cached=True)
        return int(found[1]) if found is not None else -1
