"""``python -m pages.run PAGE…``: run the pages as a reader does, each in a fresh folder, and time them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pages.blocks import script

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 540.0


@dataclass(frozen=True)
class PageRun:
    """How a page went. ``output`` has its commands and what they printed."""

    code: int
    seconds: float
    output: str


def run_page(page: Path, folder: Path) -> PageRun:
    """Run a page in a folder that has what a clone has: the examples and the environment. Its deck is stopped."""
    (folder / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(ROOT / "examples", folder / "examples")
    files, text = script(page)
    for name, content in files.items():
        (folder / name).write_text(content)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK_")}
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}:{environment['PATH']}"
    began = time.monotonic()
    try:
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    finally:
        stop = [sys.executable, "-c", "from tapedeck_deck.cli import main; main()", "down"]
        subprocess.run(stop, cwd=folder, env=environment, capture_output=True, timeout=120)
    return PageRun(done.returncode, time.monotonic() - began, done.stdout)


def main() -> int:
    failed = 0
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory(prefix="tapedeck-page-") as folder:
            result = run_page(Path(name).resolve(), Path(folder))
        print(f"{name}: exit {result.code} after {result.seconds:.0f} s")
        if result.code:
            failed = 1
            print(result.output[-4000:])
    return failed


if __name__ == "__main__":
    sys.exit(main())
