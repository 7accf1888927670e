"""Errors of a replay, and a broker's error in words."""

from __future__ import annotations

import signal

from confluent_kafka import KafkaError, KafkaException

from tapedeck_common.kafka import is_transient
from tapedeck_crds.errors import Interrupted, InvalidInput, TapedeckError


class InvalidReplay(InvalidInput):
    """The spec, or the data that it names, cannot be played. ``reason`` is a CamelCase word for the Replay's status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)


class ReplayStopped(Interrupted):
    """The pod was stopped before the end of the replay. The exit code is that of a process ended by SIGTERM."""

    exit_code = 128 + signal.SIGTERM


class TransactionAborted(TapedeckError):
    """The open transaction was lost. Everything since the last commit must be published again."""


def lost_records(topic: str, shard: int) -> str:
    """Why a pod ends whose broker has lost committed records: the next one finds out where the log ends."""
    return f"{topic} shard {shard}: the broker has lost records; the next pod publishes them again"


def describe_kafka_error(error: KafkaError) -> str:
    """The broker's error in words that say what to look at."""
    if error.code() == KafkaError.KAFKA_STORAGE_ERROR:
        return f"the broker cannot write, its disk may be full ({error.str()})"
    if is_transient(KafkaException(error)):
        return f"the broker does not answer ({error.str()})"
    return error.str()
