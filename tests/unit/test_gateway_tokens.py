"""Tokens in files: what they allow, and what is wrong in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.access.tokens import ANONYMOUS, Tokens

READ, CONTROL = "r" * 32, "c-._~" * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a mounted Secret has it."""
    data = tmp_path / "..2026"
    data.mkdir()
    (data / "page.read").write_text(READ)
    (data / "ops.control").write_text(CONTROL + "\n")
    (tmp_path / "..data").symlink_to(data)
    for name in ("page.read", "ops.control"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    return tmp_path


def test_a_token_is_its_holders_right(folder: Path) -> None:
    tokens = Tokens(folder)
    reader, operator = tokens.grant_of(READ.encode()), tokens.grant_of(CONTROL.encode())
    assert reader is not None
    assert operator is not None
    assert (reader.name, reader.may_control) == ("page", False)
    assert (operator.name, operator.may_control) == ("ops", True)
    for wrong in (b"", b"r" * 31, b"r" * 33, b"\xff\x00", CONTROL.upper().encode()):
        assert tokens.grant_of(wrong) is None
    assert tokens.knows(reader)
    assert not tokens.knows(ANONYMOUS)
    assert READ not in repr(tokens.grant_of(READ.encode()))


def test_changed_tokens_are_read_again(folder: Path) -> None:
    tokens = Tokens(folder)
    before = tokens.grant_of(READ.encode())
    assert before is not None
    (folder / "..data" / "page.read").write_text("n" * 40)
    tokens.refresh()
    assert tokens.grant_of(READ.encode()) is None
    assert not tokens.knows(before)  # though its holder has another one
    assert tokens.grant_of(b"n" * 40) is not None
    (folder / "..data" / "page.read").write_text("short")
    tokens.refresh()
    assert tokens.grant_of(b"n" * 40) is not None  # as before what is wrong
    for path in (folder / "page.read", folder / "ops.control"):
        path.unlink()
    tokens.refresh()
    assert tokens.grant_of(b"n" * 40) is None
    assert tokens.required  # nobody gets in, rather than everyone


def test_without_a_folder_everyone_is_anonymous() -> None:
    tokens = Tokens(None)
    assert not tokens.required
    assert tokens.grant_of(b"") is None
    assert tokens.knows(ANONYMOUS)
    assert not ANONYMOUS.may_control


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.read", "x" * 15, "a.read: expected 16 to 512 characters"),
        ("a.read", "x" * 16 + " y", "a.read: expected 16 to 512 characters"),
        ("a.read", "x" * 513, "a.read: expected 16 to 512 characters"),
        ("a.read", "", "a.read: expected 16 to 512 characters"),
        ("a.read", "ä" * 20, "expected a folder of readable files"),
        ("a", "x" * 20, "got a file 'a', expected <name>.read, <name>.control or <name>.control.<namespace>"),
        (
            "a.admin",
            "x" * 20,
            "got a file 'a.admin', expected <name>.read, <name>.control or <name>.control.<namespace>",
        ),
        (
            "a.control.B",
            "x" * 20,
            "got a file 'a.control.B', expected <name>.read, <name>.control or <name>.control.<namespace>",
        ),
        ("b.control", READ, "got the token of 'b', expected one of its own"),
    ],
)
def test_what_is_wrong_in_the_folder_is_named(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(InvalidInput) as raised:
        Tokens(folder)
    assert message in str(raised.value)
    assert not text or text not in str(raised.value)


def test_a_folder_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tokens: got .*none"):
        Tokens(tmp_path / "none")


def test_a_folder_without_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="tokens: got no file"):
        Tokens(tmp_path)


def test_a_deck_asks_for_a_token_for_changes_alone(folder: Path) -> None:
    tokens = Tokens(folder, open_reading=True)
    assert (tokens.required, tokens.any) == (False, True)
    owner = tokens.grant_of(CONTROL.encode())
    assert owner is not None
    assert tokens.knows(owner)
    assert tokens.knows(ANONYMOUS)
