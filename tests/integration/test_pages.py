"""The pages for newcomers, run as a reader does: each in a fresh folder, command by command, on a deck of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages.run import FRESH, TOUR, run_pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SECONDS = 600  # a reader's patience: ten minutes


@pytest.mark.parametrize("name", FRESH)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    result = run_pages([ROOT / name], tmp_path)
    assert result.code == 0, result.output[-4000:]
    assert result.seconds < SECONDS
    assert "Traceback" not in result.output


def test_readme_and_guides_can_be_followed_on_one_deck(tmp_path: Path) -> None:
    result = run_pages([ROOT / name for name in TOUR], tmp_path)
    assert result.code == 0, result.output[-4000:]
    assert "Traceback" not in result.output
