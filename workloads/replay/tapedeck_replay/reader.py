"""Reading ahead, in bounded memory, on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from tapedeck_replay.chunks import Chunk, chunks_of
from tapedeck_replay.tape import After, Source, Tape

CHUNKS_AHEAD = 32
POLL_SECONDS = 0.5


class ReadAhead:
    """The tape's bars later than ``after`` as chunks; at most CHUNKS_AHEAD of them wait.

    ``arrived`` is called, from the thread, whenever there is something new to take.
    """

    def __init__(self, source: Source, tape: Tape, after: After | None, arrived: Callable[[], None]) -> None:
        self._source, self._tape, self._after = source, tape, after
        self._arrived = arrived
        self._ready: queue.Queue[Chunk | Exception | None] = queue.Queue(CHUNKS_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self.exhausted = False
        self._thread.start()

    def take(self) -> Chunk | None:
        """The next chunk; None if none is ready or, with ``exhausted``, if none will come.

        Raises what ended the reading.
        """
        if self.exhausted:
            return None
        try:
            item = self._ready.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        self.exhausted = item is None
        return item

    def close(self) -> None:
        """Stop reading; what was read ahead is thrown away."""
        self._closed.set()

    def _run(self) -> None:
        try:
            for block in self._source.blocks(self._tape, self._after):
                for chunk in chunks_of(block, self._tape):
                    if not self._put(chunk):
                        return
            self._put(None)
        except Exception as error:  # whatever it is, it ends the replay, not just this thread
            self._put(error)

    def _put(self, item: Chunk | Exception | None) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            self._arrived()
            return True
        return False
