"""What every request may use."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from tapedeck_gateway.options import Options
from tapedeck_gateway.push.subscription_hub import Hub
from tapedeck_gateway.store.bars import Pool
from tapedeck_gateway.topics.replay_list import Replays
from tapedeck_gateway.topics.topic_reader import Tail


@dataclass
class Deck:
    """The gateway's parts while it runs."""

    options: Options
    pool: Pool
    tail: Tail
    hub: Hub
    replays: Replays
    sockets: int = 0


def deck_of(connection: HTTPConnection) -> Deck:
    """The running gateway that a request came to."""
    deck = connection.app.state.deck
    if not isinstance(deck, Deck):
        raise TypeError(f"expected a Deck in the application's state, got {deck!r}")
    return deck
