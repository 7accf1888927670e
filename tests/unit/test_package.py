"""What the package says of itself, beside what is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

from tapedeck_common.version import VERSION

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_the_chart_runs_this_version() -> None:
    assert yaml.safe_load((ROOT / "charts/tapedeck/Chart.yaml").read_text())["appVersion"] == VERSION


def test_every_folder_of_code_is_packaged() -> None:
    found = set()
    for name, folder in SETUPTOOLS["package-dir"].items():
        for module in (ROOT / folder).rglob("*.py"):
            found.add(".".join([name, *module.parent.relative_to(ROOT / folder).parts]))
    assert sorted(found) == sorted(SETUPTOOLS["packages"])
