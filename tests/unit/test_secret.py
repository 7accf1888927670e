"""Secrets on the embedded deck: stored and validated as by an API server, with no value in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects

EXAMPLE = Path(__file__).parents[2] / "examples" / "more" / "cryptocompare.yaml"
GOOD: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, "stringData": {"apiKey": "x"}}


def test_text_is_stored_as_base64(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects.db")
    found = documents.read([str(EXAMPLE)])
    lines = [line for _, line in changes.apply(objects, found, "mine")]
    assert lines == ["secret/cryptocompare created", "feed/cryptocompare created"]
    assert objects.get("Secret", "mine", "cryptocompare")["data"] == {"apiKey": "eW91ci1rZXk="}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"name": "No"}}, "metadata.name: got 'No'"),
        ({"metadata": {"name": "tapedeck-connections"}}, "which the deck creates"),
        ({"data": {"apiKey": "hush!"}}, "data.apiKey: expected base64"),
        ({"stringData": {"apiKey": 7331}}, "expected a mapping of file names to text"),
        ({"stringData": {"../a": "hush!"}}, "data.../a: got an invalid key"),
        ({"secrets": "hush!"}, "secrets: unknown field"),
    ],
)
def test_invalid_secrets_are_rejected(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    objects = Objects(tmp_path / "objects.db")
    with pytest.raises(DeckError) as rejected:
        changes.apply(objects, [documents.Document("here", tmp_path, GOOD | change)], "default")
    assert message in str(rejected.value)
    assert "hush!" not in str(rejected.value) and "7331" not in str(rejected.value)
    assert objects.list("Secret") == []
