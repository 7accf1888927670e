"""The embedded deck that these tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from decks.process import Deck, clear, running_deck
from decks.stage import Stage, prepare


@pytest.fixture(scope="package")
def standing_deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def shared_deck(standing_deck: Deck) -> Iterator[Deck]:
    """A deck without resources and rows. Tests that stop one of its services start their own."""
    yield standing_deck
    clear(standing_deck)


@pytest.fixture(scope="module")
def stage(shared_deck: Deck) -> Stage:
    """The shared deck with the sample in its store."""
    return prepare(shared_deck)
