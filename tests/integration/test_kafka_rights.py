"""ACLs on a real broker: the user of each workload has the least privileges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from secured.broker import ADMIN, SecuredBroker
from tapedeck_common.kafka import admin, await_result, consumer, kafka_error, producer, transactional_producer
from tapedeck_common.kafka_acls import acl_bindings
from tapedeck_common.kafka_users import KafkaUser, create_users
from tapedeck_common.settings import WorkloadName
from tapedeck_common.topics import RECORDER_GROUP
from waits import eventually

pytestmark = pytest.mark.slow

WORKLOADS: tuple[WorkloadName, ...] = ("feed", "replay", "transform", "backtest", "recorder", "gateway")
TENANT = KafkaUser(workload="replay", name="replay-of-b", namespace="team-b")
USERS = [*(KafkaUser(workload=workload, name=workload) for workload in WORKLOADS), TENANT]
REPLAY = "tapedeck.replay.a-uid"
SINK = "tapedeck-sink-influx"
POINTS = "tapedeck.points.a-uid"
MARKET = {"market.trades", "market.tickers", "market.bars", "market.ingest", "market.points"}
TOPICS = [*sorted(MARKET), "backtest.results", REPLAY, POINTS, "others.topic"]
GROUPS = [
    RECORDER_GROUP,
    REPLAY,
    "tapedeck-backtest-a-uid",
    "tapedeck-gateway",
    SINK,
    "feed-history",
    "tapedeck-transform-a-uid",
    "others.group",
]
# By hand: what the README promises.
MAY_WRITE = {
    "feed": MARKET,
    "replay": {"market.bars", "market.trades", "market.ingest", REPLAY},
    "transform": {"market.points", "market.ingest", POINTS},
    "backtest": {"backtest.results"},
    "recorder": {"market.bars", "market.trades"},
    "gateway": set(),
}
MAY_READ = {
    "feed": MARKET,
    "replay": {*MARKET, REPLAY},
    "transform": {*MARKET, REPLAY, POINTS},
    "backtest": {*MARKET, REPLAY},
    "recorder": {*MARKET, REPLAY, POINTS, "backtest.results"},
    "gateway": {*MARKET, REPLAY, POINTS},
}
MAY_JOIN = {
    "feed": {"feed-history"},
    "replay": {REPLAY},
    "transform": {"tapedeck-transform-a-uid"},
    "backtest": {"tapedeck-backtest-a-uid"},
    "recorder": {RECORDER_GROUP, SINK},
    "gateway": {"tapedeck-gateway"},
}
MAY_CREATE = {"replay": {"tapedeck.replay.another-uid"}, "transform": {"tapedeck.points.another-uid"}}
MAY_DELETE = {"recorder": {REPLAY, POINTS}}
REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, services: Any) -> Iterator[SecuredBroker]:
    """A broker after `python -m tapedeck_maintenance.migrate`, with a record on each topic."""
    folder = tmp_path_factory.mktemp("secured")
    running = SecuredBroker(folder / "kafka", tuple(user.name for user in USERS))
    try:
        running.start()
        _migrate(running, folder / "admin", services.postgres.dsn())
        super_user = running.connections(ADMIN)
        client = admin(super_user, "tests")
        for future in client.create_topics([NewTopic(name, 1) for name in (REPLAY, POINTS, "others.topic")]).values():
            future.result(20)
        writer = producer(super_user, "tests")
        for topic in TOPICS:
            writer.produce(topic, b"there", partition=0)
        assert writer.flush(20) == 0
        yield running
    finally:
        running.stop()


def _migrate(broker: SecuredBroker, folder: Path, dsn: str) -> None:
    """Run migrate as the administrator, as the init container does; twice, like an upgrade."""
    folder.mkdir()
    connections = broker.connections(ADMIN)
    for name in ("kafka_bootstrap", "kafka_security_protocol", "kafka_sasl_mechanism", "kafka_username"):
        (folder / name).write_text(getattr(connections, name))
    (folder / "kafka_password").write_text(connections.kafka_password.get_secret_value())
    (folder / "store_dsn").write_text(dsn)
    passwords = folder / "passwords"
    passwords.mkdir()
    for user in USERS:
        (passwords / user.key).write_text(f"{user.name}'s own")
    told = {
        "TAPEDECK_CONNECTIONS": str(folder),
        "TAPEDECK_KAFKA_USERS": json.dumps([user.model_dump() for user in USERS]),
        "TAPEDECK_KAFKA_PASSWORDS": str(passwords),
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "tapedeck_maintenance.migrate"],
            env={**os.environ, **told},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_writes_reads_and_joins_no_more_than_it_needs(broker: SecuredBroker, workload: str) -> None:
    assert {topic for topic in TOPICS if _writes(broker, workload, topic)} == MAY_WRITE[workload]
    assert {topic for topic in TOPICS if _reads(broker, workload, topic)} == MAY_READ[workload]
    topic = min(MAY_READ[workload])
    assert {group for group in GROUPS if _joins(broker, workload, group, topic)} == MAY_JOIN[workload]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_creates_and_deletes_no_more_than_it_needs(broker: SecuredBroker, workload: str) -> None:
    client = admin(broker.connections(workload), "tests")
    made = {
        name
        for name in ("tapedeck.replay.another-uid", "tapedeck.points.another-uid", "market.others")
        if _allowed(client.create_topics([NewTopic(name, 1)])[name])
    }
    assert made == MAY_CREATE.get(workload, set())
    deleted = {name for name in TOPICS if name not in (REPLAY, POINTS) and _allowed(client.delete_topics([name])[name])}
    assert deleted == set()
    # A topic of its own, so that the others' tests find theirs.
    super_user = admin(broker.connections(ADMIN), "tests")
    for living in (REPLAY, POINTS):
        dead = f"{living.removesuffix('a-uid')}{uuid.uuid4()}"
        super_user.create_topics([NewTopic(dead, 1)])[dead].result(20)
        assert _allowed(client.delete_topics([dead])[dead]) == (living in MAY_DELETE.get(workload, set()))
    (grant,) = client.create_acls(acl_bindings(KafkaUser(workload="recorder", name=workload))[:1]).values()
    assert not _allowed(grant)


def test_a_user_of_another_namespace_does_not_write_to_the_market(broker: SecuredBroker) -> None:
    assert {topic for topic in TOPICS if _writes(broker, TENANT.name, topic)} == {REPLAY}


def test_a_created_user_logs_in_with_its_current_password_alone(broker: SecuredBroker) -> None:
    administrator = admin(broker.connections(ADMIN), "tests")

    def logs_in(password: str) -> bool:
        client = admin(broker.connections(TENANT.name, "SCRAM-SHA-512", password), "tests")
        try:
            return REPLAY in await_result(client, client.describe_topics(TopicCollection([REPLAY]))[REPLAY], 60).name
        except KafkaException:
            assert client.last_security_error() is not None
            return False

    assert logs_in(f"{TENANT.name}'s own")
    assert not logs_in("a guess")
    create_users(administrator, {TENANT.name: "changed"})
    eventually(lambda: logs_in("changed"))  # a broker has a password a moment after its controller
    assert not logs_in(f"{TENANT.name}'s own")


def test_a_replay_commits_its_own_transactions_and_no_others(broker: SecuredBroker) -> None:
    connections = broker.connections("replay")
    writer = transactional_producer(connections, f"{REPLAY}.0")
    group: Consumer = consumer(connections, "tests", REPLAY)
    writer.init_transactions(20)
    writer.begin_transaction()
    writer.produce(REPLAY, b"bar", partition=0)
    writer.send_offsets_to_transaction([TopicPartition(REPLAY, 0, 1)], group.consumer_group_metadata(), 20)
    writer.commit_transaction(20)
    (place,) = group.committed([TopicPartition(REPLAY, 0)], timeout=60)
    assert place.offset == 1
    group.close()
    other = transactional_producer(connections, "others.0")
    with pytest.raises(KafkaException) as raised:
        other.init_transactions(20)
    assert kafka_error(raised.value).code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_creating_the_acls_again_adds_nothing(broker: SecuredBroker) -> None:
    client = admin(broker.connections(ADMIN), "tests")
    any_: Any = None  # by the documentation of the filter; its types know names alone
    every = AclBindingFilter(
        ResourceType.ANY, any_, ResourcePatternType.ANY, any_, any_, AclOperation.ANY, AclPermissionType.ANY
    )
    there = client.describe_acls(every).result(20)
    assert len(there) == sum(len(acl_bindings(user)) for user in USERS)


def _allowed(future: Any) -> bool:
    try:
        future.result(60)
        return True
    except KafkaException as error:
        assert kafka_error(error).code() in REFUSED, error
        return False


def _writes(broker: SecuredBroker, user: str, topic: str) -> bool:
    told: list[KafkaError | None] = []
    # Who may write nowhere would get no id of an idempotent producer, and not come to the topic.
    writer = producer(broker.connections(user), "tests", {"enable.idempotence": False})
    writer.produce(topic, b"by the test", partition=0, on_delivery=lambda error, _: told.append(error))
    assert writer.flush(60) == 0
    (error,) = told
    assert error is None or error.code() in REFUSED, error
    return error is None


def _reads(broker: SecuredBroker, user: str, topic: str) -> bool:
    group = min(MAY_JOIN[user])  # a reader asks for its group's coordinator also where it commits nothing
    reader: Consumer = consumer(broker.connections(user), "tests", group)
    try:
        error = reader.list_topics(topic, timeout=60).topics[topic].error
        if error is None:
            reader.assign([TopicPartition(topic, 0, 0)])
            message = reader.poll(60)
            assert message is not None, f"{user} got no answer about {topic}"
            error = message.error()
        assert error is None or error.code() in REFUSED, error
        return error is None
    finally:
        reader.close()


def _joins(broker: SecuredBroker, user: str, group: str, topic: str) -> bool:
    client = admin(broker.connections(user), "tests")
    places = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
    (answer,) = client.alter_consumer_group_offsets([places], request_timeout=60).values()
    if not _allowed(answer):  # not even told where the group is
        return False
    (place,) = answer.result().topic_partitions
    assert place.error is None or place.error.code() in REFUSED, place.error
    return place.error is None
