"""A release is refused until version, chart and changelog agree; its workflow publishes what these tests describe."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from release_steps import CHANGELOG, CHART, NPM_PACKAGES, VERSION_FILE, problems

ROOT = Path(__file__).parents[2]


def _tree(root: Path, version: str, chart: str, heading: str) -> None:
    for path, text in (
        (VERSION_FILE, f'"""Doc."""\n\nVERSION = "{version}"\n'),
        (CHART, f"name: tapedeck\nversion: {chart}\nappVersion: {chart}\n"),
        *((path, json.dumps({"version": chart})) for path in NPM_PACKAGES),
        (CHANGELOG, f"# Changelog\n\n## [{heading}] - 2026-12-01\n"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_a_release_that_is_ready_has_no_problem(tmp_path: Path) -> None:
    _tree(tmp_path, "1.2.3", "1.2.3", "1.2.3")
    assert [*problems("1.2.3", tmp_path)] == []
    assert [*problems("1.2.3", tmp_path, " M x\n")] == ["git: expected no changed files"]


def test_each_place_of_the_version_is_compared(tmp_path: Path) -> None:
    _tree(tmp_path, "1.2.2", "1.2.4", "Unreleased")
    assert len([*problems("1.2.3", tmp_path)]) == 6
    assert [*problems("1.2", tmp_path)] == ["VERSION: got '1.2', expected X.Y.Z"]


def workflow() -> Any:
    return yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())


def test_the_workflow_publishes_for_a_tag_alone() -> None:
    found = workflow()
    assert found["env"]["PUBLISH"] == "${{ startsWith(github.ref, 'refs/tags/v') }}"
    guarded = ("publish", "push", "login", "sign", "setup-node", "imagetools", "gh release")
    for step in (step for job in found["jobs"].values() for step in job.get("steps", ())):
        does = f"{step.get('uses', '')} {step.get('run', '')}"
        if any(word in does for word in guarded) and "build-push-action" not in does:
            assert step.get("if") == "env.PUBLISH == 'true'", does
        if "build-push-action" in does:
            assert step["with"]["push"] == "${{ env.PUBLISH }}"


def test_nothing_is_published_before_the_tests_have_passed() -> None:
    jobs = workflow()["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert "workflow_call" in yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())[True]  # YAML 1.1's `on`
    for name in ("packages", "images", "chart"):
        assert (jobs[name]["needs"], jobs[name]["if"]) == (["ready", "test"], "${{ !cancelled() && !failure() }}")
    assert set(jobs["release"]["needs"]) == {"ready", "packages", "images", "chart"}


def test_images_are_published_where_the_chart_looks_for_them() -> None:
    found = workflow()
    values = yaml.safe_load((ROOT / "charts/tapedeck/values.yaml").read_text())
    assert found["env"]["REGISTRY"] == values["images"]["registry"]
    (build,) = (step for step in found["jobs"]["images"]["steps"] if step.get("id") == "build")
    # The chart's tag is its appVersion, without the tag's v.
    assert build["with"]["tags"] == "${{ env.REGISTRY }}/${{ matrix.image }}:${{ needs.ready.outputs.version }}"
    (version,) = (step for step in found["jobs"]["ready"]["steps"] if step.get("id") == "version")
    for ref, published, expected in (("v1.2.3", "true", "1.2.3"), ("12/merge", "false", "dev")):
        output = subprocess.run(
            ["bash", "-ec", version["run"].replace('"$GITHUB_OUTPUT"', "/dev/stdout")],
            env={"GITHUB_REF_NAME": ref, "PUBLISH": published},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert output == f"version={expected}\n"


def test_each_image_says_what_it_is_and_its_licences() -> None:
    images = workflow()["jobs"]["images"]["strategy"]["matrix"]["image"]
    text = (ROOT / "workloads/Dockerfile").read_text() + (ROOT / "operator/Dockerfile").read_text()
    assert sorted(re.findall(r'image\.title="tapedeck-(\w+)"', text)) == sorted(images)
    assert text.count("image.description=") == len(images)
    assert "licenses" not in (ROOT / ".github/workflows/release.yml").read_text()  # it would hide that of Backtrader


def test_npm_knows_the_repository_that_publishes() -> None:
    package = json.loads((ROOT / "client/js/package.json").read_text())
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert package["repository"]["url"] == f"git+{urls['Source']}.git"


@pytest.mark.parametrize("page", ["deck/README.md", "client/README.md", "client/js/README.md"])
def test_pages_of_packages_have_whole_links(page: str) -> None:
    text = (ROOT / page).read_text()
    assert [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")] == []
    source = "https://github.com/tapedeck/tapedeck/blob/main/"
    linked = [link.removeprefix(source) for link in re.findall(r"\]\(([^)#]+)", text) if link.startswith(source)]
    assert [path for path in linked if not (ROOT / path).exists()] == []
