"""The files that GitHub and pre-commit read: they parse, and what they call exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pods.browser import SHOTS
from tapedeck_common.store.schema_version import MIGRATIONS, OLDEST_PROGRAM

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
DOCUMENTS = sorted(
    [ROOT / name for name in (".pre-commit-config.yaml", ".github/dependabot.yml")]
    + list((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    + WORKFLOWS
)


def test_migrations_form_one_line() -> None:
    """Two changes that add the same number would leave the store with two heads."""
    folder = ROOT / "workloads/common/tapedeck_common/store/migrations/versions"
    texts = [path.read_text() for path in sorted(folder.glob("0*.py"))]
    numbers = [re.findall(r'^(?:down_)?revision = "?([0-9]{4}|None)"?$', text, re.MULTILINE) for text in texts]
    assert numbers == [[f"{n:04}", f"{n - 1:04}" if n > 1 else "None"] for n in range(1, len(texts) + 1)]


def test_migrations_that_earlier_pods_survive_only_add() -> None:
    """One that removes or changes something raises OLDEST_PROGRAM to its own number."""
    changes = r"\b(DROP|RENAME|ALTER COLUMN|SET NOT NULL|TYPE|PRIMARY KEY|DELETE|UPDATE)\b"
    compulsory = r"\bADD (?:COLUMN )?\w+ \w+ NOT NULL(?! DEFAULT)"
    upgrades = {
        path.name: re.sub(r"CREATE TABLE.*?\n\)", "", path.read_text().partition("def downgrade")[0], flags=re.DOTALL)
        for path in (MIGRATIONS / "versions").glob("0*.py")
    }
    changing = {name[:4] for name, text in upgrades.items() if re.search(f"{changes}|{compulsory}", text)}
    assert "0009" in changing  # another primary key
    assert [name for name in sorted(changing) if name > OLDEST_PROGRAM] == []
    assert OLDEST_PROGRAM in {name[:4] for name in upgrades}


def load(path: Path) -> Any:
    # YAML 1.1 reads the key `on` as true.
    return yaml.load(path.read_text(), yaml.BaseLoader)


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in load(workflow)["jobs"].values():
        yield from job.get("steps", ())  # a job may be another workflow


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_document_is_a_mapping_of_valid_yaml(path: Path) -> None:
    assert isinstance(load(path), dict)


def test_the_workflows_are_those_that_a_change_needs() -> None:
    assert {path.stem for path in WORKFLOWS} == {"test", "lint", "images", "chart", "audit", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_make_targets_that_exist(path: Path) -> None:
    content = load(path)
    assert {"push", "pull_request"} <= set(content["on"])
    assert content["permissions"] == {"contents": "read"}
    own = [job for job in content["jobs"].values() if "uses" not in job]  # others are another workflow
    assert all("timeout-minutes" in job and "runs-on" in job for job in own)
    called = [name for step in steps(path) for name in re.findall(r"^make ([a-z0-9-]+)", step.get("run", ""), re.M)]
    assert called, "it calls no make target"
    assert set(called) <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_their_major_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name)] == []


def test_the_workflow_of_the_tests_keeps_the_pictures_of_the_page() -> None:
    test = next(path for path in WORKFLOWS if path.stem == "test")
    kept = [step["with"]["path"] for step in steps(test) if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert [ROOT / path for path in kept] == [SHOTS]
    assert {"always()"} == {step["if"] for step in steps(test) if "upload-artifact" in step.get("uses", "")}


def test_prose_calls_make_targets_that_exist() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / ".github/pull_request_template.md"]
    named = {
        (path.name, target) for path in documents for target in re.findall(r"`make ([a-z0-9-]+)", path.read_text())
    }
    assert [pair for pair in sorted(named) if pair[1] not in TARGETS] == []


def test_every_target_is_phony_and_explained() -> None:
    phony = set(re.search(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]
    assert phony == TARGETS
    assert {name for name in TARGETS if not re.search(rf"^{name}:.*## ", MAKEFILE, re.MULTILINE)} == set()


def test_hooks_come_from_the_virtual_environment_alone() -> None:
    development = (ROOT / "requirements/dev.txt").read_text()
    for repository in load(ROOT / ".pre-commit-config.yaml")["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            program = hook["entry"].split()[0]
            assert program.startswith(".venv/bin/")
            package = {"lint-imports": "import-linter", "python": ""}.get(Path(program).name, Path(program).name)
            assert f"{package}==" in development or not package


def test_dependabot_looks_where_there_is_something() -> None:
    where = {
        (update["package-ecosystem"], folder)
        for update in load(ROOT / ".github/dependabot.yml")["updates"]
        for folder in update.get("directories", [update.get("directory")])
    }
    files = {"pip": "pyproject.toml", "npm": "package-lock.json", "docker": "Dockerfile", "github-actions": ".github"}
    assert {kind for kind, _ in where} == set(files)
    assert [folder for kind, folder in where if not (ROOT / folder.lstrip("/") / files[kind]).exists()] == []


def test_the_changelog_keeps_its_format() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (.*)", text, re.MULTILINE)[0] == "[Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)", text, re.MULTILINE)) <= kinds
