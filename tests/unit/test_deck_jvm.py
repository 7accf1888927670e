"""The cached class archives of the JVM."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapedeck_deck.embedded import jvm
from tapedeck_deck.embedded.jvm import KEPT_ARCHIVES, ClassArchive, keep_newest


def test_two_installations_of_the_same_jre_share_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def archive(environment: str, size: int, at: int, class_path: str = "a.jar") -> Path:
        modules = tmp_path / environment / "lib" / "modules"
        modules.parent.mkdir(parents=True)
        modules.write_bytes(b"x" * size)
        os.utime(modules, (at, at))
        monkeypatch.setattr(jvm, "java", lambda: modules.parents[1] / "bin" / "java")
        return ClassArchive(class_path, tmp_path / "classes.lst").path

    one = archive("one", 10, 1_000)
    assert archive("two", 10, 1_000) == one
    others = {archive("three", 11, 1_000), archive("four", 10, 1_001), archive("five", 10, 1_000, "b.jar")}
    assert len({one, *others}) == 4


def test_old_archives_are_deleted(tmp_path: Path) -> None:
    for age in range(KEPT_ARCHIVES + 2):
        (tmp_path / f"{age}.jsa").touch()
        os.utime(tmp_path / f"{age}.jsa", (1e9 - age, 1e9 - age))
    (tmp_path / "unfinished.123").touch()
    keep_newest(tmp_path)
    keep_newest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsa", "1.jsa", "2.jsa", "unfinished.123"]
