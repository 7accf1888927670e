"""The embedded broker is stopped and started again, as by `tapedeck down` and `tapedeck up`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck_deck.embedded import broker as embedded_broker
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port

LIFECYCLE = "    Logger: {name: kafka.server.BrokerLifecycleManager, level: info}\n"
REGISTERED, REFUSED = "Successfully registered broker", "DUPLICATE_BROKER_REGISTRATION"


def test_a_broker_that_was_stopped_is_registered_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller refuses a broker as long as the session of an earlier one may last, unless that one left."""
    monkeypatch.setattr(embedded_broker, "_LOG4J2", embedded_broker._LOG4J2 + LIFECYCLE)
    broker = KafkaBroker(tmp_path / "kafka", free_port())
    try:
        broker.start()
        broker.stop()
        broker.start()
    finally:
        broker.stop()
    log = broker.log.read_text()
    assert REGISTERED in log
    assert REFUSED not in log
