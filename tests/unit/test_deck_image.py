"""The deck's counterpart of an image digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck_deck.embedded.image import with_digest


def test_the_digest_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_workload"
    (package / "inner").mkdir(parents=True)
    code = package / "inner" / "__main__.py"
    code.write_text("print(1)\n")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    first = with_digest("some_workload")
    assert first.startswith("some_workload@sha256:")
    assert with_digest("some_workload") == first
    code.write_text("print(2)\n")
    assert with_digest("some_workload") != first
    code.write_text("print(1)\n")
    assert with_digest("some_workload") == first
    assert with_digest("tapedeck_replay").partition("@")[2] != first.partition("@")[2]


def test_modules_with_the_same_name_are_distinguished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [tmp_path / "two_rooms" / room / "run.py" for room in ("first", "second")]
    for number, code in enumerate(codes):
        code.parent.mkdir(parents=True)
        code.write_text(f"print({number})\n")
    (tmp_path / "two_rooms" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    before = with_digest("two_rooms")
    for number, code in enumerate(reversed(codes)):
        code.write_text(f"print({number})\n")
    assert with_digest("two_rooms") != before
