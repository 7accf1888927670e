"""A broker starts in a folder of any name, whether Kafka's storage tool formats it or the cached features do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck_deck.embedded import broker as embedded_broker
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port


@pytest.mark.parametrize("cached", [True, False])
def test_a_broker_starts_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    if not cached:
        monkeypatch.setattr(embedded_broker, "cache_dir", lambda: tmp_path / "cache")
    folder = tmp_path / "my deck, ä 市场 😀 # = : % \\ 'q'" / "kafka"
    broker = KafkaBroker(folder, free_port())
    broker.start()
    broker.stop()
    assert (folder / "data" / "meta.properties").exists()
    assert not [found.name for found in tmp_path.iterdir() if found.name not in (folder.parent.name, "cache")]
