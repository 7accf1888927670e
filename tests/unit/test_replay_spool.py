"""What a topic's records are sorted on: a disk, which can be full."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapedeck_replay.spool import BarSpool
from tapedeck_replay.tape import Unavailable


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_named_as_what_may_pass(small_disk: Path) -> None:
    spool = BarSpool()
    rows = [(minute, "A/USD", 0, 1.0, 2.0, 0.5, 1.5, 3.0, 0) for minute in range(20_000)]
    with pytest.raises(Unavailable, match=rf"{small_disk}/.*: got database or disk is full, expected room for"):
        spool.put(rows)
