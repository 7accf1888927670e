"""What the user of each workload may do on a broker with ACLs: that and no more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tapedeck_common.topics import (
    MARKET_BARS,
    MARKET_INGEST,
    MARKET_POINTS,
    MARKET_TRADES,
    POINTS_PREFIX,
    RECORDER_GROUP,
    REPLAY_PREFIX,
    RESULTS,
    SINK_GROUP_PREFIX,
    TRANSFORM_GROUP_PREFIX,
)

ANSWER_SECONDS = 20.0
POLL_SECONDS = 0.1
Workload = Literal["feed", "replay", "transform", "backtest", "recorder", "gateway"]


class Right(NamedTuple):
    """Operations on what has this name, or begins with it where it ends in a dot or a dash."""

    resource: ResourceType
    name: str
    operations: tuple[AclOperation, ...]


_TOPIC, _GROUP, _TRANSACTION = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
_READ, _WRITE, _DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE
_MARKET = "market."
# Whether what a run asks for is recorded yet.
_RECORDED = (Right(_TOPIC, MARKET_BARS, (_DESCRIBE,)), Right(_GROUP, RECORDER_GROUP, (_DESCRIBE,)))

# Reading and writing a topic include describing it. `migrate` grants these, so its own user is an administrator.
RIGHTS: dict[Workload, tuple[Right, ...]] = {
    # A live Feed reads what it published, to know where it stopped.
    "feed": (Right(_TOPIC, _MARKET, (_READ, _WRITE)), Right(_GROUP, "feed-history", (_READ,))),
    "replay": (
        Right(_TOPIC, REPLAY_PREFIX, (AclOperation.CREATE, _READ, _WRITE)),
        Right(_TOPIC, _MARKET, (_READ,)),  # a source; another than these topics is the user's to grant
        Right(_TOPIC, MARKET_BARS, (_WRITE,)),
        Right(_TOPIC, MARKET_TRADES, (_WRITE,)),
        Right(_TRANSACTION, REPLAY_PREFIX, (_WRITE,)),
        Right(_GROUP, REPLAY_PREFIX, (_READ,)),
        *_RECORDED,
    ),
    "transform": (
        Right(_TOPIC, _MARKET, (_READ,)),
        Right(_TOPIC, REPLAY_PREFIX, (_READ,)),
        Right(_TOPIC, MARKET_POINTS, (_WRITE,)),
        Right(_TOPIC, MARKET_INGEST, (_WRITE,)),  # what a function failed with
        Right(_TOPIC, POINTS_PREFIX, (AclOperation.CREATE, _READ, _WRITE)),
        Right(_GROUP, TRANSFORM_GROUP_PREFIX, (_READ,)),
    ),
    "backtest": (
        Right(_TOPIC, REPLAY_PREFIX, (_READ,)),
        Right(_TOPIC, _MARKET, (_READ,)),
        Right(_TOPIC, RESULTS, (_WRITE,)),
        Right(_GROUP, "tapedeck-backtest-", (_READ,)),
        *_RECORDED,
    ),
    "recorder": (
        Right(_TOPIC, _MARKET, (_READ,)),
        Right(_TOPIC, RESULTS, (_READ,)),
        Right(_TOPIC, REPLAY_PREFIX, (_READ, AclOperation.DELETE)),
        Right(_TOPIC, POINTS_PREFIX, (_READ, AclOperation.DELETE)),
        Right(_GROUP, RECORDER_GROUP, (_READ,)),
        Right(_GROUP, SINK_GROUP_PREFIX, (_READ,)),
    ),
    "gateway": (
        Right(_TOPIC, _MARKET, (_READ,)),
        Right(_TOPIC, REPLAY_PREFIX, (_READ,)),
        Right(_TOPIC, POINTS_PREFIX, (_READ,)),
        Right(_GROUP, "tapedeck-gateway", (_READ,)),
    ),
}


def grant(client: AdminClient, users: Mapping[Workload, str]) -> None:
    """Give the user of each workload its rights and wait until they hold; those it has stay. Raises KafkaException."""
    wanted = [binding for workload, user in users.items() for binding in bindings(workload, user)]
    if not wanted:
        return
    for future in client.create_acls(wanted, request_timeout=ANSWER_SECONDS).values():
        future.result(ANSWER_SECONDS)
    deadline = time.monotonic() + ANSWER_SECONDS
    # The controller took them; a broker knows of them a moment later, and refuses until then.
    while missing := set(wanted) - set(client.describe_acls(_EVERY, request_timeout=ANSWER_SECONDS).result()):
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{len(missing)} rights do not hold yet"))
        time.sleep(POLL_SECONDS)


_EVERY = AclBindingFilter(
    ResourceType.ANY,
    None,  # type: ignore[arg-type]
    ResourcePatternType.ANY,
    None,  # type: ignore[arg-type]
    None,  # type: ignore[arg-type]
    AclOperation.ANY,
    AclPermissionType.ANY,
)


def bindings(workload: Workload, user: str) -> list[AclBinding]:
    """A workload's rights as Kafka's ACLs, from any host."""
    return [
        AclBinding(
            right.resource,
            right.name,
            ResourcePatternType.PREFIXED if right.name.endswith((".", "-")) else ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for right in RIGHTS[workload]
        for operation in right.operations
    ]
