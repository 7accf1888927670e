"""The pytest plugin: the fixture ``embedded_deck``.

It is loaded by its entry point wherever the client is installed, so it imports the client when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tapedeck.client import TapedeckClient


@pytest.fixture(scope="session")
def embedded_deck() -> Iterator[TapedeckClient]:
    """The client of a private embedded deck, which the tests of one run share; it starts at the first use."""
    from tapedeck.embedded import deck

    with deck() as td:
        yield td
