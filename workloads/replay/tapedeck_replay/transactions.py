"""The replay's transactions: what begins one, what ends it, and what is owed to consumers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tapedeck_common import wire
from tapedeck_common.wire import Epoch
from tapedeck_crds.errors import Unavailable
from tapedeck_replay import metrics
from tapedeck_replay.output import Output
from tapedeck_replay.position import Position

COMMIT_BARS = 20_000
COMMIT_SECONDS = 0.020
UNPACED_COMMIT_SECONDS = 0.200  # nobody waits for a bar's time there: whole transactions are worth more
ABORTS_MAX = 6  # in a row without a commit


class Transactions:
    """Writes to an output, one transaction after the other: the next is open while one is being committed.

    ``committed`` is what consumers can see, ``handed`` what they will if all goes well, and ``base`` is where
    to begin again if it does not.
    """

    def __init__(self, output: Output, committed: Position, lateness: int) -> None:
        self._output = output
        self._lateness = lateness
        self._owed: wire.EpochStart | None = None
        self._opened = 0.0  # when the transaction was begun, monotonic seconds
        self._aborts = 0
        self.bars = 0  # in the open transaction
        self.committed = self.handed = self.base = committed
        self.handed_at = time.monotonic()
        self._handed_bars = 0
        output.set_epoch(Epoch.parse(committed.epoch))

    @property
    def open(self) -> bool:
        return self._output.in_transaction

    @property
    def committing(self) -> bool:
        """Whether a commit is under way: another has to wait for it."""
        return self._output.committing

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
        self._output.settle()

    def enter(self, epoch: Epoch, start: wire.EpochStart, base: Position) -> None:
        """The following records are of another epoch, which begins with ``start``. Nothing may be open."""
        self._output.set_epoch(epoch)
        self._owed, self.base = start, base

    def add(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Hand over bars; at most COMMIT_BARS fit a transaction."""
        self._begin()
        self._output.bars(keys, values)
        self.bars += len(keys)

    def commit(self, position: Position, *, end: bool = False) -> None:
        """Have what is open committed, or a transaction of its own, with the watermark and the position.

        Waits until the one before is committed.
        """
        self._begin()
        self._output.control(position.watermark(self._lateness))
        if end:
            self._output.control(wire.End(position.epoch, position.v, position.published))
        self.settle()
        self._output.commit(position)
        self.handed, self._handed_bars = position, self.bars
        self.handed_at = time.monotonic()
        self.bars = 0
        if self._owed is not None:
            self.settle()  # the next must not say it again

    def settle(self) -> None:
        """Wait for the commit that is under way, if there is one, and note what it came to."""
        self._output.settle()
        if self.handed is self.committed:
            return
        metrics.PUBLISHED.inc(self._handed_bars)
        metrics.TRANSACTIONS.inc()
        self.committed = self.base = self.handed
        self._owed = None
        self._aborts = 0

    def abort(self, error: Exception) -> int:
        """Give up what is open; how often in a row. Raises Unavailable when that was too often."""
        self._aborts += 1
        metrics.ABORTED.inc()
        if self._aborts >= ABORTS_MAX:
            raise Unavailable(f"{ABORTS_MAX} transactions in a row came to nothing: {error}") from error
        self._output.abort()
        self.handed = self.committed
        self.bars = 0
        return self._aborts

    def _begin(self) -> None:
        if self._output.in_transaction:
            return
        self._output.begin()
        self._opened = time.monotonic()
        if self._owed is not None:
            self._output.control(self._owed)
