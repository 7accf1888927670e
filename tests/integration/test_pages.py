"""The pages for newcomers, run as a reader does: each in a fresh folder, command by command, on a deck of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages.run import run_page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/start/embedded.md", "docs/start/invented-market.md", "docs/start/your-csv.md", "docs/start/your-strategy.md",
    "docs/start/your-chart.md", "docs/start/notebook.md", "docs/operate/uninstall.md",
)  # fmt: skip
SECONDS = 600  # a reader's patience: ten minutes


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    result = run_page(ROOT / name, tmp_path)
    assert result.code == 0, result.output[-4000:]
    assert result.seconds < SECONDS
    assert "Traceback" not in result.output
