"""The replay's transactions: what begins one, what ends it, and what is owed to consumers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tapedeck import wire
from tapedeck.wire import Epoch
from tapedeck_replay import metrics
from tapedeck_replay.output import Output
from tapedeck_replay.position import Position
from tapedeck_replay.tape import Unavailable

COMMIT_BARS = 20_000
COMMIT_SECONDS = 0.020
UNPACED_COMMIT_SECONDS = 0.200  # nobody waits for a bar's time there: whole transactions are worth more
ABORTS_MAX = 6  # in a row without a commit


class Transactions:
    """Writes to an output, one transaction after the other. ``committed`` is where the last one came to."""

    def __init__(self, output: Output, committed: Position, lateness: int) -> None:
        self._output = output
        self._lateness = lateness
        self._owed: wire.EpochStart | None = None
        self._opened = 0.0  # when the transaction was begun, monotonic seconds
        self._aborts = 0
        self.bars = 0  # in the open transaction
        self.committed = committed
        self.committed_at = time.monotonic()
        output.set_epoch(Epoch.parse(committed.epoch))

    @property
    def open(self) -> bool:
        return self._output.in_transaction

    @property
    def full(self) -> bool:
        return self.bars >= COMMIT_BARS

    def seconds_left(self, unpaced: bool) -> float:
        """Until the open transaction has to end."""
        patient = unpaced and not self._output.shared
        limit = UNPACED_COMMIT_SECONDS if patient else COMMIT_SECONDS
        return self._opened + limit - time.monotonic()

    def announce(self, start: wire.Start, position: Position) -> None:
        """Commit the first record of the partition, which says what will be played."""
        self._output.begin()
        self._output.control(start)
        self._output.commit(position)

    def enter(self, epoch: Epoch, start: wire.EpochStart | None) -> None:
        """The following records are of another epoch, which begins with ``start``."""
        self._output.set_epoch(epoch)
        self._owed = start

    def add(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Hand over bars; at most COMMIT_BARS fit a transaction."""
        self._begin()
        self._output.bars(keys, values)
        self.bars += len(keys)

    def commit(self, position: Position, *, end: bool = False) -> None:
        """Commit what is open, or a transaction of its own, with the watermark and the position."""
        self._begin()
        self._output.control(position.watermark(self._lateness))
        if end:
            self._output.control(wire.End(position.epoch, position.v, position.published))
        self._output.commit(position)
        metrics.PUBLISHED.inc(self.bars)
        metrics.TRANSACTIONS.inc()
        self.committed = position
        self._owed = None
        self.bars = self._aborts = 0
        self.committed_at = time.monotonic()

    def abort(self, error: Exception) -> int:
        """Give up what is open; how often in a row. Raises Unavailable when that was too often."""
        self._aborts += 1
        metrics.ABORTED.inc()
        if self._aborts >= ABORTS_MAX:
            raise Unavailable(f"{ABORTS_MAX} transactions in a row came to nothing: {error}") from error
        self._output.abort()
        self.bars = 0
        return self._aborts

    def _begin(self) -> None:
        if self._output.in_transaction:
            return
        self._output.begin()
        self._opened = time.monotonic()
        if self._owed is not None:
            self._output.control(self._owed)
