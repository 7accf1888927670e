"""ConfigMaps on the embedded deck: kept as a cluster would, refused where it would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapedeck_deck.cli import write
from tapedeck_deck.cli.kinds import kinds_named
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects

EXAMPLE = Path(__file__).parents[2] / "examples" / "more" / "own-strategy.yaml"
GOOD: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a.py": "x = 1"}}


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects.db")


def applied(objects: Objects, document: dict[str, Any], folder: Path) -> list[str]:
    return write.apply(objects, [documents.Document("here", folder, document)], "default")


def test_the_example_is_kept_and_deleted(objects: Objects) -> None:
    found = documents.read([str(EXAMPLE)])
    assert write.apply(objects, found, "mine") == ["configmap/pullback created", "backtest/pullback created"]
    kept = objects.get("ConfigMap", "mine", "pullback")
    assert "class Pullback" in kept["data"]["pullback.py"]
    assert write.apply(objects, found, "mine") == ["configmap/pullback unchanged", "backtest/pullback unchanged"]
    assert kinds_named("cm") == ("ConfigMap",)
    assert len(write.delete(objects, write.targets_of(found, "mine"))) == 2
    assert objects.list("ConfigMap") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"apiVersion": "v2"}, "apiVersion: got 'v2', expected 'v1'"),
        ({"metadata": {"name": "No"}}, "metadata.name: got 'No'"),
        ({"data": {"../a.py": "x"}}, "data.../a.py: got a name"),
        ({"data": {"..": "x"}}, "data...: got a name"),
        ({"data": {"a.py": 1}}, "data.a.py: got 1, expected text"),
        ({"data": ["a"]}, "data: got ['a']"),
        ({"data": {"a.py": "x" * 1_048_577}}, "data: got 1048577 bytes, expected at most 1048576"),
        ({"binaryData": {}}, "binaryData: unknown field"),
    ],
)
def test_what_a_cluster_would_refuse(objects: Objects, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(DeckError) as refused:
        applied(objects, GOOD | change, tmp_path)
    assert says in str(refused.value)
    assert objects.list("ConfigMap") == []
