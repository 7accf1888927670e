"""A user's own layout: a YAML file with the fields of a Feed's files, or in the form of Tapedeck's own presets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tapedeck_crds.file_presets import FOLDER
from tapedeck_crds.files import EVERY, FileColumns, Files, formats
from tapedeck_crds.validation import validation_problems
from tapedeck_deck.embedded.errors import DeckError

SIZE_MAX = 65_536
SKIP = "-"
_NOTES = ("about", "source", "named", "ordered", "common", "types", "assumed")
"""Fields of presets that serve their recognition: a layout that is named needs none."""


def layout_fields(layout: str) -> dict[str, Any]:
    """The fields of Files for the name of a preset, or for a file. Raises DeckError."""
    if layout in formats():
        return {"format": layout}
    path = Path(layout)
    if not path.is_file():
        raise DeckError(f"--layout: got {layout}, expected a YAML file or one of {', '.join(formats())}")
    fields = _translated(layout, _read(path))
    given = {"exchange": "x", "sets": [{"path": EVERY}]} | fields
    from pydantic import ValidationError

    try:
        Files.model_validate(given)
    except ValidationError as error:
        raise DeckError("\n".join(validation_problems(error, f"{layout}: ", Files))) from None
    return fields


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(SIZE_MAX + 1)
        if len(content) > SIZE_MAX:
            raise DeckError(f"{path}: got more than {SIZE_MAX} bytes, expected the fields of a layout, as in {FOLDER}")
        document = yaml.safe_load(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeckError(f"{path}: cannot be read: {error}") from None
    if not isinstance(document, dict) or "sets" in document:
        raise DeckError(f"{path}: expected the fields of files without sets, as in {FOLDER}")
    return document


def _translated(layout: str, document: dict[str, Any]) -> dict[str, Any]:
    """The fields of Files: columns in their order become numbers, and a header names them."""
    fields = {name: value for name, value in document.items() if name not in _NOTES}
    if "file" in fields:
        fields["fileName"] = str(fields.pop("file")).replace("{word}", "{any}")
    if isinstance(fields.get("header"), list):  # the names, by which the columns are recognized
        fields["header"] = True
    if isinstance(columns := fields.get("columns"), list):
        fields["columns"], times = _numbered(layout, columns)
        if times:
            time = fields.get("time")
            fields["time"] = {"columns": times} | (time if isinstance(time, dict) else {})
    return fields


def _numbered(layout: str, columns: list[Any]) -> tuple[dict[str, int], list[int]]:
    """The numbers of the fields' columns, and those of date and time of day. Other names with a type are skipped."""
    found: dict[str, int] = {}
    times: list[int] = []
    for number, column in enumerate(columns, 1):
        name, _, type_ = str(column).partition(":")
        if type_ in ("date", "clock"):
            times.append(number)
        elif name in FileColumns.model_fields:
            found[name] = number
        elif name != SKIP and not type_:
            known = ", ".join(FileColumns.model_fields)
            raise DeckError(
                f"{layout}: columns: got {name!r}, expected {known}, or {SKIP} for a column without a field"
            )
    return found, times
