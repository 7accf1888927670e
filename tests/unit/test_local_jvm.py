"""The archives of classes that are kept."""

from __future__ import annotations

import os
from pathlib import Path

from tapedeck_operator.local.jvm import KEPT, keep_newest


def test_archives_of_environments_long_gone_are_let_go(tmp_path: Path) -> None:
    for age in range(KEPT + 2):
        (tmp_path / f"{age}.jsa").touch()
        os.utime(tmp_path / f"{age}.jsa", (1e9 - age, 1e9 - age))
    (tmp_path / "being.made").touch()
    keep_newest(tmp_path)
    keep_newest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsa", "1.jsa", "2.jsa", "being.made"]
