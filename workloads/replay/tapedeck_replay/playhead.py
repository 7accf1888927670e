"""Where on the tape the deck is: what was handed over last, and what comes next."""

from __future__ import annotations

import math
from collections.abc import Callable

from tapedeck_replay.chunks import Chunk
from tapedeck_replay.position import Position
from tapedeck_replay.reader import ReadAhead
from tapedeck_replay.tape import Source, Tape


class Playhead:
    """Reads on behind a position. ``arrived`` is called, from another thread, when there is something new."""

    def __init__(self, source: Source, tape: Tape, arrived: Callable[[], None], position: Position) -> None:
        self._source, self._tape, self._arrived = source, tape, arrived
        self._reader: ReadAhead | None = None
        self.go_to(position)

    def go_to(self, position: Position) -> None:
        """Everything behind the position is to be read and published, again where it was before."""
        self.close()
        self.last, self.passed, self.published = position.last, position.passed or 0, position.published
        self._chunk: Chunk | None = None
        self.index = 0
        tape = self._tape
        after = tape.after_bar(self.last) if self.last is not None else tape.after_event(position.v)
        # A shard that no symbol falls to says how far virtual time is, and nothing else.
        self._reader = ReadAhead(self._source, tape, after, self._arrived) if tape.symbols else None

    def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.close()

    @property
    def last_event(self) -> int | None:
        """When the last record handed over was due; None before the first of an epoch."""
        return None if self.last is None else self.last[0]

    def chunk(self) -> Chunk | None:
        """The chunk with the next record, which is at ``index``; None if it is not there yet or there is none."""
        if self._reader is not None and (self._chunk is None or self.index >= len(self._chunk)):
            self._chunk, self.index = self._reader.take(), 0
        return self._chunk

    def following(self) -> float | None:
        """When the next record is due: infinity behind the last, None if it is not read yet."""
        chunk = self.chunk()
        if chunk is not None:
            return chunk.events[self.index]
        return math.inf if self._reader is None or self._reader.exhausted else None

    def passed_before(self, v: int) -> int:
        """How many of the tape's records a jump to ``v`` leaves behind."""
        return self._source.count(self._tape, v) if self._tape.symbols and v > self._tape.begin else 0

    def advance(self, end: int) -> None:
        """The chunk's records before ``end`` are handed over."""
        if self._chunk is None:
            raise ValueError(f"end: got {end} without a chunk")
        self.passed += end - self.index
        self.published += end - self.index
        self.last = self._chunk.order_key(end - 1)
        self.index = end
