"""Clients of the broker, configured in one place. No client is made at import."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tapedeck_common.settings import Connections

T = TypeVar("T")
Config = dict[str, Any]
REQUEST_SECONDS = 3.0
# A client reports a late request itself, with a transient error: it is given the time to do so.
LATE_SECONDS = 7.0
POLL_SECONDS = 0.1


def client_config(connections: Connections, client_id: str) -> Config:
    """The settings that every client of the broker has."""
    config: Config = {
        "bootstrap.servers": connections.kafka_bootstrap,
        "client.id": client_id,
        "security.protocol": connections.kafka_security_protocol,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2000,
        "logger": logging.getLogger("librdkafka"),  # without one it prints to stderr
        "error_cb": lambda _error: None,  # the calls that fail raise; without a callback each error is logged twice
    }
    if connections.kafka_sasl_mechanism:
        config |= {
            "sasl.mechanism": connections.kafka_sasl_mechanism,
            "sasl.username": connections.kafka_username,
            "sasl.password": connections.kafka_password.get_secret_value(),
        }
    if connections.kafka_ca:
        config["ssl.ca.location"] = str(connections.kafka_ca)
    return config


def producer(connections: Connections, client_id: str, extra: Mapping[str, Any] | None = None) -> Producer:
    """An idempotent producer: acks=all, lz4, a queue of at most 100,000 records."""
    return Producer(
        client_config(connections, client_id)
        | {
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "queue.buffering.max.messages": 100_000,
            "delivery.timeout.ms": 120_000,
        }
        | dict(extra or {})
    )


def transactional_producer(
    connections: Connections, transactional_id: str, extra: Mapping[str, Any] | None = None
) -> Producer:
    """A producer for short transactions; call ``init_transactions`` before anything else."""
    return producer(
        connections,
        transactional_id,
        {
            "transactional.id": transactional_id,
            "linger.ms": 1,
            "retry.backoff.ms": 1,
            "batch.size": 1_000_000,
            "batch.num.messages": 20_000,
            "transaction.timeout.ms": 60_000,
            "delivery.timeout.ms": 60_000,
        }
        | dict(extra or {}),
    )


def consumer(connections: Connections, client_id: str, group: str, extra: Mapping[str, Any] | None = None) -> Consumer:
    """A consumer of committed records that starts at the beginning and commits no offsets by itself."""
    return Consumer(
        client_config(connections, client_id)
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "fetch.error.backoff.ms": 20,
            # A full queue pauses fetching for this long (a second by default), even where it is emptied at once.
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 65_536,
        }
        | dict(extra or {})
    )


class BrokerAdmin(AdminClient):
    """An admin client that keeps the last error of authentication or TLS.

    librdkafka only reports these to the error callback, and the requests time out.
    """

    def __init__(self, connections: Connections, client_id: str) -> None:
        self._security_error: KafkaError | None = None
        super().__init__(client_config(connections, client_id) | {"error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self._security_error = error

    def last_security_error(self) -> KafkaError | None:
        """The last error of authentication or TLS since ``clear_security_error``; ``poll`` updates it."""
        return self._security_error

    def clear_security_error(self) -> None:
        """Forget the last error."""
        self._security_error = None


def admin(connections: Connections, client_id: str) -> BrokerAdmin:
    """An admin client of the broker."""
    return BrokerAdmin(connections, client_id)


def await_result(client: BrokerAdmin, future: Future[T], request_seconds: float = REQUEST_SECONDS) -> T:
    """The result of a request that was sent with this timeout.

    Raises KafkaException, also where the broker does not answer. A failure of authentication or TLS is raised as soon
    as it is known, as a transient error: passwords and certificates may be corrected while the client runs.
    """
    client.clear_security_error()
    deadline = time.monotonic() + request_seconds + LATE_SECONDS
    while not future.done() and time.monotonic() < deadline:
        wait([future], POLL_SECONDS)
        client.poll(0)  # runs the error callback
        if (error := client.last_security_error()) is not None and not future.done():
            raise _transport_error(error)
    if not future.done():
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker did not answer"))
    try:
        return future.result()
    except KafkaException as error:
        client.poll(0)
        if (cause := client.last_security_error()) is not None and is_transient(error):
            raise _transport_error(cause) from error
        raise


def _transport_error(error: KafkaError) -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TRANSPORT, error.str()))


_TRANSIENT = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_CONTROLLER,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._WAIT_COORD,
    KafkaError._UNKNOWN_PARTITION,  # the client's list lacks a topic that was just made
    KafkaError._NOENT,  # a topic that was just made has no leader yet
}


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed later: the error is the broker's and retriable."""
    if not isinstance(error, KafkaException):
        return False
    fault = error.args[0]
    return isinstance(fault, KafkaError) and (fault.retriable() or fault.code() in _TRANSIENT)


def client_error(error: KafkaException | SystemError) -> KafkaError:
    """The error of a producer's call: of a SystemError its cause, where it is fatal and a delivery is reported with it.

    Raises a SystemError that has another cause.
    """
    cause = error.__cause__ if isinstance(error, SystemError) else error
    if not isinstance(cause, KafkaException):
        raise error
    return kafka_error(cause)


def kafka_error(error: KafkaException) -> KafkaError:
    """The KafkaError inside the exception."""
    fault = error.args[0]
    if not isinstance(fault, KafkaError):
        raise TypeError(f"expected a KafkaError inside {error!r}")
    return fault
