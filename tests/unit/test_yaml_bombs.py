"""Small documents that grow large, or that the reader of YAML fails on: each is refused with a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from attack.bombs import DOCUMENT_BOMBS, problem
from tapedeck_common.yaml_documents import InvalidDocument, read_documents


@pytest.mark.slow
@pytest.mark.parametrize("bomb", DOCUMENT_BOMBS)
def test_bombs(tmp_path: Path, bomb: str) -> None:
    assert problem(bomb, tmp_path) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\n? [b]\n: 1", "f, document 1, line 2: got a sequence as a key, expected text"),
        ("? &a [b]\n: 1\nc: {? *a : 1}", "line 1: got a sequence as a key, expected text"),
        ("? {a: 1}\n: 1", "line 1: got a mapping as a key, expected text"),
        ("a: !!map x", "line 1: expected a mapping, but found a scalar"),
        ("a: !!bool " + "x" * 1_000, "expected true or false"),
        ("a: !!timestamp x", "line 1: got 'x', expected a time"),
        ("a: \ud800", "surrogates not allowed"),
        ("%A\n" * 101 + "--- a", "f: got more than 100 lines that begin with %, expected fewer"),
        ("\u2028%A" * 101 + "\n--- a", "f: got more than 100 lines that begin with %, expected fewer"),
    ],
)
def test_what_the_reader_fails_on(text: str, says: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_documents(text, "f")
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_place_of_a_value_that_json_cannot_hold() -> None:
    for text, place in (("a: {b: [1, .inf]}", "a.b[1]"), ("- .inf", "[0]"), (".inf", ""), ("'': .inf", "")):
        with pytest.raises(InvalidDocument, match="expected a finite number") as caught:
            read_documents(text, "f")
        assert str(caught.value) == f"f, document 1: {place}: got inf, expected a finite number"


def test_keys_that_are_no_text_are_written_as_text() -> None:
    ((_, found),) = read_documents("1: a\ntrue: b\nnull: c\n1.5: d", "f")
    assert found == {"1": "a", "true": "b", "null": "c", "1.5": "d"}
