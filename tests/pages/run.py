"""``python -m pages.run PAGE…``: run the pages as a reader does, each in a fresh folder, and time them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.wheel_environment import user_variables, wheel_environment
from pages.blocks import script

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 540.0
FRESH = (
    "docs/start/embedded.md", "docs/start/invented-market.md", "docs/start/your-csv.md", "docs/start/your-strategy.md",
    "docs/start/your-chart.md", "docs/start/notebook.md", "docs/operate/uninstall.md",
)  # fmt: skip
"""Pages that a reader begins in a fresh folder."""
TOUR = (
    "README.md", "docs/guides/control-api.md", "docs/guides/rest-api.md", "docs/operate/observe.md",
    "docs/troubleshooting.md", "docs/guides/stored-data.md", "docs/operate/backup.md",
)  # fmt: skip
"""Pages that a reader follows one after another on the deck of the first; each begins while the deck runs."""


@dataclass(frozen=True)
class PageRun:
    """How a page went. ``output`` has its commands and what they printed."""

    code: int
    seconds: float
    output: str


def run_pages(pages: Sequence[Path], folder: Path) -> PageRun:
    """Run pages in one folder that has the examples and what a user installs. Its deck is stopped."""
    environment = wheel_environment()
    (folder / ".venv").symlink_to(environment)
    shutil.copytree(ROOT / "examples", folder / "examples")
    scripts = []
    for page in pages:
        files, text = script(page)
        scripts.append(text)
        for name, content in files.items():
            (folder / name).write_text(content)
    variables = user_variables(environment)
    began = time.monotonic()
    try:
        done = subprocess.run(
            ["bash", "-c", "tapedeck up\n".join(scripts)],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    finally:
        stop = [str(environment / "bin" / "tapedeck"), "down"]
        subprocess.run(stop, cwd=folder, env=variables, capture_output=True, timeout=120)
    return PageRun(done.returncode, time.monotonic() - began, done.stdout)


def main() -> int:
    failed = 0
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory(prefix="tapedeck-page-") as folder:
            result = run_pages([Path(name).resolve()], Path(folder))
        print(f"{name}: exit {result.code} after {result.seconds:.0f} s")
        if result.code:
            failed = 1
            print(result.output[-4000:])
    return failed


if __name__ == "__main__":
    sys.exit(main())
