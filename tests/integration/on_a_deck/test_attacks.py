"""A share of the hostile inputs of ``make attack``, other ones in each run."""

from __future__ import annotations

import random

import pytest

from attack import child
from attack.on_a_deck import ON_A_DECK, attack_deck
from decks.process import Deck

COUNTS = {"resources": 300, "yaml": 150, "files": 150, "command-line": 60}
pytestmark = pytest.mark.slow


@pytest.fixture
def seed() -> int:
    return random.SystemRandom().randrange(1, 10**9)


@pytest.mark.parametrize("name", COUNTS)
def test_nothing_gets_through_to_the_code(name: str, seed: int) -> None:
    outcome = child.run(name, seed, COUNTS[name])
    assert outcome.through == [], f"seed {seed}"
    assert outcome.tried >= COUNTS[name]


@pytest.mark.parametrize("name", ON_A_DECK)
def test_nothing_gets_through_to_a_deck(shared_deck: Deck, name: str, seed: int) -> None:
    outcome = attack_deck(shared_deck, name, seed, 100)
    assert outcome.through == [], f"seed {seed}"
    assert outcome.tried >= 100
