"""Users of the broker: one for each workload, and one for each workload of a namespace that has its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from pydantic import BaseModel, ConfigDict

from tapedeck_common.kafka import BrokerAdmin, await_result, kafka_error
from tapedeck_common.settings import WorkloadName

REQUEST_SECONDS = 20.0
POLL_SECONDS = 0.1
ITERATIONS = 8192  # of the hash of a password; Kafka allows 4096 to 16384


class KafkaUser(BaseModel):
    """The user of a workload. ``namespace`` is empty for the workloads that share the release's own users."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    workload: WorkloadName
    name: str
    namespace: str = ""

    @property
    def key(self) -> str:
        """The name of the file, and the key of the Secret, with its password."""
        return f"{self.workload}.{self.namespace}" if self.namespace else self.workload


def read_passwords(folder: Path, users: Iterable[KafkaUser]) -> dict[str, str]:
    """The password of each user by its name. Raises OSError for a missing file."""
    return {user.name: (folder / user.key).read_text().strip() for user in users}


def create_users(client: BrokerAdmin, passwords: Mapping[str, str]) -> None:
    """Create users for SCRAM-SHA-512, or set the passwords of existing ones, and wait until the broker has them.

    The connected user is an administrator. Raises KafkaException, also where the broker does not manage users (Kafka
    before 3.5 and Redpanda before 25.2).
    """
    if not passwords:
        return
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    changes: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, info, password.encode()) for name, password in passwords.items()
    ]
    for future in client.alter_user_scram_credentials(changes, request_timeout=REQUEST_SECONDS).values():
        await_result(client, future, REQUEST_SECONDS)
    deadline = time.monotonic() + REQUEST_SECONDS
    while missing := [name for name in passwords if not _exists(client, name)]:
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{len(missing)} users do not exist yet"))
        time.sleep(POLL_SECONDS)


def _exists(client: BrokerAdmin, name: str) -> bool:
    described = client.describe_user_scram_credentials([name], request_timeout=REQUEST_SECONDS)
    if not isinstance(described, dict):
        raise TypeError("expected a result for each of the users")
    try:
        await_result(client, described[name], REQUEST_SECONDS)
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.RESOURCE_NOT_FOUND:
            return False
        raise
    return True
