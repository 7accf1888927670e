"""The embedded broker with a second listener: SASL, one user per workload, and ACLs of KRaft's authorizer.

Users of PLAIN are those of its configuration; those of SCRAM are created by a client.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port

ADMIN = "admin"


class SecuredBroker(KafkaBroker):
    """``port`` requires no password, since the broker's start uses it; ``connections`` returns those of a user."""

    def __init__(self, folder: Path, users: tuple[str, ...]) -> None:
        super().__init__(folder, free_port())
        self._secured = free_port()
        self._users = (ADMIN, *users)

    def connections(self, user: str, mechanism: str = "PLAIN", password: str = "") -> Connections:
        return Connections(
            kafka_bootstrap=f"127.0.0.1:{self._secured}",
            kafka_security_protocol="SASL_PLAINTEXT",
            kafka_sasl_mechanism=mechanism,
            kafka_username=user,
            kafka_password=SecretStr(password or f"{user}-secret"),
        )

    def _properties(self) -> str:
        users = " ".join(f'user_{user}="{user}-secret"' for user in self._users)
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        listener = f"SECURED://127.0.0.1:{self._secured}"
        lines = []
        for line in super()._properties().splitlines():
            name = line.split("=")[0]
            added = {
                "listeners": f",{listener}",
                "advertised.listeners": f",{listener}",
                "listener.security.protocol.map": ",SECURED:SASL_PLAINTEXT",
            }.get(name, "")
            lines.append(line + added)
        return "\n".join(
            [
                *lines,
                "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
                "listener.name.secured.scram-sha-512.sasl.jaas.config="
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                f"listener.name.secured.plain.sasl.jaas.config={login} {users};",
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                f"super.users=User:{ADMIN};User:ANONYMOUS",
                "",
            ]
        )
