"""No process of a deck has what the environment of the shell holds beside what the deck needs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from decks.process import eventually, leftovers, running_deck
from tapedeck_deck.embedded import deck
from tapedeck_deck.embedded.state_dir import StateDir

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-shell",
    "HTTPS_PROXY": "http://user:secret-of-the-shell@127.0.0.1:9",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret-of-the-shell",
}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_no_process_of_a_deck_has_a_secret_of_the_shell(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as (_, facts, _):
        daemon = psutil.Process(facts["pid"])
        found = holders(daemon, *daemon.children(recursive=True))
    assert found == []


def test_no_process_that_a_deck_in_the_foreground_started_has_a_secret_of_the_shell(tmp_path: Path) -> None:
    home = StateDir.at(tmp_path / "home")
    command = [sys.executable, "-m", "tapedeck_deck.embedded", str(home.root), "0"]
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"TZ": "UTC"})
    try:
        eventually(lambda: bool(home.running()) or daemon.poll() is not None, timeout=120)
        assert daemon.poll() is None, (tmp_path / "log").read_text()
        children = psutil.Process(daemon.pid).children(recursive=True)
        assert len(children) >= 4
        assert holders(*children) == []
    finally:
        deck.stop(home)
        assert daemon.wait(60) == 0
    assert not leftovers(home)


def holders(*processes: psutil.Process) -> list[str]:
    """The processes that were started with a secret."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a backend of the database ends with its connection
            if "secret-of-the-shell" in " ".join(process.environ().values()):
                found.append(" ".join(process.cmdline())[:100])
    return found
