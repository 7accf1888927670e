"""The command `tapedeck` in a temporary folder, and the working folder of foreign code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from decks.command import Run, manifest
from tapedeck_common.sandbox.scratch import ScratchFolder
from tapedeck_deck.cli.app import app
from tapedeck_deck.embedded.objects import Objects


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a temporary folder, with its state in .tapedeck there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEDECK_HOME", raising=False)
    monkeypatch.delenv("TAPEDECK_CONNECTIONS", raising=False)

    def call(*words: str, text: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=text, prog_name="tapedeck")

    return call


@pytest.fixture
def objects(run: Run, tmp_path: Path) -> Objects:
    """The objects of a deck with one Replay."""
    assert run("apply", "-f", "-", text=manifest()).exit_code == 0
    return Objects(tmp_path / ".tapedeck" / "objects.db")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The working folder of foreign code, deleted afterwards."""
    made = ScratchFolder()
    yield made.path
    made.close()
    assert not made.path.exists()
