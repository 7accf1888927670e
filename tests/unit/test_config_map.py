"""ConfigMaps on the embedded deck: stored and validated as by an API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapedeck_deck.cli import changes
from tapedeck_deck.cli.kinds import find_each, parse_kinds
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects

EXAMPLE = Path(__file__).parents[2] / "examples" / "more" / "own-strategy.yaml"
GOOD: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a.py": "x = 1"}}


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects.db")


def applied(objects: Objects, document: dict[str, Any], folder: Path) -> list[str]:
    return outcomes(objects, [documents.Document("here", folder, document)], "default")


def outcomes(objects: Objects, found: list[documents.Document], namespace: str) -> list[str]:
    return [line for _, line in changes.apply(objects, found, namespace)]


def test_the_example_is_stored_and_deleted(objects: Objects) -> None:
    found = documents.read([str(EXAMPLE)])
    assert outcomes(objects, found, "mine") == ["configmap/pullback created", "backtest/pullback created"]
    stored = objects.get("ConfigMap", "mine", "pullback")
    assert "class Pullback" in stored["data"]["pullback.py"]
    assert outcomes(objects, found, "mine") == ["configmap/pullback unchanged", "backtest/pullback unchanged"]
    assert parse_kinds("cm") == ("ConfigMap",)
    both, missing = find_each(objects, changes.delete_targets(found, "mine"))
    assert (len(changes.delete(objects, both)), missing) == (2, [])
    assert objects.list("ConfigMap") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"apiVersion": "v2"}, "apiVersion: got 'v2', expected 'v1'"),
        ({"metadata": {"name": "No"}}, "metadata.name: got 'No'"),
        ({"data": {"../a.py": "x"}}, "data.../a.py: got an invalid key"),
        ({"data": {"..": "x"}}, "data...: got an invalid key"),
        ({"data": {"a.py": 1}}, "data.a.py: got 1, expected text"),
        ({"data": ["a"]}, "data: got ['a']"),
        ({"data": {"a.py": "x" * 1_048_577}}, "data: got 1048577 bytes, expected at most 1048576"),
        ({"binaryData": {}}, "binaryData: unknown field"),
    ],
)
def test_invalid_config_maps_are_rejected(
    objects: Objects, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeckError) as rejected:
        applied(objects, GOOD | change, tmp_path)
    assert message in str(rejected.value)
    assert objects.list("ConfigMap") == []
