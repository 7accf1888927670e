"""The accounts of the embedded broker: who may log in to its listeners, and what its administrator's clients need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ADMIN = "owner"  # the owner of the deck: the broker itself, the migration, and the owner's own programs
PROTOCOL, MECHANISM = "SASL_PLAINTEXT", "PLAIN"
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_OPEN = """\
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
"""
_GUARDED = """\
listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:{protocol}
sasl.enabled.mechanisms={mechanism}
sasl.mechanism.inter.broker.protocol={mechanism}
sasl.mechanism.controller.protocol={mechanism}
listener.name.clients.plain.sasl.jaas.config={login} {itself} {accounts};
listener.name.controller.plain.sasl.jaas.config={login} {itself} {administrator};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin}
"""


@dataclass(frozen=True)
class BrokerAccess:
    """The password of each account, the administrator's among them. Without any, the broker lets everybody in.

    Every account but the administrator's has no rights until ACLs give it some.
    """

    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    def properties(self) -> str:
        """The lines of the broker's properties file that protect both of its listeners."""
        if not self.passwords:
            return _OPEN
        accounts = {name: f'user_{name}="{password}"' for name, password in self.passwords.items()}
        return _GUARDED.format(
            protocol=PROTOCOL,
            mechanism=MECHANISM,
            login=_LOGIN,
            itself=f'username="{ADMIN}" password="{self.passwords[ADMIN]}"',
            accounts=" ".join(accounts.values()),
            administrator=accounts[ADMIN],
            admin=ADMIN,
        )

    def client(self, bootstrap: str, account: str) -> dict[str, str]:
        """What a client of the account needs, by the names of the files of connections."""
        settings = {"kafka_bootstrap": bootstrap}
        if self.passwords:
            settings |= {
                "kafka_security_protocol": PROTOCOL,
                "kafka_sasl_mechanism": MECHANISM,
                "kafka_username": account,
                "kafka_password": self.passwords[account],
            }
        return settings


def client_properties(settings: Mapping[str, str]) -> str:
    """Settings of ``BrokerAccess.client`` as a properties file of librdkafka, for the owner's own programs."""
    names = {
        "kafka_bootstrap": "bootstrap.servers",
        "kafka_security_protocol": "security.protocol",
        "kafka_sasl_mechanism": "sasl.mechanism",
        "kafka_username": "sasl.username",
        "kafka_password": "sasl.password",
    }
    return "".join(f"{names[field]}={value}\n" for field, value in settings.items())


def read_client_properties(file: Path) -> dict[str, str]:
    """The settings of librdkafka in a file that ``client_properties`` made."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())
