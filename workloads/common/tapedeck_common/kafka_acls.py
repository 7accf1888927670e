"""The ACLs of each workload's user: the least that the workload needs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tapedeck_common.kafka import BrokerAdmin
from tapedeck_common.kafka_users import KafkaUser
from tapedeck_common.settings import WorkloadName
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

REQUEST_SECONDS = 20.0
POLL_SECONDS = 0.1


class AclGrant(NamedTuple):
    """Operations on the resource of this name, or on all with this prefix where it ends in a dot or a dash."""

    resource: ResourceType
    name: str
    operations: tuple[AclOperation, ...]


_TOPIC, _GROUP, _TRANSACTION = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
_READ, _WRITE, _DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE
_MARKET = "market."
# To wait until the recorder has reached the end of a topic.
_RECORDED = (AclGrant(_TOPIC, MARKET_BARS, (_DESCRIBE,)), AclGrant(_GROUP, RECORDER_GROUP, (_DESCRIBE,)))

# Read and Write imply Describe. `tapedeck migrate` creates these ACLs, so its own user is an administrator.
GRANTS: dict[WorkloadName, tuple[AclGrant, ...]] = {
    # A live Feed reads its own last records to resume after them.
    "feed": (AclGrant(_TOPIC, _MARKET, (_READ, _WRITE)), AclGrant(_GROUP, "feed-history", (_READ,))),
    "replay": (
        AclGrant(_TOPIC, REPLAY_PREFIX, (AclOperation.CREATE, _READ, _WRITE)),
        AclGrant(_TOPIC, _MARKET, (_READ,)),  # a source; users create the ACLs for topics of their own
        AclGrant(_TRANSACTION, REPLAY_PREFIX, (_WRITE,)),
        AclGrant(_GROUP, REPLAY_PREFIX, (_READ,)),
        *_RECORDED,
    ),
    "transform": (
        AclGrant(_TOPIC, _MARKET, (_READ,)),
        AclGrant(_TOPIC, REPLAY_PREFIX, (_READ,)),
        AclGrant(_TOPIC, MARKET_POINTS, (_WRITE,)),
        AclGrant(_TOPIC, MARKET_INGEST, (_WRITE,)),  # errors of users' functions
        AclGrant(_TOPIC, POINTS_PREFIX, (AclOperation.CREATE, _READ, _WRITE)),
        AclGrant(_GROUP, TRANSFORM_GROUP_PREFIX, (_READ,)),
    ),
    "backtest": (
        AclGrant(_TOPIC, REPLAY_PREFIX, (_READ,)),
        AclGrant(_TOPIC, _MARKET, (_READ,)),
        AclGrant(_TOPIC, RESULTS, (_WRITE,)),
        AclGrant(_GROUP, "tapedeck-backtest-", (_READ,)),
        *_RECORDED,
    ),
    "recorder": (
        AclGrant(_TOPIC, _MARKET, (_READ,)),
        AclGrant(_TOPIC, RESULTS, (_READ,)),
        AclGrant(_TOPIC, REPLAY_PREFIX, (_READ, AclOperation.DELETE)),
        AclGrant(_TOPIC, POINTS_PREFIX, (_READ, AclOperation.DELETE)),
        AclGrant(_GROUP, RECORDER_GROUP, (_READ,)),
        # To end a Replay's transaction whose end the broker has lost, with a record that is aborted.
        AclGrant(_TRANSACTION, REPLAY_PREFIX, (_WRITE,)),
        AclGrant(_TOPIC, MARKET_BARS, (_WRITE,)),
        AclGrant(_TOPIC, MARKET_TRADES, (_WRITE,)),
        AclGrant(_GROUP, SINK_GROUP_PREFIX, (_READ,)),
    ),
    "gateway": (
        AclGrant(_TOPIC, _MARKET, (_READ,)),
        AclGrant(_TOPIC, REPLAY_PREFIX, (_READ,)),
        AclGrant(_TOPIC, POINTS_PREFIX, (_READ,)),
        AclGrant(_GROUP, "tapedeck-gateway", (_READ,)),
    ),
}
# Of the release's own users alone: a Replay with `target` publishes to the market of all namespaces.
_SHARED_GRANTS: dict[WorkloadName, tuple[AclGrant, ...]] = {
    "replay": (
        AclGrant(_TOPIC, MARKET_BARS, (_WRITE,)),
        AclGrant(_TOPIC, MARKET_TRADES, (_WRITE,)),
        AclGrant(_TOPIC, MARKET_INGEST, (_WRITE,)),  # which copies the broker has lost
    ),
}


def create_acls(client: BrokerAdmin, users: Iterable[KafkaUser]) -> None:
    """Create the ACLs of each user and wait until they are in force. Raises KafkaException.

    Existing ACLs are kept.
    """
    desired = [binding for user in users for binding in acl_bindings(user)]
    if not desired:
        return
    for future in client.create_acls(desired, request_timeout=REQUEST_SECONDS).values():
        future.result(REQUEST_SECONDS)
    deadline = time.monotonic() + REQUEST_SECONDS
    # The controller has accepted them; each broker applies them a moment later and denies access until then.
    while missing := set(desired) - set(client.describe_acls(_EVERY, request_timeout=REQUEST_SECONDS).result()):
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{len(missing)} ACLs are not in force yet"))
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


def acl_bindings(user: KafkaUser) -> list[AclBinding]:
    """The ACLs of a user, for any host."""
    shared = () if user.namespace else _SHARED_GRANTS.get(user.workload, ())
    return [
        AclBinding(
            grant.resource,
            grant.name,
            ResourcePatternType.PREFIXED if grant.name.endswith((".", "-")) else ResourcePatternType.LITERAL,
            f"User:{user.name}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for grant in (*GRANTS[user.workload], *shared)
        for operation in grant.operations
    ]
