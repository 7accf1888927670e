"""Secrets on the embedded deck: kept as a cluster would, refused where it would, their values in no message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapedeck_deck.cli import write
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects

EXAMPLE = Path(__file__).parents[2] / "examples" / "more" / "cryptocompare.yaml"
GOOD: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, "stringData": {"apiKey": "x"}}


def test_text_is_kept_as_a_cluster_keeps_it(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects.db")
    found = documents.read([str(EXAMPLE)])
    assert write.apply(objects, found, "mine") == ["secret/cryptocompare created", "feed/cryptocompare created"]
    assert objects.get("Secret", "mine", "cryptocompare")["data"] == {"apiKey": "eW91ci1rZXk="}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metadata": {"name": "No"}}, "metadata.name: got 'No'"),
        ({"metadata": {"name": "tapedeck-connections"}}, "which the deck makes itself"),
        ({"data": {"apiKey": "hush!"}}, "data.apiKey: expected base64"),
        ({"stringData": {"apiKey": 7331}}, "expected a text for each name"),
        ({"stringData": {"../a": "hush!"}}, "data.../a: got a name"),
        ({"secrets": "hush!"}, "secrets: unknown field"),
    ],
)
def test_what_a_cluster_would_refuse(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    objects = Objects(tmp_path / "objects.db")
    with pytest.raises(DeckError) as refused:
        write.apply(objects, [documents.Document("here", tmp_path, GOOD | change)], "default")
    assert says in str(refused.value)
    assert "hush!" not in str(refused.value) and "7331" not in str(refused.value)
    assert objects.list("Secret") == []
