"""Hostile files: what a Feed or Replay reads as market data."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from attack import hostile
from attack.outcome import Outcome
from file_rows import encoded_rows
from tapedeck_common.files import FilesAccess, InvalidRow, find_files, kind_of
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.files import Files, formats

FORMATS = formats()
HEADER = "ts,open,high,low,close,volume\n"
T0 = 1_522_800_000_000
MINUTE = 60_000


def files(rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each is refused with a message, or read; nothing of a refused row is shown in full."""
    with tempfile.TemporaryDirectory() as name:
        for _ in range(count):
            path = Path(name) / "file"
            path.write_bytes(_content(rng))
            form = rng.choice(FORMATS)
            shown = (form, path.read_bytes()[:80])
            outcome.attempt(shown, partial(_read, form, path))


def _read(form: str, path: Path) -> str | None:
    refused: list[InvalidRow] = []
    sets = [{"symbol": "A/B", "path": path.name}]
    wanted = Files.model_validate({"format": form, "exchange": "x", "interval": "1m", "sets": sets})
    try:
        for sources in find_files(wanted, FilesAccess(path.parent)).values():
            for _ in encoded_rows(wanted, kind_of(wanted, sources), sources, refused.append):
                pass
    except TapedeckError as error:
        return f"a message of {len(str(error)):,} characters" if len(str(error)) > 2_000 else None
    return next((f"a reason of {len(r.reason):,} characters" for r in refused if len(r.reason) > 2_000), None)


def _content(rng: random.Random) -> bytes:
    content = rng.choice(CONTENTS)(rng)
    if rng.random() < 0.4:
        content = rng.choice(ARCHIVES)(content)
    if rng.random() < 0.3:  # cut or damaged
        at = rng.randrange(len(content) + 1)
        content = content[:at] + (rng.randbytes(3) + content[at + 3 :] if rng.random() < 0.5 else b"")
    return content


def _table(rng: random.Random) -> bytes:
    """Rows of minutes, some with hostile fields."""
    rows = []
    for minute in range(rng.randrange(50)):
        fields = [str(T0 + minute * MINUTE), "100", "102", "98", "101", "1"]
        if rng.random() < 0.2:
            fields[rng.randrange(6)] = hostile.text(rng)
        rows.append(rng.choice((",", ",", ",", ";", "\t")).join(fields))
    return (HEADER * rng.randrange(3) + "\n".join(rows)).encode("utf-8", "surrogatepass")


def _lines(rng: random.Random) -> bytes:
    """JSON lines of which some are none."""
    closes = ("1", "1", "NaN", "1e999", '"x"', "[" * 2_000, "null", "{}")
    rows = [
        f'{{"ts": {T0 + minute * MINUTE}, "open": 1, "high": 1, "low": 1, "close": {rng.choice(closes)}, "volume": 1}}'
        for minute in range(rng.randrange(50))
    ]
    return "\n".join(rows).encode()


def _parquet(rng: random.Random) -> bytes:
    """A table of wrong types, or of one value many times."""
    out = io.BytesIO()
    columns: dict[str, pa.Array] = {}
    number = rng.choice((0, 1, 100, 100_000))
    for name in ("ts", "open", "high", "low", "close", "volume")[rng.randrange(3) :]:
        one = rng.choice((1, 1.5, "x", None, b"\0", True, float("nan")))
        columns[name] = pa.array([one] * number)
    pq.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


CONTENTS: tuple[Callable[[random.Random], bytes], ...] = (
    _table, _table, _table, _lines, _parquet,
    lambda rng: rng.randbytes(rng.randrange(5_000)),
    lambda rng: b"",
    lambda rng: b"\0" * 3_000_000,
    lambda rng: HEADER.encode() + b"1" * rng.choice((100, 20_000_000)),
    lambda rng: (",".join(f"c{n}" for n in range(5_000)) + "\n" + "1," * 5_000).encode(),
    lambda rng: HEADER.encode() + b'"never closed\n' * 1_000,
    lambda rng: ("\ufeff" + HEADER).encode("utf-16"),
    lambda rng: b"PAR1" + rng.randbytes(60) + b"PAR1",
    lambda rng: b"\x1f\x8b" + rng.randbytes(100),
    lambda rng: b"PK\x03\x04" + rng.randbytes(100),
)  # fmt: skip


def _zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../x.csv", content)
        archive.writestr("__MACOSX/._x.csv", b"\0")
    return out.getvalue()


def _tar(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        link = tarfile.TarInfo("x.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return out.getvalue() + content


ARCHIVES: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress, _zip, bz2.compress, lzma.compress, _tar, lambda content: gzip.compress(gzip.compress(content)),
)  # fmt: skip
