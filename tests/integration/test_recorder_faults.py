"""Recorders killed, joined and cut off from broker and database: the store holds what the log holds, once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from pods.recorder import (
    BACKFILL,
    LIVE,
    MINUTE,
    T0,
    Record,
    caught_up,
    ends,
    eventually,
    publish,
    recorded_ends,
    recorders,
    select,
)
from tapedeck_common import topics
from tapedeck_common.kafka import admin, ensure_topics
from tapedeck_common.market import Bar, Trade
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import migrate
from tapedeck_common.wire import encode
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import Postgres

PARTITIONS = len(topics.STANDING) * topics.STANDING_PARTITIONS
KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@dataclass
class Machine:
    """A broker and a database that may be killed."""

    folder: Path
    broker: KafkaBroker
    postgres: Postgres
    published: int = 0
    first: int = 0  # of the minutes that the store still has

    @property
    def dsn(self) -> str:
        return self.postgres.dsn()

    def publish(self, minutes: int) -> None:
        """More bars of twelve series, some of them twice, a few trades, and a poison a hundred."""
        some: list[Record] = []
        for i in range(self.published, self.published + minutes):
            for n in range(12):
                symbol = f"S{n}/USD"
                bar = Bar("x", symbol, "1m", T0 + i * MINUTE, 2.0, 3.0, 1.0, 2.0 + i % 7 / 10, float(i))
                some.append((topics.MARKET_BARS, encode(bar), f"x:{symbol}", BACKFILL))
                if i % 10 == n:
                    some.append(some[-1])
                    trade = Trade("x", symbol, T0 + i, str(i), 1.0 + i, 2.0, "sell")
                    some.append((topics.MARKET_TRADES, encode(trade), f"x:{symbol}", LIVE))
            if i % 100 == 0:
                some.append((topics.MARKET_BARS, f"poison {i}".encode(), f"x:{i}", BACKFILL))
        publish(self.broker.bootstrap, some)
        self.published += minutes

    def check(self) -> None:
        """Every row is there, none twice, and the offsets are the log's ends."""
        caught_up(self.broker.bootstrap, self.dsn, timeout=90)
        minutes = range(self.first, self.published)
        rows = select(self.dsn, "SELECT symbol, ts, close, volume FROM bars")
        found = {(symbol, round(ts.timestamp() * 1000)): (close, volume) for symbol, ts, close, volume in rows}
        assert len(rows) == len(found) == 12 * len(minutes)
        assert found == {
            (f"S{n}/USD", T0 + i * MINUTE): (2.0 + i % 7 / 10, float(i)) for n in range(12) for i in minutes
        }
        trades = select(self.dsn, "SELECT id FROM trades")
        assert sorted(int(row[0]) for row in trades) == list(minutes)
        poison = select(self.dsn, "SELECT payload FROM ingest_errors")
        assert sorted(row[0] for row in poison) == sorted(f"poison {i}" for i in minutes if i % 100 == 0)
        assert recorded_ends(self.dsn) == ends(self.broker.bootstrap)


@pytest.fixture(scope="module")
def services_to_kill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    running = Machine(folder, KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres"))
    try:
        running.broker.launch()
        running.postgres.start()
        running.broker.wait_ready()
        migrate(running.dsn)
        connections = Connections(kafka_bootstrap=running.broker.bootstrap)
        ensure_topics(admin(connections, "test"), topics.STANDING, topics.STANDING_PARTITIONS)
        yield running
    finally:
        running.broker.stop()
        running.postgres.stop()


@pytest.fixture
def machine(services_to_kill: Machine) -> Machine:
    """The same for all tests, each with a store without rows; the log goes on."""
    with psycopg.connect(services_to_kill.dsn) as connection:
        connection.execute("TRUNCATE bars, trades, ingest_errors")
    services_to_kill.first = services_to_kill.published
    return services_to_kill


@pytest.mark.timeout(60 + 30 * KILLS)
def test_killed_at_random_instants(machine: Machine) -> None:
    rng = random.Random(7)
    hit = 0
    with recorders(machine.folder, machine.broker.bootstrap, machine.postgres.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        for _ in range(KILLS):
            before = sum(recorded_ends(machine.dsn).values())
            machine.publish(3_500)
            eventually(lambda before=before: sum(recorded_ends(machine.dsn).values()) > before)  # type: ignore[misc]
            time.sleep(rng.random() * 0.4)
            recorder.kill()
            hit += recorded_ends(machine.dsn) != ends(machine.broker.bootstrap)
            recorder.start()
        machine.check()
    print(f"{hit} of {KILLS} kills in mid-stream")
    assert hit > 0, "every kill came after the end"


def test_two_at_once_one_killed_one_joining(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn, 3) as (first, second, third):
        first.start()
        machine.publish(1_200)
        second.start()  # takes its share while the first is at work
        machine.publish(1_200)
        eventually(lambda: second.metric("tapedeck_recorder_partitions") == PARTITIONS // 2)
        assert first.metric("tapedeck_recorder_partitions") == PARTITIONS // 2
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
    """While recorders join and leave under load, every snapshot of the store holds all rows that its offsets say."""
    dsn = machine.postgres.dsn("tapedeck_recorder")
    over = threading.Event()
    ahead: list[tuple[int, int]] = []
    before = sum(offset for (topic, _), offset in recorded_ends(machine.dsn).items() if topic == topics.MARKET_BARS)

    def watch() -> None:
        with psycopg.connect(machine.dsn) as connection:
            while not over.is_set():
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
        watching = pool.submit(watch)
        minute = 0
        for _ in range(KILLS):
            guest.start(wait=False)
            for _ in range(40):
                publish_some(minute)
                minute += 20
            guest.stop()
            for _ in range(40):
                publish_some(minute)
                minute += 20
        caught_up(machine.broker.bootstrap, machine.dsn)
        over.set()
        watching.result(30)
    assert ahead == []
    assert select(machine.dsn, "SELECT count(*) FROM bars") == [(24 * minute,)]


def test_frozen_and_thawed_after_another_took_over(machine: Machine) -> None:
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
        time.sleep(2)
        # Whoever finds a partition moved on by the other writes nothing of it, and is started again by whoever runs it.
        fenced = [recorder for recorder in (zombie, successor) if not recorder.running()]
        for recorder in fenced:
            assert recorder.exit_code() == 75
            assert "Fenced" in (recorder.home / "termination").read_text()
            recorder.start(wait=False)
        machine.check()


def test_the_broker_goes_and_comes_back(machine: Machine) -> None:
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


def test_the_database_goes_and_comes_back(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,):
        recorder.start()
        for crash in (True, False):
            machine.publish(2_000)
            if crash:
                machine.postgres.kill()
            else:
                machine.postgres.stop()
            time.sleep(1)
            machine.postgres.start()
        machine.publish(1_000)
        machine.check()
        assert recorder.running()


def test_sigterm_ends_while_the_database_is_away(machine: Machine) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,):
        recorder.start()
        machine.publish(2_000)
        machine.postgres.kill()
        time.sleep(0.5)
        machine.publish(500)
        asked = time.monotonic()
        assert recorder.stop() == 0
        assert time.monotonic() - asked < 10
        machine.postgres.start()
        recorder.start()
        machine.check()


def test_sigterm_ends_while_there_is_no_broker_yet(tmp_path: Path) -> None:
    with recorders(tmp_path, f"127.0.0.1:{free_port()}", "postgresql://nobody@127.0.0.1/none") as (recorder,):
        recorder.start(wait=False)
        time.sleep(4)
        assert recorder.running(), (recorder.home / "log").read_text()
        asked = time.monotonic()
        assert recorder.stop() == 0
        assert time.monotonic() - asked < 10
