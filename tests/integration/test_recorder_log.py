"""Changes of the log: missing or recreated topics, deleted records, large records, transaction markers."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import TopicPartition
from msgspec import Raw

from kafka_proxy import NO_TOPIC_IDS, older_broker
from pods.recorder import (
    BACKFILL,
    MINUTE,
    T0,
    RecorderProcess,
    caught_up,
    ends,
    eventually,
    publish,
    recorded_ends,
    recorders,
    select,
)
from pods.services import fresh_database
from pods.sink import line_protocol_server
from tapedeck_common import records, topics
from tapedeck_common.kafka import admin, transactional_producer
from tapedeck_common.log_positions import LogPosition
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_common.store.recording_lag import wait_until_recorded
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topic_ids import NoTopicIds
from tapedeck_common.wire import encode, market_headers
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import ROLES, SUPERUSER, Postgres
from tapedeck_maintenance import connection_check
from tapedeck_recorder.kafka.consumer import BATCH_BYTES, RecordConsumer
from tapedeck_recorder.store.offsets import StoredOffsets

KEY = "x:A/B"


@dataclass
class Stage:
    """A broker whose topics may be deleted, a fresh database, and a recorder that is not started."""

    broker: KafkaBroker
    dsn: str
    recorder: RecorderProcess

    def __post_init__(self) -> None:
        self.connections = Connections(kafka_bootstrap=self.broker.bootstrap)
        self.admin = admin(self.connections, "test")

    def create_topics(self) -> None:
        eventually(lambda: ensure_topics(self.admin, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS))

    def delete_topics(self) -> None:
        for future in self.admin.delete_topics(list(topics.PERMANENT_TOPICS)).values():
            future.result(60)
        eventually(lambda: not set(topics.PERMANENT_TOPICS) & set(self.admin.list_topics(timeout=60).topics))

    def publish(self, minutes: range) -> None:
        some = (encode(Bar("x", "A/B", "1m", T0 + i * MINUTE, 2.0, 3.0, 1.0, 2.0, float(i))) for i in minutes)
        publish(self.broker.bootstrap, [(topics.MARKET_BARS, one, KEY, BACKFILL) for one in some])

    def delete_before(self, offset: int) -> int:
        """Delete the bars before an offset; returns their partition."""
        ((_, partition),) = ends(self.broker.bootstrap)
        deleted = self.admin.delete_records([TopicPartition(topics.MARKET_BARS, partition, offset)])
        assert [future.result(60).low_watermark for future in deleted.values()] == [offset]
        return partition

    def minutes(self) -> list[int]:
        rows = select(self.dsn, "SELECT ts FROM bars ORDER BY ts")
        return [round((row[0].timestamp() * 1000 - T0) / MINUTE) for row in rows]

    def ingest_errors(self) -> list[tuple[str, int, int, str]]:
        return select(self.dsn, 'SELECT topic, partition, "offset", reason FROM ingest_errors')


@pytest.fixture(scope="module")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaBroker, Postgres]]:
    folder = tmp_path_factory.mktemp("log")
    broker, postgres = KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres", (*ROLES, SUPERUSER))
    try:
        broker.launch()
        postgres.start()
        broker.wait_ready()
        yield broker, postgres
    finally:
        broker.stop()
        postgres.stop()


@pytest.fixture
def stage(own_services: tuple[KafkaBroker, Postgres], tmp_path: Path) -> Iterator[Stage]:
    broker, postgres = own_services
    with fresh_database(postgres.dsn) as name:
        upgrade_schema(postgres.dsn(database=name))
        recorder_dsn = postgres.dsn("tapedeck_recorder", name)
        with recorders(tmp_path, broker.bootstrap, recorder_dsn) as (recorder,):
            running = Stage(broker, postgres.dsn(database=name), recorder)
            running.create_topics()
            yield running
        running.delete_topics()


def test_the_recorder_waits_for_missing_topics(stage: Stage) -> None:
    stage.delete_topics()
    stage.recorder.start(wait=False)
    time.sleep(2)
    assert stage.recorder.running()
    stage.create_topics()
    eventually(stage.recorder.ready)
    stage.publish(range(10))
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert stage.minutes() == list(range(10))


def test_records_deleted_while_the_recorder_was_down_are_reported(stage: Stage) -> None:
    stage.recorder.start()
    stage.publish(range(10))
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert stage.recorder.stop() == 0
    stage.publish(range(10, 100))
    partition = stage.delete_before(60)
    stage.recorder.start()
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert stage.minutes() == [*range(10), *range(60, 100)]
    reason = "offsets 10 to 59 were deleted from the log before they were recorded"
    assert stage.ingest_errors() == [(topics.MARKET_BARS, partition, 10, reason)]
    stage.publish(range(100, 110))
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert stage.recorder.running()


def test_a_new_store_starts_at_the_logs_start(stage: Stage) -> None:
    stage.publish(range(100))
    stage.delete_before(60)
    stage.recorder.start()
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert stage.minutes() == list(range(60, 100))
    assert stage.ingest_errors() == []


def test_an_offset_beyond_the_logs_end_is_reported(stage: Stage) -> None:
    stage.recorder.start()
    stage.publish(range(10))
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert stage.recorder.stop() == 0
    select(stage.dsn, "UPDATE kafka_offsets SET next_offset = 500 RETURNING 1")
    stage.recorder.start()
    caught_up(stage.broker.bootstrap, stage.dsn)
    ((topic, _, offset, reason),) = stage.ingest_errors()
    assert (topic, offset) == (topics.MARKET_BARS, 500)
    assert "the broker lost offsets 10 to 499" in reason
    assert stage.minutes() == list(range(10))


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("more", [40, 400])
def test_recreated_topics_are_read_from_their_beginning(stage: Stage, more: int, restarted: bool) -> None:
    """With fewer records than before, which the broker reports as out of range, and with more, which it does not.

    A restart of the broker raises the leader epochs of the old topics; those of the new topics start at 0.
    """
    if restarted:
        stage.broker.stop()
        stage.broker.launch()
        stage.broker.wait_ready()
    with line_protocol_server() as (url, lines):
        stage.recorder.options = {"sinks": [{"name": f"s-{uuid.uuid4().hex[:8]}", "url": url, "records": ["bars"]}]}
        stage.recorder.start()
        stage.publish(range(100))
        caught_up(stage.broker.bootstrap, stage.dsn)
        eventually(lambda: len(set(lines)) == 100)  # a request that took long is repeated
        assert stage.recorder.process is not None
        stage.recorder.process.send_signal(signal.SIGSTOP)  # so that it does not notice the deletion
        try:
            stage.delete_topics()
            stage.create_topics()
            stage.publish(range(100, 100 + more))
        finally:
            stage.recorder.process.send_signal(signal.SIGCONT)
        eventually(lambda: stage.minutes() == list(range(100 + more)))
        eventually(lambda: len(set(lines)) == 100 + more)
    assert stage.ingest_errors() == []
    assert stage.recorder.running()
    assert stage.recorder.stop() == 0
    ids = select(stage.dsn, "SELECT topic_id, next_offset FROM kafka_offsets")
    assert len(dict(ids)) == 2
    assert more in dict(ids).values()


def test_stored_offsets_pass_transaction_markers(stage: Stage) -> None:
    stage.recorder.start()
    client = transactional_producer(stage.connections, f"test-{uuid.uuid4().hex}")
    client.init_transactions(20)
    for finish in (client.commit_transaction, client.abort_transaction, client.commit_transaction):
        client.begin_transaction()
        for i in range(3):
            bar = Bar("x", "A/B", "1m", T0 + i * MINUTE, 2.0, 3.0, 1.0, 2.0, 1.0)
            client.produce(topics.MARKET_BARS, encode(bar), KEY, headers=market_headers("backfill"))
        client.flush(10)
        finish(20)
    # Nine bars and three markers of transactions, the last of which follows the broker's answer.
    eventually(lambda: list(recorded_ends(stage.dsn).values()) == [12])
    assert stage.minutes() == [0, 1, 2]


def test_the_end_of_an_unknown_run_is_rejected_with_its_reason(stage: Stage) -> None:
    started = records.RunStarted("known", "n", "d", "s", Raw(b"{}"), Raw(b"{}"), "x", [], "1m", "", 1.0, T0)
    results = [
        records.RunEnded("unknown", "complete", "", 3, {}, "abc", T0),
        started,
        records.RunEnded("known", "complete", "", 3, {"sharpe": 0.5}, "abc", T0),
        records.RunEnded("known", "failed", "", 4, {}, "xyz", T0),
    ]
    stage.recorder.start()
    publish(stage.broker.bootstrap, [(topics.RESULTS, encode(result), "one", None) for result in results])
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert select(stage.dsn, "SELECT run_id, state, bars, metrics FROM runs") == [
        ("known", "complete", 3, {"sharpe": 0.5})
    ]
    ((topic, _, offset, reason),) = stage.ingest_errors()
    assert (topic, offset) == (topics.RESULTS, 0)
    assert "'unknown', expected a run that has started" in reason


def test_an_ended_run_does_not_change(stage: Stage) -> None:
    """Neither by the same records from a restarted pod nor by other records with its id."""

    def trade(run: str, seq: int, pnl: float) -> records.RunTrade:
        return records.RunTrade(run, seq, "A/B", "long", 1.0, T0, 1.0, T0 + MINUTE, 1.0 + pnl, pnl, pnl, 0.0)

    def result(record: records.ResultRecord) -> tuple[str, bytes, str, None]:
        return topics.RESULTS, encode(record), "key", None

    def started(run: str) -> records.RunStarted:
        return records.RunStarted(run, "n", "d", "s", Raw(b"{}"), Raw(b"{}"), "x", [], "1m", "", 1.0, T0)

    complete_run: list[records.ResultRecord] = [
        started("ended"),
        trade("ended", 0, 1.0),
        records.RunEquity("ended", 0, [T0], [2.0], [2.0]),
    ]
    end = records.RunEnded("ended", "complete", "", 1, {}, "abc", T0)
    stage.recorder.start()
    publish(stage.broker.bootstrap, [result(record) for record in (*complete_run, end, started("other"))])
    caught_up(stage.broker.bootstrap, stage.dsn)
    late: list[records.ResultRecord] = [
        *complete_run,
        trade("ended", 0, 9.0),
        trade("ended", 1, 9.0),
        records.RunFill("ended", 0, "A/B", T0, "buy", 1.0, 1.0),
        records.RunEquity("ended", 1, [T0 + MINUTE], [9.0], [9.0]),
        trade("other", 0, 3.0),
        records.RunEnded("ended", "failed", "late", 2, {}, "xyz", T0),
    ]
    publish(stage.broker.bootstrap, [result(record) for record in late])
    caught_up(stage.broker.bootstrap, stage.dsn)
    assert select(stage.dsn, "SELECT run_id, seq, pnl FROM run_trades ORDER BY run_id") == [
        ("ended", 0, 1.0),
        ("other", 0, 3.0),
    ]
    assert select(stage.dsn, "SELECT seq, value FROM run_equity") == [(0, 2.0)]
    assert select(stage.dsn, "SELECT count(*) FROM run_fills") == [(0,)]
    assert select(stage.dsn, "SELECT state FROM runs WHERE run_id = 'ended'") == [("complete",)]
    assert stage.ingest_errors() == []


def test_batches_are_bounded_by_bytes(stage: Stage) -> None:
    values = [100.0 + i / 7 for i in range(15_000)]
    stamps = [T0 + i * MINUTE for i in range(len(values))]
    results = [encode(records.RunEquity(f"run-{i}", 0, stamps, values, values)) for i in range(60)]
    largest = max(map(len, results))
    assert largest * len(results) > 3 * BATCH_BYTES
    publish(stage.broker.bootstrap, [(topics.RESULTS, part, str(i), None) for i, part in enumerate(results)])
    consumer = RecordConsumer(stage.connections, lambda places: dict.fromkeys(places, LogPosition()), lambda: None)
    consumer.open()
    batches: list[list[bytes]] = []
    try:
        eventually(lambda: consumer.read(0.5) == [] and bool(consumer.assigned))
        time.sleep(1)  # everything is fetched by now, so only the limit ends a batch
        while sum(map(len, batches)) < len(results):
            batches.append(eventually(lambda: [message.value() or b"" for message in consumer.read(1)]))
    finally:
        consumer.close()
    assert sorted(part for batch in batches for part in batch) == sorted(results)
    assert max(sum(map(len, batch)) for batch in batches) <= BATCH_BYTES + 2 * largest


def test_no_position_is_reported_after_a_reset(stage: Stage) -> None:
    """For some milliseconds the client reports its old position: taking it for recorded would lose records."""
    consumer = RecordConsumer(stage.connections, lambda places: dict.fromkeys(places, LogPosition()), lambda: None)
    consumer.open()
    try:
        publish(stage.broker.bootstrap, [(topics.MARKET_BARS, b"{}" * 1_000, str(n), None) for n in range(2_000)])
        for _ in range(20):
            eventually(lambda: consumer.read(0.1))
            consumer.reset_positions()
            assert consumer.positions() == {}
    finally:
        consumer.close()


def test_a_broker_that_tells_no_topic_ids_is_refused_by_all_who_need_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All topics would share one key of offsets: those of one would move another's."""
    with older_broker(stage.broker.bootstrap, NO_TOPIC_IDS) as bootstrap:
        recorder = stage.recorder
        (recorder.home / "connections" / "kafka_bootstrap").write_text(bootstrap)
        recorder.start(wait=False)
        assert recorder.exit_code() == 64
        said = json.loads((recorder.home / "termination").read_text())
        assert (said["state"], said["reason"]) == ("failed", "NoTopicIds")
        assert "Redpanda 25.2" in said["message"]
        assert recorded_ends(stage.dsn) == {}
        connections = Connections(kafka_bootstrap=bootstrap)
        with psycopg.connect(stage.dsn) as connection, pytest.raises(NoTopicIds, match=topics.MARKET_BARS):
            wait_until_recorded(connections, connection)
        monkeypatch.setenv("TAPEDECK_CONNECTIONS", str(recorder.home / "connections"))
        assert connection_check.main([], wait=0) == 1
        (recorder.home / "connections" / "store_dsn").write_text(stage.dsn.replace("tapedeck_recorder@", "postgres@"))
        environment = os.environ | {"TAPEDECK_TERMINATION_LOG": str(recorder.home / "termination")}
        migrate = forkserver.start("tapedeck_maintenance.migrate", log=recorder.home / "log", env=environment)
        assert processes.wait_exit(migrate, 60) == 64
    (recorder.home / "connections" / "kafka_bootstrap").write_text(stage.broker.bootstrap)
    assert connection_check.main([], wait=60) == 0


def test_offsets_are_those_of_a_topic_by_name_and_id(stage: Stage) -> None:
    offsets = {
        name: StoredOffsets("cluster", dict.fromkeys((topics.MARKET_BARS, topics.MARKET_TRADES), name))
        for name in ("first", "second")
    }
    bars, trades = (topics.MARKET_BARS, 3), (topics.MARKET_TRADES, 3)
    none = LogPosition()
    with psycopg.connect(stage.dsn) as connection:
        for stored in offsets.values():
            assert stored.load(connection, [bars, trades]) == {bars: none, trades: none}
        seven, eight, nine = LogPosition(7, 2), LogPosition(8, 3), LogPosition(9)
        offsets["first"].advance(connection.cursor(), {bars: seven, trades: nine})
        assert offsets["first"].load(connection, [bars, trades]) == {bars: seven, trades: nine}
        offsets["first"].advance(connection.cursor(), {bars: eight})
        assert offsets["first"].load(connection, [bars, trades]) == {bars: eight, trades: nine}
        assert offsets["second"].load(connection, [bars, trades]) == {bars: none, trades: none}
