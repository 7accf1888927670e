"""The command line with a running deck: up, status, get, logs, migrate, down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from decks.process import leftovers
from harness.lifetime import without_settings
from tapedeck_deck.embedded import deck
from tapedeck_deck.embedded.state_dir import StateDir

ORIGIN = "http://localhost:5173"


def _tapedeck(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from tapedeck_deck.cli import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
        env=without_settings(os.environ) | environment,
    )


@pytest.mark.slow
def test_a_deck_from_up_to_down(tmp_path: Path) -> None:
    home = StateDir.at(tmp_path / ".tapedeck")
    temporary = Path(tempfile.mkdtemp(prefix="td-"))
    temporary.chmod(0o755)
    try:
        up = _tapedeck(tmp_path, "up", "--timeout", "600", "--origin", ORIGIN, TMPDIR=str(temporary))
        assert up.returncode == 0, up.stderr
        assert "next: `tapedeck apply" in up.stderr
        page = up.stdout.split()[-1]
        assert httpx.get(f"{page}healthz", trust_env=False, timeout=60).status_code == httpx.codes.OK
        for origin, expected in ((ORIGIN, httpx.codes.OK), ("http://localhost:3000", httpx.codes.FORBIDDEN)):
            answer = httpx.get(f"{page}api/runs", trust_env=False, timeout=60, headers={"origin": origin})
            assert answer.status_code == expected
        assert _tapedeck(tmp_path, "up").stdout == f"the deck is already running: {page}\n"

        state = json.loads(_tapedeck(tmp_path, "status", "-o", "json").stdout)
        assert (state["running"], state["gateway"]) == (True, page)
        assert state["parts"] == {"page": "ok", "broker": "ok", "database": "ok", "recorder": "ok"}
        status = _tapedeck(tmp_path, "status")
        assert (status.returncode, status.stderr) == (0, "")
        assert page in status.stdout

        pods = _tapedeck(tmp_path, "get", "pods")
        assert {line.split("-")[0] for line in pods.stdout.splitlines()[1:]} == {"recorder", "gateway"}
        assert pods.stderr == ""
        assert _tapedeck(tmp_path, "logs", "recorder").returncode == 0
        assert '"ready"' in _tapedeck(tmp_path, "logs", "deck").stdout

        again = _tapedeck(tmp_path, "migrate")
        assert again.returncode == 0, again.stderr

        down = _tapedeck(tmp_path, "down")
        assert (down.returncode, down.stdout) == (0, f"the deck is stopped; its data is kept in {home.root}\n")
        assert list(temporary.iterdir()) == []
        assert _tapedeck(tmp_path, "down").stdout == f"no deck is running in {home.root}\n"
        assert _tapedeck(tmp_path, "status").returncode == 1
    finally:
        deck.stop(home)
        shutil.rmtree(temporary)
    assert leftovers(home) == []
