"""The examples are a course: each says what it is for, what it needs and what one sees, and is listed in order."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from pages.tables import table_below
from tapedeck_common.yaml_documents import read_documents
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.objects import Objects

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "start" / "examples.md"
FILES = sorted(path for path in (ROOT / "examples").rglob("*.yaml") if "data" not in path.parts)
NOTEBOOKS = sorted((ROOT / "examples").rglob("*.ipynb"))
APPLY = re.compile(r"^# Needs: `tapedeck apply((?: -f examples/\S+\.yaml)+)( --wait)?` first\.$", re.MULTILINE)
INTERNET = re.compile(r"^# Needs: the internet(, and a key of \w+)?\.$", re.MULTILINE)


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def head(example: Path) -> str:
    """The comment at the beginning of a file, or the text of a notebook's first cell."""
    text = example.read_text()
    if example in NOTEBOOKS:
        first = json.loads(text)["cells"][0]
        assert first["cell_type"] == "markdown"
        return "".join(first["source"])
    return "".join(takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True)))


@cache
def resources(example: Path) -> list[Json]:
    """The documents of a file."""
    found = [content for _, content in read_documents(example.read_text(), example.name) if content is not None]
    return [each for content in found for each in content.get("items", [content])]


def needed(example: Path) -> list[Path]:
    """The files that the head says to apply first."""
    said = APPLY.search(head(example))
    return [ROOT / name for name in said[1].split(" -f ")[1:]] if said else []


def given(example: Path) -> set[str]:
    """What other resources may refer to: Feeds and Replays by name, and the exchanges that the store then has."""
    found = set()
    for each in resources(example):
        kind, name, spec = each["kind"], each["metadata"]["name"], each.get("spec", {})
        if kind == "Feed":
            files = spec.get("source", {}).get("files", {})
            found |= {f"Feed {name}", f"exchange {files.get('exchange') or spec['exchange']}"}
        elif kind == "Replay":
            found |= {f"Replay {name}"} | ({f"exchange replay.{name}"} if spec.get("record") else set())
    return found


def referred_to(example: Path) -> set[str]:
    """What the resources of a file need of others."""
    found = set()
    for each in (each for each in resources(example) if each["kind"] in KINDS):
        spec = each["spec"]
        source = spec.get("source", {})
        assert "topic" not in source, "say here what gives a topic"
        for store in (source.get("store"), spec.get("data", {}).get("store")):
            if store is not None and not source.get("fill"):
                found.add(f"exchange {store['exchange']}")
        for kind in ("Feed", "Replay"):
            if (other := spec.get("data", {}).get(kind.lower())) is not None:
                found.add(f"{kind} {other['name']}")
        if (leader := spec.get("clock", {}).get("follow")) is not None:
            found.add(f"Replay {leader}")
    return found


def test_there_is_a_course() -> None:
    assert len(FILES) >= 18
    assert len(NOTEBOOKS) >= 1


@pytest.mark.parametrize("example", FILES, ids=_named)
def test_a_file_has_a_purpose_and_says_what_to_see(example: Path) -> None:
    assert re.match(r"# [A-Z].{20,}", head(example))
    assert re.search(r"^# What to see: .{20,}", head(example), re.MULTILINE)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=_named)
def test_a_notebook_has_a_purpose_and_says_what_to_see(notebook: Path) -> None:
    assert re.match(r"# [A-Z].{5,}\n\n[A-Z].{20,}", head(notebook))
    assert re.search(r"^Needs: .{10,}", head(notebook), re.MULTILINE)
    assert re.search(r"^What to see: .{20,}", head(notebook), re.MULTILINE)


@pytest.mark.parametrize("example", FILES, ids=_named)
def test_a_file_runs_by_itself_or_says_which_ones_it_needs(example: Path) -> None:
    files = needed(example)
    assert head(example).count("Needs:") == bool(files) + (INTERNET.search(head(example)) is not None)
    missing = referred_to(example) - given(example)
    assert missing <= {each for file in files for each in given(file)}
    for file in files:
        assert missing & given(file) or any(file in needed(other) for other in files), f"nothing needs {file.name}"
        assert set(needed(file)) <= set(files[: files.index(file)])
    said = APPLY.search(head(example))
    if any(each.startswith("exchange replay.") for each in missing):  # a run does not wait for what a Replay records
        assert said is not None and said[2] is not None


def test_the_course_is_listed_in_order() -> None:
    """Each file once, after the files that it needs, which the last column has."""
    rows = table_below(PAGE, "# The examples as a course")
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    links = [re.fullmatch(r"\[(.+)\]\((.+)\)", row[1]) for row in rows]
    listed = [(PAGE.parent / link[2]).resolve() for link in links if link is not None]
    assert [link[1] for link in links if link is not None] == [path.name for path in listed]
    assert sorted(listed) == sorted([*FILES, *NOTEBOOKS])
    for number, (example, row) in enumerate(zip(listed, rows, strict=True), 1):
        if example in NOTEBOOKS:
            continue
        numbers = [listed.index(file) + 1 for file in needed(example)]
        outside = INTERNET.search(head(example))
        said = "" if outside is None else "the internet" + (", a key" if outside[1] else "")
        assert row[3] == ", ".join([*map(str, numbers), *([said] if said else [])])
        assert all(other < number for other in numbers)


def test_each_other_file_is_listed_beside_the_course() -> None:
    others = [path for path in (ROOT / "examples").glob("*.*") if path not in (*FILES, *NOTEBOOKS)]
    assert [path.name for path in others if f"](../../examples/{path.name})" not in PAGE.read_text()] == []


def test_files_may_be_applied_together(tmp_path: Path) -> None:
    """A resource that two files have is the same in both, so that the second changes nothing."""
    objects = Objects(tmp_path / "objects.db")
    lines = {line for example in FILES for line in _applied(objects, example)}
    assert "feed/binance unchanged" in lines
    assert {line.partition(" ")[2] for line in lines} == {"created", "unchanged"}
    assert all(parse_resource(each) for kind in KINDS for each in objects.list(kind))


def _applied(objects: Objects, example: Path) -> list[str]:
    return [line for _, line in changes.apply(objects, documents.read([str(example)]), "default")]
