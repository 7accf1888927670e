"""A broker with SASL_SSL and ACLs and a database with TLS: runs succeed, and wrong connections are reported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from decks.runs import ended, example, replay, trades
from kube.operator import Things
from release import BUNDLED, Deck
from secured.services import Authority

pytestmark = pytest.mark.skipif(BUNDLED, reason="needs the services of tests/e2e/images")


def test_the_examples_run_over_tls_with_users_of_minimal_rights(secured: Deck) -> None:
    things = secured.things()
    played, streamed = example(things, "replay"), example(things, "backtest")
    ended(things, played)
    status = ended(things, streamed)
    things.until(lambda: len(trades(secured, status["runId"])) == status["trades"] > 0, 30)
    assert secured.sql(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_port > 0"
    ) == [["t"]]


def test_wrong_connections_are_reported(secured: Deck, elsewhere: Callable[[], Things], tmp_path: Path) -> None:
    other = Authority(tmp_path).certificate
    host = f"timescaledb.{secured.services}.svc"
    wrong = {
        "broker's authority": ({"replay.kafka_ca": other}, ("certificate",)),
        "broker's password": ({"replay.kafka_password": "wrong"}, ("authentication", "sasl")),
        "database's authority": ({"replay.store_ca": other}, ("certificate",)),
        "database's password": (
            {"replay.store_dsn": f"postgresql://tapedeck_reader:wrong@{host}:5432/tapedeck?sslmode=require"},
            ("password authentication failed",),
        ),
    }
    made = {}
    for what, (changed, words) in wrong.items():
        things = elsewhere()
        secured.connections_for(things, **changed)
        made[what] = things, replay(things, "x", speed=1.0), words
    for what, (things, run, words) in made.items():
        status = things.status(run, partial(names, words), seconds=120)
        assert status["conditions"][0]["status"] == "False", what


def names(words: tuple[str, ...], status: dict[str, Any]) -> bool:
    """Whether the message of the first condition contains one of the words."""
    message = status["conditions"][0]["message"].lower()
    return any(word in message for word in words)
