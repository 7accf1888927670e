"""The prose keeps its promises: links lead somewhere, and whole resources in it are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tapedeck_crds.parse import parse_resource

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
README_LINES = 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [to for to in targets if not to.startswith(("http://", "https://")) and not (page.parent / to).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_whole_resources_in_pages_are_valid(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        document = yaml.safe_load(block)
        if "apiVersion" in document:
            parse_resource(document)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_in_prose_exist(name: str) -> None:
    roots = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
    paths = re.findall(rf"`((?:{roots})/[\w./-]+)`", (ROOT / name).read_text())
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []
