"""Reads and encodes ahead of the player, on a thread of its own and in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from tapedeck_replay.playback.chunks import EncodedChunk, encode_chunks
from tapedeck_replay.source.dataset import Dataset, RecordSource, StartAfter

CHUNKS_AHEAD = 32
POLL_SECONDS = 0.5


class ReadAhead:
    """The dataset's records after a bound, as chunks; at most CHUNKS_AHEAD of them are queued.

    ``on_chunk`` is called, from the reading thread, whenever there is something new to take.
    """

    def __init__(
        self, source: RecordSource, dataset: Dataset, after: StartAfter | None, on_chunk: Callable[[], None]
    ) -> None:
        self._source, self._dataset, self._after = source, dataset, after
        self._on_chunk = on_chunk
        self._ready: queue.Queue[EncodedChunk | Exception | None] = queue.Queue(CHUNKS_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self.exhausted = False
        self._thread.start()

    def next_chunk(self) -> EncodedChunk | None:
        """The next chunk; None if none is ready or, when ``exhausted``, if there is no more.

        Raises the error that ended the reading.
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
        """Stop reading and discard what was read."""
        self._closed.set()

    def _read(self) -> None:
        try:
            for block in self._source.blocks(self._dataset, self._after):
                for chunk in encode_chunks(block, self._dataset):
                    if not self._enqueue(chunk):
                        return
            self._enqueue(None)
        except Exception as error:  # any error has to end the replay, not only this thread
            self._enqueue(error)

    def _enqueue(self, item: EncodedChunk | Exception | None) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            self._on_chunk()
            return True
        return False
