"""README's first command in a clone that holds what git does, with nothing installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.lifetime import without_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]


def test_the_demo_runs_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=120)
    variables = without_settings(os.environ, "PYTHON", "MAKE")
    variables.pop("VIRTUAL_ENV", None)
    done = subprocess.run(["make", "demo"], cwd=clone, env=variables, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1] == (
        "demo: bars_in=13886 bars_stored=13886 replayed=13886 trades=84 final_value=8133.79 lost=0 doubled=0"
    )
