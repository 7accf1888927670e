"""Other projects that the benchmark compares with, in an environment of their own that is never shipped."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path
from typing import Any

from tapedeck_deck.embedded.download_cache import cache_dir

PINNED = Path(__file__).with_name("backtest_peers.txt")
INSTALL_SECONDS, RUN_SECONDS = 300, 600


def peers() -> Path:
    """The Python of that environment, created on first use and again when the pinned versions change."""
    version = ".".join(map(str, sys.version_info[:2]))
    home = cache_dir() / f"bench-{version}-{sha256(PINNED.read_bytes()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", PINNED],
            check=True, timeout=INSTALL_SECONDS,
        )  # fmt: skip
        (home / "ready").touch()
    return python


def run_process(module: str, *arguments: str, python: Path = Path(sys.executable)) -> dict[str, Any]:
    """Run a module of this folder in a new process. Returns the JSON that it prints. Raises RuntimeError."""
    done = subprocess.run(
        [python, "-m", f"bench.{module}", *arguments],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=RUN_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
