"""The prose keeps its promises: links lead somewhere, resources are valid, commands exist, the reference is current."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from pages.blocks import MARKS, Block, blocks, script
from pages.run import FRESH, TOUR
from reference.figures import formula, names
from reference.markdown import HEADER
from reference.pages import FOLDER as REFERENCE
from reference.pages import PAGES
from reference.reasons import ACTIONS, POD_REASONS
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli.app import app
from tapedeck_deck.cli.imports.own_layout import layout_fields
from tapedeck_gateway.routes.v1.body_schemas import body_schemas
from tapedeck_operator.plan.reasons import REASONS

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES_OF_PROSE = sorted([*ROOT.glob("*.md"), *DOCS, *(ROOT / "examples").rglob("*.md")])
BLOCKS = [block for page in PAGES_OF_PROSE for block in blocks(page)]
CONSOLE = [block for block in BLOCKS if block.language == "console"]
README_LINES = 120
# A reader of start/ begins with nothing: each of these pages is run as a whole.
START = [page for page in DOCS if page.parent.name == "start"]


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"[`*\\]", "", head)).strip().lower().replace(" ", "-") for head in heads]
    return {
        name if not plain[:number].count(name) else f"{name}-{plain[:number].count(name)}"
        for number, name in enumerate(plain)
    }


@pytest.mark.parametrize("page", PAGES_OF_PROSE, ids=_named)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    missing = []
    for to, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if to.startswith(("http://", "https://", "mailto:")):
            continue
        target = (page.parent / to).resolve() if to else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            missing.append(f"{to}#{anchor}")
    assert missing == []


@pytest.mark.parametrize("page", DOCS, ids=_named)
def test_every_page_is_linked_to(page: Path) -> None:
    """From the README of its folder, or of the folder above; runbooks are listed by their folder."""
    if (page.name == "README.md" and page.parent == ROOT / "docs") or page.parent.name == "runbooks":
        return
    index = page.parent / "README.md" if page.name != "README.md" else page.parent.parent / "README.md"
    assert f"]({page.relative_to(index.parent)})" in index.read_text()


@pytest.mark.parametrize("page", PAGES_OF_PROSE, ids=_named)
def test_whole_resources_in_pages_are_valid(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            for document in yaml.safe_load_all(block.text):
                if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith("tapedeck.dev/"):
                    parse_resource(document)


def test_marks_are_known_and_reasons_are_given() -> None:
    assert len(BLOCKS) > 60
    wrong = [block.place for block in BLOCKS if block.mark and (block.mark not in MARKS or len(block.value) < 4)]
    assert wrong == []


def test_every_command_is_run_or_says_why_not() -> None:
    run = {ROOT / name for name in (*FRESH, *TOUR)}
    documentation = [block for block in CONSOLE if block.page in DOCS or block.page == ROOT / "README.md"]
    assert [block.place for block in documentation if block.page not in run and not block.mark] == []


def _of_part(schema: Any, closed: bool) -> Any:
    """The schema for a part of a document: nothing is required; if closed, nothing else is there."""
    if isinstance(schema, list):
        return [_of_part(each, closed) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = ("required", "minProperties", "allOf", "if", "then")
    found = {key: _of_part(each, closed) for key, each in schema.items() if key not in left_out}
    has_names = closed and isinstance(schema.get("properties"), dict)
    return {"additionalProperties": False} | found if has_names else found


def _parts() -> list[dict[str, Any]]:
    """The schemas of what a page may show a part of: specs, and values of the chart."""
    manifests = [_of_part(body_schemas()[kind]["properties"]["spec"], closed=True) for kind in KINDS]
    inside = [{"properties": {"spec": each}, "additionalProperties": False} for each in manifests]
    values = json.loads((ROOT / "charts/tapedeck/values.schema.json").read_text())
    return [*manifests, *inside, _of_part(values, closed=False)]


PARTS = [jsonschema.Draft202012Validator(each) for each in _parts()]


@pytest.mark.parametrize("page", PAGES_OF_PROSE, ids=_named)
def test_parts_of_resources_and_values_in_pages_are_valid(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml" and not block.mark and "apiVersion" not in block.text:
            for part in yaml.safe_load_all(block.text):
                assert any(check.is_valid(part) for check in PARTS), block.place


def test_the_layout_of_ones_own_is_valid(tmp_path: Path) -> None:
    (layout,) = [block for block in blocks(ROOT / "docs/guides/files.md") if block.value == "mine.yaml"]
    (tmp_path / "mine.yaml").write_text(layout.text)
    assert layout_fields(str(tmp_path / "mine.yaml"))["fileName"] == "{symbol}_{any}"


def test_every_block_has_a_language() -> None:
    assert [block.place for block in BLOCKS if not block.language] == []


def _tapedeck_calls() -> list[tuple[Block, list[str]]]:
    """The calls of `tapedeck` in consoles: the words up to a pipe or a redirection."""
    found = []
    for block in CONSOLE:
        for command in block.commands:
            lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|<>;&")
            lexer.whitespace_split, lexer.commenters = True, "#"
            words = [*lexer]
            ends = [number for number, word in enumerate(words) if word and set(word) <= set("|<>;&")] or [len(words)]
            words = words[: ends[0]]
            if words and words[0] == "tapedeck":
                found.append((block, words[1:]))
    return found


def test_commands_in_prose_exist_with_their_options() -> None:
    group: Any = typer.main.get_command(app)
    calls = _tapedeck_calls()
    assert len(calls) > 80
    for block, words in calls:
        try:
            with group.make_context("tapedeck", [*words]) as context:
                if not words:
                    continue
                name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
                command.make_context(name, rest, parent=context).close()
        except typer.Exit:
            continue
        except Exception as error:
            pytest.fail(f"{block.page}:{block.line}: tapedeck {' '.join(words)}: {getattr(error, 'message', error)}")


def test_files_that_pages_apply_are_written_by_them_or_in_the_examples() -> None:
    for page in START:
        files, text = script(page)
        text = re.sub(r"(?m)^echo .*$", "", text)
        for name in re.findall(r"tapedeck (?:apply|check) -f (\S+)", text):
            made = re.findall(rf"tapedeck new \w+ {re.escape(name.removesuffix('.yaml'))}$", text, re.MULTILINE)
            assert name in files or made or (ROOT / name).exists(), f"{page.name}: {name}"


def test_a_script_has_the_commands_of_a_page_and_no_output(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- file: a.txt -->\n```text\nx\n```\n\n```console\n$ cat a.txt\nx\n$ echo b \\\n>   c\nb c\n```\n"
        "<!-- not-run: why not -->\n```console\n$ false\n```\n```console\n$ tapedeck get all -w    # watch\n```\n"
    )
    files, text = script(page)
    assert files == {"a.txt": "x\n"}
    assert [line for line in text.splitlines() if not line.startswith(("echo '#", "set"))] == [
        "cat a.txt", "echo b \\", "  c", "timeout --signal=INT 3 tapedeck get all -w || [ $? -eq 124 ]",
    ]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (REFERENCE / f"{name}.md").read_text() == f"{HEADER}\n{PAGES[name]()}", "run `make reference`"


# What raises with a reason as its first argument, or has one as a keyword.
_RAISE_REASONS = {"RunFailed", "InvalidReplay", "InvalidFeedInput"}


def _reasons(tree: ast.AST) -> Iterator[str]:
    """The reasons that calls in a module name."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            given = [each.value for each in call.keywords if each.arg == "reason"]
            given += call.args[:1] if getattr(call.func, "id", "") in _RAISE_REASONS else []
            yield from (str(each.value) for each in given if isinstance(each, ast.Constant))


def test_every_reason_of_a_pod_says_what_to_do() -> None:
    modules = [path for path in (ROOT / "workloads").rglob("*.py") if "strategies" not in path.parts]
    found = {reason for path in modules for reason in _reasons(ast.parse(path.read_text()))}
    assert len(found) > 30
    assert found <= POD_REASONS.keys() | ACTIONS.keys() | {*REASONS}


def test_every_figure_has_a_formula() -> None:
    assert [name for name in names() if not formula(name)] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_in_prose_exist(name: str) -> None:
    roots = "|".join(
        sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "build")
    )
    paths = re.findall(rf"`((?:{roots})/[\w./-]+)`", (ROOT / name).read_text())
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []
