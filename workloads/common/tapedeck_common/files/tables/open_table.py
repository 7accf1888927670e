"""The table of a file's content: what it is, is told by its first bytes."""

from __future__ import annotations

import io
from functools import partial
from typing import cast

from tapedeck_common.files.content.unpacking import FileContent
from tapedeck_common.files.errors import InvalidFiles, NotMarketData
from tapedeck_common.files.layouts.fields import is_header, is_known, plain
from tapedeck_common.files.tables.arrow_table import ARROW, FEATHER_V1, PARQUET, arrow_table, parquet_table
from tapedeck_common.files.tables.delimited import text_table
from tapedeck_common.files.tables.dialect import Dialect
from tapedeck_common.files.tables.json_table import json_table
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.files import Files

_SPREADSHEET = "a spreadsheet of Excel (save it as CSV)"
_OTHERS = {
    **dict.fromkeys((b"<!", b"<?", b"<html", b"<head", b"<body", b"<error"), "a page of HTML or XML"),
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": _SPREADSHEET,
    b"PK\x03\x04": _SPREADSHEET,  # every other zip is unpacked before
    b"SQLite format 3": "a database of SQLite",
    b"\x89HDF": "HDF5",
    b"Rar!": "an archive of RAR",
    b"7z\xbc\xaf": "an archive of 7-Zip",
    b"\x7fELF": "a program",
    b"\x89PNG": "an image",
}
_SUFFIXES = {".zip": "zip", ".gz": "gzip", ".parquet": "Parquet", ".feather": "Feather", ".xz": "xz", ".zst": "zstd"}


def open_table(content: FileContent, files: Files) -> Table:
    """The table of a content, to be read before that of the next. Raises InvalidFiles and errors of pyarrow."""
    head = cast(io.BufferedReader, content.stream).peek(64)
    if head.startswith(PARQUET):
        return parquet_table(content, partial(_is_wanted, files))
    if head.startswith(ARROW):
        return arrow_table(content, partial(_is_wanted, files))
    if head.startswith(FEATHER_V1):
        raise InvalidFiles(f"{content.name}: got Feather of version 1, expected version 2 (pandas 1.0 and later)")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, what in _OTHERS.items():
        if text[: len(magic)].lower() == magic.lower():
            instead = _instead_of(content.stem)
            error = InvalidFiles if instead else NotMarketData
            raise error(f"{content.name}: is {instead}{what}, expected market data")
    if text[:1] in (b"[", b"{"):
        return json_table(content)
    dialect = Dialect(
        files.delimiter or "",
        files.decimal or "",
        files.thousands or "",
        files.comment or "",
        files.header,
        files.skip_rows,
    )
    return text_table(content, dialect, files.encoding or "", is_header)


def _is_wanted(files: Files, place: int, name: str) -> bool:
    """Whether a column of a table with types may be that of a field: by its name, or as the user declares."""
    declared = set() if files.columns is None else {*files.columns.model_dump(exclude_none=True).values()}
    if files.time is not None:
        declared |= {*(files.time.columns or ())}
    return is_known(name) or place + 1 in declared or name in declared or plain(name) in map(plain, map(str, declared))


def _instead_of(stem: str) -> str:
    """What a file's name says that it is."""
    expected = next((what for suffix, what in _SUFFIXES.items() if stem.lower().endswith(suffix)), None)
    return f"no {expected} but " if expected else ""
