"""YAML as kubectl reads it, and the errors for unreadable documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapedeck_deck.embedded.documents import parse, read
from tapedeck_deck.embedded.errors import DeckError


# Expected values: kubectl's reader, go-yaml 2 to JSON (its resolve.go and resolve_test.go).
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2018-04-04T00:00:00Z", "2018-04-04T00:00:00Z"),
        ("2018-04-04", "2018-04-04"),
        ("60", 60),
        ("'60'", "60"),
        ("1e6", 1_000_000),
        ("1.0e+9", 1_000_000_000),
        ("60.0", 60),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("1_000", 1000),
        ("0x10", 16),
        ("010", 8),
        ("0o10", 8),
        ("0b11", 3),
        ("0", 0),
        ("1:30", "1:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("~", None),
        ("1m", "1m"),
        ("BTC/USD", "BTC/USD"),
        ("=", "="),
        ("{1: a, true: b}", {"1": "a", "true": "b"}),
        ("{<<: {a: 1, b: 1}, b: 2}", {"a": 1, "b": 2}),
    ],
)
def test_values(text: str, value: Any) -> None:
    got = parse(f"field: {text}", "test")["field"]
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spec: {speed: .nan}", "f.yaml, document 1: spec.speed: got nan, expected a finite number"),
        ("spec: {x: [1, -.INF]}", "f.yaml, document 1: spec.x[1]: got -inf, expected a finite number"),
        ("a: 1\n---\nb: 1\nc:\n  d: 1\n  d: 2\n", "f.yaml, document 2, line 6: key 'd' is given twice"),
        ("a: {b: 1, b: 1}", "document 1, line 1: key 'b' is given twice, expected once"),
        ("a: [1", "f.yaml, document 1, line 1: did not find expected"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: !!set {b}", "a: got a set, expected a JSON value"),
        ("a: !!timestamp 2018-04-04", "a: got a date, expected a JSON value"),
        ("a: &x [*x]", "got a value that contains itself"),
        ("\x00", "f.yaml, document 1"),
        ("# nothing", "got no document, expected at least one"),
    ],
)
def test_errors(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text(text)
    with pytest.raises(DeckError) as caught:
        read(["f.yaml"])
    assert message in str(caught.value)


def test_aliases_of_aliases_are_bounded() -> None:
    levels = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(DeckError, match="too many values, expected a tree of at most 200000 values"):
        parse("\n".join(levels), "test")


def test_documents_are_numbered_by_their_place_in_the_file_and_lists_are_expanded(tmp_path: Path) -> None:
    file = tmp_path / "several.yaml"
    file.write_text("---\n# empty\n---\na: 1\n---\nkind: List\nitems: [{b: 1}, {c: 1}]\n")
    found = read([str(file)])
    assert [(d.where, d.content) for d in found] == [
        (f"{file}, document 2", {"a": 1}),
        (f"{file}, document 3, items[0]", {"b": 1}),
        (f"{file}, document 3, items[1]", {"c": 1}),
    ]
    assert {d.folder for d in found} == {tmp_path.resolve()}


def test_a_folder_is_read_in_the_order_of_its_file_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "notes.txt"):
        (tmp_path / name).write_text('{"from": "' + name + '"}')
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.yaml").write_text("from: d")
    assert [d.content["from"] for d in read([str(tmp_path)])] == ["a.yml", "b.yaml", "c.json"]
    with pytest.raises(DeckError, match="a folder without"):
        read([str(_empty(tmp_path))])


def _empty(folder: Path) -> Path:
    empty = folder / "empty"
    empty.mkdir()
    return empty


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DeckError, match=r"gone\.yaml: cannot be read: No such file"):
        read([str(tmp_path / "gone.yaml")])
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(DeckError, match="not UTF-8 at position 9"):
        read([str(latin)])


def test_every_invalid_file_is_reported(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("x: .nan")
    with pytest.raises(DeckError) as caught:
        read([str(tmp_path)])
    assert [line.split(",")[0] for line in str(caught.value).splitlines()] == [
        str(tmp_path / "a.yaml"),
        str(tmp_path / "b.yaml"),
    ]
