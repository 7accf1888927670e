"""The sorted table of topics and files needs a disk, which can be full."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapedeck_common.files import FilesAccess
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.files import Files
from tapedeck_replay.source.files.source import FileBarSource
from tapedeck_replay.source.sorted_table import SortedBars


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
def test_a_full_disk_is_reported_as_unavailable(small_disk: Path) -> None:
    table = SortedBars()
    rows = [(minute, "A/USD", 0, 1.0, 2.0, 0.5, 1.5, 3.0, 0) for minute in range(20_000)]
    with pytest.raises(Unavailable, match=rf"{small_disk}/.*: got database or disk is full, expected disk space for"):
        table.insert(rows)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_files_need_a_disk(small_disk: Path, tmp_path: Path) -> None:
    lines = [f"{1_522_800_000_000 + minute * 60_000},1.0,2.0,0.5,1.5,3.0" for minute in range(20_000)]
    (tmp_path / "a.csv").write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    files = {"exchange": "x", "sets": [{"symbol": "A/USD", "path": "a.csv"}]}
    source = FileBarSource(Files.model_validate(files, by_alias=True), FilesAccess(tmp_path), lambda: None)
    with pytest.raises(Unavailable, match=rf"{small_disk}/.*: got database or disk is full, expected disk space for"):
        source.resolve()
