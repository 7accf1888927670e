"""A broker that loses the last records of its topics, as after a power failure: nothing is skipped silently."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import partial

import pytest

from pods.machine import Machine, lose_tail, running_machine
from pods.recorder import caught_up, ends, recorders, select
from pods.sink import line_protocol_server
from tapedeck_common import topics
from waits import eventually

ROUNDS = max(2, int(os.environ.get("TAPEDECK_FAULTS", "2")) // 2 * 2)
LOST = "SELECT count(*) FROM ingest_errors WHERE strpos(reason, 'the broker lost offsets') > 0"
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running_machine(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_records_in_the_place_of_lost_ones_are_recorded_and_delivered(machine: Machine) -> None:
    """Store and sink have offsets at which the log, once it has grown again, holds other records.

    In one half of the rounds the recorder runs on; in the other it is down meanwhile, and has only what it stored.
    """
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with (
        line_protocol_server() as (url, lines),
        recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,),
    ):
        recorder.options = {"sinks": [{"name": f"s-{uuid.uuid4().hex[:8]}", "url": url, "records": ["bars"]}]}
        recorder.start()
        for number in range(ROUNDS):
            machine.publish(200)
            caught_up(machine.broker.bootstrap, machine.dsn)
            eventually(partial(_delivered, lines, machine.published), progress=partial(len, lines))
            before = ends(machine.broker.bootstrap)
            (reported,) = select(machine.dsn, LOST)
            if number % 2:
                assert recorder.stop() == 0
            machine.broker.kill()
            for topic in (topics.MARKET_BARS, topics.MARKET_TRADES):
                assert lose_tail(machine.broker, topic, 100) > 0
            machine.broker.start()
            machine.publish(300)
            grown = ends(machine.broker.bootstrap)
            assert sum(grown.get(place, 0) > end for place, end in before.items()) > 5
            if number % 2:
                recorder.start()
            eventually(partial(_more_reported, machine.dsn, reported))
            machine.check()
            eventually(partial(_delivered, lines, machine.published), progress=partial(len, lines))
            assert recorder.running()


def _delivered(lines: list[bytes], minutes: int) -> bool:
    """Whether the sink has each minute of the twelve series."""
    return len(set(lines)) == 12 * minutes


def _more_reported(dsn: str, reported: tuple[int]) -> bool:
    return select(dsn, LOST) > [reported]
