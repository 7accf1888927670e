"""The embedded broker as a deck guards it: SASL, one user per workload, and ACLs of KRaft's authorizer.

Users of PLAIN are those of its configuration; those of SCRAM are created by a client.
"""

from __future__ import annotations

from pathlib import Path

from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.broker_access import ADMIN as ADMIN
from tapedeck_deck.embedded.broker_access import BrokerAccess
from tapedeck_deck.embedded.ports import free_port

_SCRAM = (
    "listener.name.clients.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n"
    "listener.name.clients.scram-sha-512.sasl.jaas.config="
    "org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
)


class SecuredBroker(KafkaBroker):
    """A broker whose users have made-up passwords; ``connections`` returns those of a user."""

    def __init__(self, folder: Path, users: tuple[str, ...]) -> None:
        access = BrokerAccess({user: f"{user}-secret" for user in (ADMIN, *users)})
        super().__init__(folder, free_port(), access)

    def connections(self, user: str, mechanism: str = "PLAIN", password: str = "") -> Connections:
        return Connections.model_validate(
            {
                **self.client(ADMIN),
                "kafka_sasl_mechanism": mechanism,
                "kafka_username": user,
                "kafka_password": password or f"{user}-secret",
            }
        )

    def _properties(self) -> str:
        return super()._properties() + _SCRAM
