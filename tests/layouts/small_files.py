"""Small files as a Feed reads them: three bars by hand, archives of them, and why a file is refused."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from file_rows import encoded_rows
from tapedeck_common.files import FilesAccess, InvalidFiles, InvalidRow, find_files, kind_of
from tapedeck_crds.files import Files

HEADER = "ts,open,high,low,close,volume\n"
ROWS = "1522800000000,1,4,0.5,2,10\n1522800060000,2,5,1.5,3,20\n1522800120000,3,6,2.5,4,30\n"
T0, MINUTE = 1_522_800_000_000, 60_000  # 2018-04-04T00:00:00Z
BARS = [
    (T0, 1.0, 4.0, 0.5, 2.0, 10.0),
    (T0 + MINUTE, 2.0, 5.0, 1.5, 3.0, 20.0),
    (T0 + 2 * MINUTE, 3.0, 6.0, 2.5, 4.0, 30.0),
]
NUMBERS = {"ts": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6}
SECRET = "postgresql://tapedeck:its-password@db/tapedeck"
Values = list[tuple[Any, ...]]


def read(folder: Path, content: str | bytes, name: str = "a.csv", **declared: Any) -> tuple[Values, list[InvalidRow]]:
    """The values of the bars or trades in a file, and its refused rows."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    spec: dict[str, Any] = {"exchange": "x", "sets": [{"symbol": "A/B", "path": name}]}
    files = Files.model_validate(spec | declared)
    bad: list[InvalidRow] = []
    sources = find_files(files, FilesAccess(folder))["A/B"]
    kind = kind_of(files, sources)
    names = ("open", "high", "low", "close", "volume") if kind == "bars" else ("id", "price", "amount", "side")
    found = [json.loads(row.value) for row in encoded_rows(files, kind, sources, bad.append)]
    return [tuple(row[name] for name in ("ts", *names)) for row in found], bad


def refusal(folder: Path, content: str | bytes, name: str = "a.csv", **declared: Any) -> str:
    with pytest.raises(InvalidFiles) as caught:
        read(folder, content, name, **declared)
    return str(caught.value)


def tar_gz(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def zipped(members: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
