"""The command line as a function call and as a process, and a manifest to give it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]
REPLAY = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Replay
metadata: {name: NAME}
spec:
  source: {store: {exchange: coinbase, symbols: [BTC/USD], from: 2018-04-04T00:00:00Z}}
  speed: 60
"""
NOT_RUNNING = "the deck is not running: `tapedeck up` starts it\n"


def manifest(name: str = "tape") -> str:
    return REPLAY.replace("NAME", name)


def spawn(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from tapedeck_deck.cli import main; main()", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
