"""`tapedeck new`: what it writes is valid as it is, and stays what it is without the marks of its defaults."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from decks.command import Run
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli.new_files.starters import WHAT, new_files


def _documents(text: str) -> list[dict[str, object]]:
    return [*yaml.safe_load_all(text)]


@pytest.mark.parametrize("what", WHAT)
def test_a_new_file_is_valid_and_its_defaults_are_those_of_the_types(what: str) -> None:
    text = new_files(what, None)[f"my-{what}.yaml"]
    said = [parse_resource(document) for document in _documents(text)]
    uncommented = re.sub(r"(?m)^( *)#(?=[A-Za-z])", r"\1", text)
    assert uncommented != text
    assert [parse_resource(document) for document in _documents(uncommented)] == said


@pytest.mark.parametrize("what", WHAT)
def test_each_field_of_a_new_file_has_its_description(what: str) -> None:
    lines = new_files(what, None)[f"my-{what}.yaml"].splitlines()
    begin = max(number for number, line in enumerate(lines) if line == "spec:")
    for number, line in enumerate(lines[begin + 1 :], begin + 1):
        is_field = re.match(r" +#?[A-Za-z]\w*:", line) or re.match(r" +- [A-Za-z]\w*:", line)
        if is_field:
            assert lines[number - 1].lstrip().startswith("# "), line
    assert all(len(line) <= 112 for line in lines)


def test_a_new_strategy_is_a_module_that_its_backtest_names() -> None:
    files = new_files("strategy", "golden-cross")
    assert [*files] == ["golden_cross.py", "golden-cross.yaml"]
    classes = [node.name for node in ast.parse(files["golden_cross.py"]).body if isinstance(node, ast.ClassDef)]
    market, run = map(parse_resource, _documents(files["golden-cross.yaml"]))
    assert classes == ["GoldenCross"]
    assert run.model_dump()["spec"]["strategy"]["module"] == "golden_cross:GoldenCross"
    assert run.model_dump()["spec"]["data"]["replay"]["name"] == market.metadata.name


def test_a_file_that_exists_is_kept(run: Run, tmp_path: Path) -> None:
    assert run("new", "replay", "mine").stdout == "mine.yaml\n"
    (tmp_path / "mine.yaml").write_text("# edited\n")
    answer = run("new", "replay", "mine")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "mine.yaml exists already: give another name, or --force to replace it" in answer.stderr
    assert (tmp_path / "mine.yaml").read_text() == "# edited\n"
    assert run("new", "replay", "mine", "--force").exit_code == 0
    assert run("apply", "-f", "mine.yaml").stdout == "replay/mine created\n"


def test_a_new_file_can_be_piped_into_apply(run: Run, tmp_path: Path) -> None:
    text = run("new", "scenario", "crash", "--stdout").stdout
    assert run("apply", "-f", "-", text=text).stdout == "replay/crash created\n"
    assert run("new", "backtest", "--folder", "a/b").stdout == "a/b/my-backtest.yaml\n"
    assert (tmp_path / "a/b/my-backtest.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pod"], "what: got 'pod', expected one of feed, replay, backtest, strategy, scenario, examples"),
        (["replay", "../x"], "name: got '../x', expected a-z, 0-9 and -, at most 40 characters, beginning"),
        (["scenario", "Crash_1"], "name: got 'Crash_1', expected a-z, 0-9 and -, at most 40 characters, beginning"),
        (["replay", "a" * 41], "at most 40 characters"),
        (["backtest", "a" * 34], "at most 33 characters"),
        (["examples", "../x"], "name: got '../x'"),
        (["strategy", "1st"], "name: got '1st', expected a letter first"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    answer = run("new", *words)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert [*tmp_path.iterdir()] == []


def test_the_longest_names_are_names() -> None:
    for what in WHAT:
        longest = 33 if what in ("backtest", "strategy") else 40
        assert f"{'a' * longest}.yaml" in new_files(what, "a" * longest)


def test_two_files_cannot_be_printed_as_one(run: Run) -> None:
    answer = run("new", "strategy", "--stdout")
    assert answer.exit_code == 2
    assert "is two files" in " ".join(answer.stderr.split())
