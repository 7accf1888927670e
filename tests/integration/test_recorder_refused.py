"""A broker that refuses authentication: the error gives that reason, where librdkafka alone reports a timeout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from confluent_kafka import KafkaException
from pydantic import SecretStr

from tapedeck_common.kafka import admin, is_transient
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_recorder.kafka.topic_ids import TopicInspector


@dataclass
class GuardedBroker(KafkaBroker):
    """A broker with a second listener that demands a password."""

    guarded_port: int = field(default_factory=free_port)

    def _properties(self) -> str:
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return (
            super()
            ._properties()
            .replace("\nlisteners=", f"\nlisteners=SASL://127.0.0.1:{self.guarded_port},")
            .replace("\nadvertised.listeners=", f"\nadvertised.listeners=SASL://127.0.0.1:{self.guarded_port},")
            .replace("protocol.map=", "protocol.map=SASL:SASL_PLAINTEXT,")
            + "sasl.enabled.mechanisms=PLAIN\n"
            + f'listener.name.sasl.plain.sasl.jaas.config={module} required user_alice="right";\n'
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    broker = GuardedBroker(tmp_path_factory.mktemp("guarded"), free_port())
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def of(broker: GuardedBroker, password: str) -> Connections:
    return Connections(
        kafka_bootstrap=f"127.0.0.1:{broker.guarded_port}",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_username="alice",
        kafka_password=SecretStr(password),
    )


def test_the_right_password_is_accepted(broker: GuardedBroker) -> None:
    assert TopicInspector(of(broker, "right")).cluster_id()


def test_a_refused_password_is_the_reason_given(broker: GuardedBroker) -> None:
    with pytest.raises(KafkaException, match="SASL authentication error") as refused:
        TopicInspector(of(broker, "wrong")).cluster_id()
    assert is_transient(refused.value)  # transient: the password may be corrected meanwhile


def test_a_failed_tls_handshake_is_the_reason_given() -> None:
    class PlainTextServer(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(b"no TLS here")

    with ThreadingTCPServer(("127.0.0.1", 0), PlainTextServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        connections = Connections(kafka_bootstrap=f"127.0.0.1:{port}", kafka_security_protocol="SSL")
        with pytest.raises(KafkaException, match="SSL handshake failed"):
            TopicInspector(connections).cluster_id()
        server.shutdown()


def test_creating_topics_gives_the_reason_for_a_refusal(broker: GuardedBroker) -> None:
    make = ensure_topics.__wrapped__  # type: ignore[attr-defined]  # without the retries
    with pytest.raises(KafkaException, match="SASL authentication error"):
        make(admin(of(broker, "wrong"), "test"), ["one"], 1)
