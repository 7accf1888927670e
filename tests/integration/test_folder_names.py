"""Broker and database start in a folder of any name, and their clients reach them."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tapedeck_deck.embedded import broker as embedded_broker
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import Postgres

NAME = "my deck, ä 市场 😀 # = : % \\ 'q'"


@pytest.mark.parametrize("name", [NAME, "long" * 25])
def test_a_database_is_reached_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    """Also by those who knew it before it crashed."""
    (tmp_path / name).mkdir()
    database = Postgres(tmp_path / name / "postgres")
    database.start()
    dsn, sockets = database.dsn(), database.sockets
    try:
        psycopg.connect(dsn).close()
        database.kill()
        database.start()
        psycopg.connect(dsn).close()
    finally:
        database.stop()
    assert database.folder.exists()
    assert not sockets.exists()


@pytest.mark.parametrize("cached", [True, False])
def test_a_broker_starts_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    if not cached:
        monkeypatch.setattr(embedded_broker, "cache_dir", lambda: tmp_path / "cache")
    folder = tmp_path / NAME / "kafka"
    broker = KafkaBroker(folder, free_port())
    broker.start()
    broker.stop()
    assert (folder / "data" / "meta.properties").exists()
    assert not [found.name for found in tmp_path.iterdir() if found.name not in (folder.parent.name, "cache")]
