"""The sequence of a replay's transactions: when one begins, what ends it, which control records it contains."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tapedeck_common import wire
from tapedeck_common.speed_meter import SpeedMeter
from tapedeck_common.wire import ClockState, Epoch
from tapedeck_crds.errors import Unavailable
from tapedeck_replay import metrics
from tapedeck_replay.output.partition_output import PartitionOutput
from tapedeck_replay.output.position import ReplayPosition

COMMIT_RECORDS = 20_000
COMMIT_SECONDS = 0.020
UNPACED_COMMIT_SECONDS = 0.200  # nobody waits for a single record then: larger transactions are worth more
ABORTS_MAX = 6  # consecutive


class TransactionPipeline:
    """Writes transactions in sequence: the next one is open while the previous one is being committed.

    ``committed`` is the position that consumers see, ``submitted`` that of the last commit that was started, and
    ``base`` the one to restart from if that commit fails.
    """

    def __init__(self, output: PartitionOutput, committed: ReplayPosition, lateness: int) -> None:
        self._output = output
        self._lateness = lateness
        self._epoch_start: wire.EpochStart | None = None  # the first record of the next transaction
        self._opened_at = 0.0  # monotonic seconds
        self._aborts = 0  # consecutive
        self.records = 0  # in the open transaction
        self.committed = self.submitted = self.base = committed
        self.submitted_at = time.monotonic()
        self._submitted_records = 0
        self._speed = SpeedMeter()
        output.set_epoch(Epoch.parse(committed.epoch))

    @property
    def open(self) -> bool:
        return self._output.in_transaction

    @property
    def committing(self) -> bool:
        """Whether a commit is pending: the next one has to wait for it."""
        return self._output.committing

    @property
    def full(self) -> bool:
        return self.records >= COMMIT_RECORDS

    @property
    def measured_speed(self) -> float:
        """Virtual seconds a second that were committed lately."""
        return self._speed.speed(time.monotonic())

    def seconds_left(self, unpaced: bool) -> float:
        """How long the open transaction may stay open."""
        limit = UNPACED_COMMIT_SECONDS if unpaced and not self._output.shared else COMMIT_SECONDS
        return self._opened_at + limit - time.monotonic()

    def publish_start(self, start: wire.ReplayStart, position: ReplayPosition) -> None:
        """Commit the first record of the partition, which describes the dataset."""
        self._output.begin()
        self._output.produce_control(start)
        self._output.commit(position)
        self._output.wait_committed()

    def begin_epoch(self, epoch: Epoch, start: wire.EpochStart, base: ReplayPosition) -> None:
        """The following records belong to another epoch, whose first record is ``start``. No transaction may be open.

        ``start`` is repeated at the start of each transaction until one of this epoch is committed.
        """
        metrics.EPOCHS.labels(start.reason).inc()
        self._speed.clear()
        self._output.set_epoch(epoch)
        self._epoch_start, self.base = start, base

    def add(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Add market data to the open transaction; one holds at most COMMIT_RECORDS."""
        self._begin()
        self._output.produce(keys, values)
        self.records += len(keys)

    def commit(self, position: ReplayPosition, clock: ClockState | None, *, end: bool = False) -> None:
        """Start to commit the open transaction, or a new one, with a watermark and the position.

        Waits until the previous one is committed.
        """
        self._begin()
        self._output.produce_control(position.watermark(self._lateness, clock))
        if end:
            self._output.produce_control(wire.ReplayEnd(position.epoch, position.v, position.published))
        self.wait_committed()
        self._output.commit(position)
        self.submitted, self._submitted_records = position, self.records
        self.submitted_at = time.monotonic()
        self.records = 0
        if self._epoch_start is not None:
            self.wait_committed()  # the next transaction must not repeat it

    def wait_committed(self) -> None:
        """Wait for the pending commit, if there is one, and account for it."""
        self._output.wait_committed()
        if self.submitted is self.committed:
            return
        metrics.PUBLISHED.inc(self._submitted_records)
        metrics.TRANSACTIONS.labels("committed").inc()
        metrics.POSITION.set(self.submitted.v / 1000)
        self._speed.note(time.monotonic(), self.submitted.v)
        self.committed = self.base = self.submitted
        self._epoch_start = None
        self._aborts = 0

    def abort(self, error: Exception) -> int:
        """Abort what is open; returns the number of consecutive aborts. Raises Unavailable at ABORTS_MAX."""
        self._aborts += 1
        metrics.TRANSACTIONS.labels("aborted").inc()
        if self._aborts >= ABORTS_MAX:
            raise Unavailable(f"{ABORTS_MAX} consecutive transactions were aborted: {error}") from error
        self._output.abort()
        self.submitted = self.committed
        self.records = 0
        return self._aborts

    def _begin(self) -> None:
        if self._output.in_transaction:
            return
        self._output.begin()
        self._opened_at = time.monotonic()
        if self._epoch_start is not None:
            self._output.produce_control(self._epoch_start)
