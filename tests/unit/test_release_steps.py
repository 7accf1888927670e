"""A release is refused until version, chart and changelog agree; its workflow publishes for a tag alone."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from release_steps import CHANGELOG, CHART, NPM_PACKAGE, VERSION_FILE, problems

ROOT = Path(__file__).parents[2]


def _tree(root: Path, version: str, chart: str, heading: str) -> None:
    for path, text in (
        (VERSION_FILE, f'"""Doc."""\n\nVERSION = "{version}"\n'),
        (CHART, f"name: tapedeck\nversion: {chart}\nappVersion: {chart}\n"),
        (NPM_PACKAGE, json.dumps({"version": chart})),
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
    assert len([*problems("1.2.3", tmp_path)]) == 5
    assert [*problems("1.2", tmp_path)] == ["VERSION: got '1.2', expected X.Y.Z"]


def test_the_workflow_publishes_for_a_tag_alone() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert workflow["env"]["PUBLISH"] == "${{ startsWith(github.ref, 'refs/tags/v') }}"
    guarded = ("publish", "push", "login", "sign", "setup-node", "imagetools")
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            does = f"{step.get('uses', '')} {step.get('run', '')}"
            if any(word in does for word in guarded) and "build-push-action" not in does:
                assert step.get("if") == "env.PUBLISH == 'true'", does
            if "build-push-action" in does:
                assert step["with"]["push"] == "${{ env.PUBLISH }}"
