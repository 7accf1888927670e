"""Clients of the broker, configured in one place. No client is made at import."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tapedeck_common.settings import Connections


class _Thinned(logging.Filter):
    """Lets one line of a kind pass in ten seconds: while a broker is away librdkafka says so many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.getMessage().split(" ", 1)[0]
        due = record.created - self._last.get(kind, 0.0) >= LOG_EVERY_SECONDS
        if due:
            self._last[kind] = record.created
        return due


# librdkafka would print to stderr by itself.
_librdkafka = logging.getLogger("librdkafka")
_librdkafka.addFilter(_Thinned())

T = TypeVar("T")
Config = dict[str, Any]
LOG_EVERY_SECONDS = 10.0
REQUEST_SECONDS = 3.0
# A client answers by itself once a request is late, with an error that is known to pass: it gets to say so first.
LATE_SECONDS = 7.0
LOOK_SECONDS = 0.1

# The last error of authentication or SSL: librdkafka only logs it, and the calls time out.
_refusals: deque[KafkaError] = deque(maxlen=1)


def _note(error: KafkaError) -> None:
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
        _refusals.append(error)


def client_config(connections: Connections, client_id: str) -> Config:
    """What every client of the broker needs."""
    config: Config = {
        "bootstrap.servers": connections.kafka_bootstrap,
        "client.id": client_id,
        "security.protocol": connections.kafka_security_protocol,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2000,
        "logger": _librdkafka,
        "error_cb": _note,
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
    """An idempotent producer: acks from all, lz4, up to 100,000 records waiting."""
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
    """A producer whose transactions end fast; call ``init_transactions`` before anything else."""
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
    """A consumer of committed records only, which commits nothing by itself and starts at the beginning."""
    return Consumer(
        client_config(connections, client_id)
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "fetch.error.backoff.ms": 20,
            # A full queue puts its partitions to sleep, by default for a second: long after it was emptied.
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 65_536,
        }
        | dict(extra or {})
    )


def admin(connections: Connections, client_id: str) -> AdminClient:
    """An administrator of the broker."""
    return AdminClient(client_config(connections, client_id))


def answer(client: AdminClient, future: Future[T], request_seconds: float = REQUEST_SECONDS) -> T:
    """What a request with this timeout came to.

    Raises KafkaException, also for no answer at all. Where the broker refuses authentication or SSL that is raised as
    soon as it is known, as an error that may pass: passwords and certificates are mended at times.
    """
    _refusals.clear()
    deadline = time.monotonic() + request_seconds + LATE_SECONDS
    while not future.done() and time.monotonic() < deadline:
        wait([future], LOOK_SECONDS)
        client.poll(0)  # an administrator's errors wait for it
        if _refusals and not future.done():
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, _refusals[-1].str()))
    if not future.done():
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker did not answer"))
    try:
        return future.result()
    except KafkaException as error:
        client.poll(0)
        if _refusals and passing(error):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, _refusals[-1].str())) from error
        raise


_PASSING = {
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
}


def passing(error: Exception) -> bool:
    """Whether the broker's error can go away by itself."""
    if not isinstance(error, KafkaException):
        return False
    fault = error.args[0]
    return isinstance(fault, KafkaError) and (fault.retriable() or fault.code() in _PASSING)


def error_of(error: KafkaException) -> KafkaError:
    """The broker's error inside the exception."""
    fault = error.args[0]
    if not isinstance(fault, KafkaError):
        raise TypeError(f"expected a KafkaError inside {error!r}")
    return fault


@stamina.retry(on=passing, attempts=8, timeout=30.0, wait_max=3.0)
def ensure_topics(
    client: AdminClient,
    names: Iterable[str],
    partitions: int,
    *,
    replication: int = -1,
    config: Mapping[str, str] | None = None,
) -> list[str]:
    """Make the topics that are missing; returns those it made. Raises KafkaException."""
    wanted = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(config or {}))
        for name in names
    ]
    made: list[str] = []
    for name, future in client.create_topics(wanted, operation_timeout=15, request_timeout=20).items():
        try:
            answer(client, future, 20)
            made.append(name)
        except KafkaException as error:
            if error_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return made
