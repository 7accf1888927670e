"""Kills, joins and outages of recorders, broker and database: every record of the log is stored exactly once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pods.machine import Machine, running_machine
from pods.recorder import (
    BACKFILL,
    MINUTE,
    T0,
    caught_up,
    ends,
    eventually,
    publish,
    recorded_ends,
    recorders,
    select,
)
from tapedeck_common import topics
from tapedeck_common.market import Bar
from tapedeck_common.wire import encode
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import SUPERUSER
from waits import within

PARTITIONS = len(topics.PERMANENT_TOPICS) * topics.PERMANENT_PARTITIONS
KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
# Each row of a COPY but the first of its transaction waits for the lock 7.
STOP_COPIES = """
CREATE OR REPLACE FUNCTION stopping() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF current_query() ILIKE 'COPY %' THEN
        IF coalesce(current_setting('test.seen', true), '') = txid_current()::text THEN
            PERFORM pg_advisory_xact_lock_shared(7);
        END IF;
        PERFORM set_config('test.seen', txid_current()::text, true);
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER stopping BEFORE INSERT ON bars FOR EACH ROW EXECUTE FUNCTION stopping()
"""
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def services_to_kill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running_machine(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.fixture
def machine(services_to_kill: Machine) -> Machine:
    """One machine for all tests; each starts with empty tables on the same log."""
    if recorded_ends(services_to_kill.dsn) != ends(services_to_kill.broker.bootstrap):  # a failed test left the rest
        dsn = services_to_kill.postgres.dsn("tapedeck_recorder")
        with recorders(services_to_kill.folder, services_to_kill.broker.bootstrap, dsn) as (recorder,):
            recorder.start()
            caught_up(services_to_kill.broker.bootstrap, services_to_kill.dsn)
    with psycopg.connect(services_to_kill.dsn) as connection:
        connection.execute("TRUNCATE bars, trades, ingest_errors")
    services_to_kill.first = services_to_kill.published
    return services_to_kill


@pytest.mark.timeout(60 + 120 * KILLS)
def test_a_recorder_killed_at_random_instants_loses_and_duplicates_nothing(machine: Machine) -> None:
    rng = random.Random(7)
    hit = kills = 0
    with recorders(machine.folder, machine.broker.bootstrap, machine.postgres.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        while kills < KILLS or (hit == 0 and kills < 4 * KILLS):  # on a busy machine the first ones may come late
            before = sum(recorded_ends(machine.dsn).values())
            machine.publish(3_500)
            eventually(lambda before=before: sum(recorded_ends(machine.dsn).values()) > before)  # type: ignore[misc]
            time.sleep(rng.random() * 0.4 if kills < KILLS else 0.0)
            recorder.kill()
            kills += 1
            hit += recorded_ends(machine.dsn) != ends(machine.broker.bootstrap)
            recorder.start()
        machine.check()
    print(f"{hit} of {kills} kills came before the end of the stream")
    assert hit > 0, "every kill came after the end of the stream"


def test_of_two_recorders_one_is_killed_and_a_third_joins(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn, 3) as (first, second, third):
        first.start()
        machine.publish(1_200)
        second.start()  # joins while the first is writing
        machine.publish(1_200)
        eventually(lambda: second.metric("tapedeck_recorder_partitions") == PARTITIONS // 2)
        eventually(lambda: first.metric("tapedeck_recorder_partitions") == PARTITIONS // 2)
        machine.publish(1_200)
        first.kill()
        third.start(wait=False)
        machine.publish(1_200)
        machine.check()
        assert second.stop() == 0
        machine.publish(500)
        machine.check()
        assert third.running()


def test_offsets_never_run_ahead_of_rows(machine: Machine) -> None:
    """While recorders join and leave under load, every snapshot of the store has all rows up to its offsets."""
    dsn = machine.postgres.dsn("tapedeck_recorder")
    stop = threading.Event()
    ahead: list[tuple[int, int]] = []
    before = sum(offset for (topic, _), offset in recorded_ends(machine.dsn).items() if topic == topics.MARKET_BARS)

    def check_snapshots() -> None:
        with psycopg.connect(machine.dsn) as connection:
            while not stop.is_set():
                (found,) = connection.execute(
                    "SELECT (SELECT sum(next_offset) FROM kafka_offsets WHERE topic = %s), (SELECT count(*) FROM bars)",
                    (topics.MARKET_BARS,),
                ).fetchall()
                connection.rollback()
                if (found[0] or 0) - before != found[1]:
                    ahead.append(found)

    def publish_some(start: int) -> None:
        publish(
            machine.broker.bootstrap,
            [
                (topics.MARKET_BARS, encode(bar), f"x:{bar.symbol}", BACKFILL)
                for minute in range(start, start + 20)
                for n in range(24)
                for bar in [Bar("x", f"S{n}/USD", "1m", T0 + minute * MINUTE, 2.0, 3.0, 1.0, 2.0, 1.0)]
            ],
        )

    with recorders(machine.folder, machine.broker.bootstrap, dsn, 2) as (steady, guest), ThreadPoolExecutor(1) as pool:
        steady.start()
        checking = pool.submit(check_snapshots)
        minute = 0
        try:
            for _ in range(KILLS):
                guest.start(wait=False)
                for _ in range(40):
                    publish_some(minute)
                    minute += 20
                guest.stop()
                for _ in range(40):
                    publish_some(minute)
                    minute += 20
            caught_up(machine.broker.bootstrap, machine.dsn, restarted=[steady])
        finally:
            stop.set()
        checking.result(60)
    assert ahead == []
    assert select(machine.dsn, "SELECT count(*) FROM bars") == [(24 * minute,)]


def test_a_recorder_that_was_frozen_while_another_took_over_is_fenced(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn, 2) as (zombie, successor):
        zombie.start()
        machine.publish(3_500)
        assert zombie.process is not None
        zombie.process.send_signal(signal.SIGSTOP)
        try:
            successor.start(wait=False)
            eventually(lambda: successor.metric("tapedeck_recorder_partitions") == PARTITIONS)
        finally:
            zombie.process.send_signal(signal.SIGCONT)
        machine.publish(1_000)
        machine.check(zombie, successor)  # the fenced one may also end after all is stored


def test_a_restart_of_the_broker_loses_nothing(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,):
        recorder.start()
        machine.publish(2_500)
        machine.broker.kill()
        time.sleep(1)
        machine.broker.start()
        machine.publish(1_000)
        machine.check()
        assert recorder.running()


@pytest.mark.timeout(60 + 60 * KILLS)
def test_a_database_that_ends_in_mid_copy_loses_nothing(machine: Machine) -> None:
    """A trigger stops each COPY after its first row, so that the database is known to be within one when it ends."""
    copying = "SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 0"
    with recorders(machine.folder, machine.broker.bootstrap, machine.postgres.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        for number in range(KILLS):
            with psycopg.connect(machine.dsn) as connection:
                connection.execute(STOP_COPIES)
            with closing(psycopg.connect(machine.dsn, autocommit=True)) as holder:
                holder.execute("SELECT pg_advisory_lock(7)")
                machine.publish(100)
                eventually(lambda: select(machine.postgres.dsn(SUPERUSER), copying))
                if number % 2:
                    machine.postgres.stop()
                else:
                    machine.postgres.kill()
            machine.postgres.start()
            with psycopg.connect(machine.dsn) as connection:
                connection.execute("DROP TRIGGER stopping ON bars")
        machine.check()
        assert recorder.running()


def test_sigterm_stops_the_recorder_while_the_database_is_down(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,):
        recorder.start()
        machine.publish(2_000)
        machine.postgres.kill()
        time.sleep(0.5)
        machine.publish(500)
        with within(10):
            assert recorder.stop() == 0
        machine.postgres.start()
        recorder.start()
        machine.check()


def test_sigterm_stops_the_recorder_before_it_reached_a_broker(tmp_path: Path) -> None:
    with recorders(tmp_path, f"127.0.0.1:{free_port()}", "postgresql://nobody@127.0.0.1/none") as (recorder,):
        recorder.start(wait=False)
        eventually(lambda: "starting" in recorder.get("/status"))
        time.sleep(4)
        assert recorder.running(), (recorder.home / "log").read_text()
        with within(10):
            assert recorder.stop() == 0
