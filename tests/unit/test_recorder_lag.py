"""The recorder's lag: what the log has and the database has not, and for how long."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from tapedeck_common.log_positions import LogPosition, Partition
from tapedeck_recorder.lag import PartitionEnd, RecordingLag

BARS, TRADES = "market.bars", "market.trades"
FIRST, SECOND = (BARS, 0), (BARS, 1)


class Stage:
    """A lag at a time that the test sets, and what a scrape shows."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.lag = RecordingLag()
        self._registry = CollectorRegistry()
        self._registry.register(self.lag)

    def shown(self, topic: str = BARS) -> tuple[float | None, float | None]:
        """Records and seconds."""
        records, seconds = (
            self._registry.get_sample_value(f"tapedeck_recorder_lag_{unit}", {"topic": topic})
            for unit in ("records", "seconds")
        )
        return records, seconds

    def see(self, partition: Partition, high: int, position: int) -> None:
        self.lag.see({partition: PartitionEnd(0, high, position)})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr("tapedeck_recorder.lag.time.time", lambda: made.now)
    return made


def at(offset: int) -> LogPosition:
    return LogPosition(offset, 0)


def test_nothing_is_shown_of_a_topic_without_a_partition(stage: Stage) -> None:
    stage.lag.assign({FIRST: at(5)})
    assert stage.shown() == (0, 0)
    assert stage.shown(TRADES) == (None, None)


def test_a_backlog_is_as_old_as_the_last_recorded_record(stage: Stage) -> None:
    """A recorder that starts two hours behind says so after its first batch, not since its start."""
    stage.lag.assign({FIRST: at(0)})
    stage.see(FIRST, high=100, position=0)
    stage.now = 1_003.0
    assert stage.shown() == (100, 3)
    stage.lag.read({FIRST: at(40)})
    stage.lag.record({FIRST: at(40)}, {FIRST: -6_200_000})  # written at -6200 s, two hours before 1000 s
    assert stage.shown() == (60, 7_203)


def test_a_record_after_an_hour_of_silence_is_new(stage: Stage) -> None:
    """The last recorded record is an hour old, but nothing was left a moment ago."""
    stage.lag.assign({FIRST: at(0)})
    stage.lag.read({FIRST: at(1)})
    stage.lag.record({FIRST: at(1)}, {FIRST: 990_000})
    stage.see(FIRST, high=1, position=1)
    stage.now = 4_600.0
    stage.see(FIRST, high=1, position=1)
    stage.now = 4_602.0
    stage.see(FIRST, high=2, position=1)
    assert stage.shown() == (1, 2)


def test_the_age_grows_while_a_batch_waits_for_the_database(stage: Stage) -> None:
    """The reader waits as well, so it does not look at the log: what it has read counts all the same."""
    stage.lag.assign({FIRST: at(10)})
    stage.see(FIRST, high=10, position=10)
    stage.lag.read({FIRST: at(17)})
    stage.now = 1_090.0
    assert stage.shown() == (7, 90)


def test_transaction_markers_are_no_lag(stage: Stage) -> None:
    stage.lag.assign({FIRST: at(0)})
    stage.lag.read({FIRST: at(9)})
    stage.see(FIRST, high=10, position=10)  # the marker has offset 9
    assert stage.shown() == (10, 0)
    stage.lag.record({FIRST: at(9)}, {FIRST: 999_000})
    assert stage.shown() == (0, 0)


def test_partitions_add_up_and_the_oldest_counts(stage: Stage) -> None:
    stage.lag.assign({FIRST: at(0), SECOND: at(0)})
    stage.see(FIRST, high=3, position=0)
    stage.lag.read({SECOND: at(4)})
    stage.lag.record({SECOND: at(4)}, {SECOND: 400_000})
    stage.see(SECOND, high=6, position=4)
    assert stage.shown() == (5, 600)
    stage.lag.assign({})
    assert stage.shown() == (None, None)
