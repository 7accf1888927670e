"""Small inputs that grow large: what each is, how it is made, and what is said of it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from attack import archive_bombs as archives
from attack import table_bombs as tables
from attack.measured import DOCUMENTS, NAMES, READER, measured
from attack.outcome import Outcome

MIB = archives.MIB
SIZE_MAX = 4 * MIB + 1


class Bomb(NamedTuple):
    """An input. ``says`` is an expression that what is said of it has."""

    file: str
    content: Callable[[], bytes]
    says: str
    program: str = READER


_LONG_HEADER = r"got 262144000 bytes of a header with a long name or attributes, expected at most 1048576"
_ROW = r"got more than 524288 bytes of JSON without the end of a row, expected an array of rows"
_SPARSE = r"got the sparse file a\.csv, expected whole files; write the tar without --sparse"
_DEEP = r"got JSON values nested more than 100 deep"
_STREAMS = r"compressed streams for \d+ bytes, expected at most 10000, or of 1024 bytes each"
FILE_BOMBS: dict[str, Bomb] = {
    "tar: a name of 250 MB": Bomb("a.tar.gz", archives.long_header(tarfile.GNUTYPE_LONGNAME), _LONG_HEADER),
    "tar: a link of 250 MB": Bomb("a.tar.gz", archives.long_header(tarfile.GNUTYPE_LONGLINK), _LONG_HEADER),
    "tar: attributes of 250 MB": Bomb("a.tar.gz", archives.long_header(tarfile.XHDTYPE), _LONG_HEADER),
    "tar: attributes of all of 250 MB": Bomb("a.tar.gz", archives.long_header(tarfile.XGLTYPE), _LONG_HEADER),
    "tar: names behind names": Bomb(
        "a.tar.gz", archives.many_long_headers(tarfile.GNUTYPE_LONGNAME), "and 16777216 of all"
    ),
    "tar: attributes behind attributes": Bomb(
        "a.tar.gz", archives.many_long_headers(tarfile.XGLTYPE), "and 16777216 of all"
    ),
    "tar: a million folders": Bomb("a.tar.gz", archives.folders, "got more than 50000 headers"),
    "tar: a name of 300,000 suffixes": Bomb(
        "a.tar.gz", archives.long_member_name, "got a file with a name of 900002 characters, expected at most 1024"
    ),
    "tar: a sparse file": Bomb("a.tar", lambda: archives.sparse(archives.CSV), _SPARSE),
    "tar: a sparse file of Parquet": Bomb("a.tar", lambda: archives.sparse(b"PAR1"), _SPARSE),
    "tar: a sparse file by attributes": Bomb("a.tar", archives.sparse_by_attributes, _SPARSE),
    "xz: a dictionary of 1 GiB": Bomb("a.csv.xz", archives.xz_with_dictionary(36), "needs more than 75497472 bytes"),
    "xz: a dictionary of 4 GiB": Bomb("a.csv.xz", archives.xz_with_dictionary(40), "needs more than 75497472 bytes"),
    "xz: empty streams": Bomb(
        "a.csv.gz", lambda: archives.empty_streams(lzma.compress(b""), lzma.compress(archives.CSV)), _STREAMS
    ),
    "bz2: empty streams": Bomb(
        "a.csv.gz", lambda: archives.empty_streams(bz2.compress(b""), bz2.compress(archives.CSV)), _STREAMS
    ),
    "gzip: empty streams": Bomb(
        "a.csv.gz", lambda: archives.empty_streams(gzip.compress(b""), gzip.compress(archives.CSV)), _STREAMS
    ),
    "gzip: a name of 100 MB": Bomb("a.csv.gz", archives.gzip_name, "3 rows"),
    "zstd: a window of 128 MiB": Bomb(
        "a.csv.zst",
        lambda: archives.zstd_frame(0x88, b"\x02\x00\x10a", 2_000),
        "got zstd with a window of 134217728 bytes, expected at most 67108864",
    ),
    "zstd: empty blocks": Bomb(
        "a.csv.zst", lambda: archives.zstd_frame(0x40, bytes(3), MIB), r"got \d+ blocks of zstd for 0 bytes"
    ),
    "json: a row of many cells": Bomb("a.json.gz", tables.in_row(b"0,", 100), _ROW),
    "json: a row of many objects": Bomb("a.json.gz", tables.in_row(b"{},", 100), _ROW),
    "json: a row of one number": Bomb("a.json.gz", tables.in_row(b"1", 20), _ROW),
    "json: a text of 100 MB": Bomb("a.json.gz", tables.long_text("value"), _ROW),
    "json: a name of 100 MB": Bomb("a.json.gz", tables.long_text("name"), _ROW),
    "json: a text of 100 MB behind the rows": Bomb("a.json.gz", tables.long_text("behind"), _ROW),
    "json: arrays within each other": Bomb("a.json", lambda: tables.nested(b"["), _DEEP),
    "json: objects within each other": Bomb("a.json", lambda: tables.nested(b'{"a":', b"["), _DEEP),
    "json: a number of 100,000 digits": Bomb(
        "a.json", lambda: b"[[" + b"1" * 100_000 + b",1,1,1,1,1]]", r"a\.json: is no JSON"
    ),
    "json: rows with names of their own": Bomb(
        "a.json",
        lambda: tables.lines(lambda n: {f"{n} {k}": 0 for k in range(20)}, 1_000),
        r"got \d+ columns, expected at most 1000",
    ),
    "json: rows without their cells": Bomb(
        "a.json.gz",
        tables.absent_cells,
        r"got \d+ rows of 1000 columns in \d+ bytes of JSON, expected at most a cell for each byte",
    ),
    "json: 2,000 rows of 100,000 characters": Bomb("a.json.gz", tables.long_rows, r"rows"),
    "parquet: a list of eight million texts": Bomb(
        "a.parquet.gz", lambda: gzip.compress(tables.parquet_lists()), "more than 600000 items in lists"
    ),
    "arrow: the same column two million times": Bomb(
        "a.feather.gz", lambda: gzip.compress(tables.arrow_fields(2_000_000)), "got more than 10000 columns"
    ),
    "arrow: columns within columns": Bomb(
        "a.feather", lambda: tables.arrow_fields(2, 18), "got more than 10000 columns"
    ),
}


def _keys() -> bytes:
    """A list as a key, which has the list before twice, and so on."""
    levels = ["- &a0 {? &b0 [x, x] : 1}"]
    levels += [f"- &a{n} {{? &b{n} [*b{n - 1}, *b{n - 1}] : 1}}" for n in range(1, 40)]
    return "\n".join(levels).encode()


_KEY = "got a sequence as a key, expected text"
DOCUMENT_BOMBS: dict[str, Bomb] = {
    "yaml: lists as keys": Bomb("a.yaml", _keys, _KEY, DOCUMENTS),
    "yaml: mappings as keys": Bomb("a.yaml", lambda: b"? {a: 1}\n: 1", "got a mapping as a key", DOCUMENTS),
    "yaml: directives": Bomb(
        "a.yaml",
        lambda: b"".join(b"%%TAG !a%d! x\n" % n for n in range(200_000)) + b"--- a\n",
        "got more than 100 lines that begin with %, expected fewer",
        DOCUMENTS,
    ),
    "yaml: 150,000 values below a key of 3 MB": Bomb(
        "a.yaml", lambda: b"? " + b"k" * 3_000_000 + b"\n: [" + b"1," * 150_000 + b"]", "kind: got None", DOCUMENTS
    ),
    **{
        f"yaml: {text}": Bomb("a.yaml", partial(text.encode), says, DOCUMENTS)
        for text, says in {
            "a: !!bool x": "got 'x', expected true or false",
            "a: !!timestamp x": "got 'x', expected a time",
            "!!set [a]": "expected a mapping, but found a sequence",
        }.items()
    },
}
_UNLIKE = "expected a name like"
NAME_BOMBS: dict[str, Bomb] = {
    f"fileName: {pattern}": Bomb("names", partial("\n".join((pattern, name)).encode), _UNLIKE, NAMES)
    for pattern, name in {
        "{any}x{any}x{any}x{symbol}Q": "x" * 200,
        "{any}x" * 20 + "{any}Q": "x" * 1_024,
        "{symbol}" * 15: "x-" * 511 + "--",
        "{any}{any}{any}{any}{date}": "1" * 1_022 + "x",
        "{symbol}{minutes}{interval}{symbol}_": "1" * 1_024,
    }.items()
}
BOMBS = FILE_BOMBS | DOCUMENT_BOMBS | NAME_BOMBS


def problem(name: str, folder: Path, outcome: Outcome | None = None) -> str | None:
    """What is wrong with how a bomb is held; None if it is."""
    bomb = BOMBS[name]
    path = folder / bomb.file
    path.write_bytes(bomb.content())
    found = measured(bomb.program, path)
    if outcome is not None:
        outcome.slowest = max(outcome.slowest, found.seconds)
        outcome.grown = max(outcome.grown, found.memory)
    if path.stat().st_size > SIZE_MAX:
        return f"is of {path.stat().st_size} bytes, expected a small one"
    if re.search(bomb.says, found.said) is None:
        return f"said {found.said[:300]!r}, expected {bomb.says!r}"
    return found.problem()


def bombs(_rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each is refused with the limit in the message, or read, in a process of little memory and time."""
    with tempfile.TemporaryDirectory() as folder:
        for name in islice(BOMBS, count):
            outcome.tried += 1
            try:
                wrong = problem(name, Path(folder), outcome)
            except AssertionError as error:
                wrong = str(error)
            if wrong is not None:
                outcome.add(f"{name}: {wrong}")
