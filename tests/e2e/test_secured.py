"""A broker that wants SASL_SSL and ACLs, a database that wants TLS: what runs there, and what says why it does not."""

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


def test_the_examples_run_over_tls_with_users_of_few_rights(secured: Deck) -> None:
    things = secured.things()
    played, streamed = example(things, "replay"), example(things, "backtest")
    ended(things, played)
    told = ended(things, streamed)
    things.until(lambda: len(trades(secured, told["runId"])) == told["trades"] > 0, 30)
    assert secured.sql(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_port > 0"
    ) == [["t"]]


def test_a_wrong_authority_or_password_is_told(secured: Deck, elsewhere: Callable[[], Things], tmp_path: Path) -> None:
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
        told = things.status(run, partial(says, words), seconds=120)
        assert told["conditions"][0]["status"] == "False", what


def says(words: tuple[str, ...], status: dict[str, Any]) -> bool:
    """Whether the first condition's message has one of the words."""
    message = status["conditions"][0]["message"].lower()
    return any(word in message for word in words)
