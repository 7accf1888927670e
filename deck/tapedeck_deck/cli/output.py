"""The option `-o`: the formats in which commands print, and values as JSON or YAML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from tapedeck_crds.json import Json
from tapedeck_deck.cli.printing import print_text


class OutputFormat(StrEnum):
    """The values of `-o`."""

    TABLE = "table"
    TEXT = "text"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"
    CSV = "csv"


TABLE, TEXT, WIDE, YAML, JSON, NAME, CSV = OutputFormat
DOCUMENTS = (YAML, JSON)
"""The formats that print one document."""
FORM = "FORM"
"""How the help calls a value of `-o`."""


def _output(*formats: OutputFormat) -> Any:
    expected = f"{', '.join(formats[:-1])} or {formats[-1]}"

    def checked(value: str) -> str:
        if value not in list(formats):
            raise typer.BadParameter(f"got {value!r}, expected {expected}")
        return value

    def proposed(incomplete: str) -> list[str]:
        return [each for each in formats if each.startswith(incomplete)]

    return typer.Option("--output", "-o", metavar=FORM, help=f"{expected}.", callback=checked, autocompletion=proposed)


ObjectForm = Annotated[str, _output(TABLE, WIDE, YAML, JSON, NAME)]
"""Of a command that shows resources, or rows that have a name."""
ChangeForm = Annotated[str, _output(TEXT, YAML, JSON, NAME)]
"""Of a command that changes resources."""
TableForm = Annotated[str, _output(TABLE, YAML, JSON)]
LiveForm = Annotated[str, _output(TABLE, YAML, JSON)]
"""Of a command that shows a state again and again: YAML has a document for each, JSON a line."""
RowsForm = Annotated[str, _output(TABLE, CSV, YAML, JSON)]
TextForm = Annotated[str, _output(TEXT, YAML, JSON)]
ListForm = Annotated[str, _output(TEXT, YAML, JSON, NAME)]


def print_lines(lines: Iterable[str]) -> None:
    """Print each line; nothing where there is none."""
    for line in lines:
        print_text(line)


def is_shown(text: str) -> bool:
    """Whether a terminal shows the text as it is; it would obey what is not printable, so that is escaped."""
    return text.replace("\n", "").isprintable()


def as_json_line(value: Any) -> str:
    """JSON on one line, in ASCII where a terminal would obey a character of it. Raises ValueError for infinity."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if is_shown(text) else json.dumps(value, allow_nan=False)


def as_yaml_line(value: Any) -> str:
    """YAML on one line with its end, with escapes where a terminal would obey a character."""
    import yaml

    options: dict[str, Any] = {"default_flow_style": True, "width": math.inf, "sort_keys": False}
    text: str = yaml.safe_dump(value, allow_unicode=True, **options)
    return text if is_shown(text) else yaml.safe_dump(value, **options)


def as_yaml_stream(documents: Iterable[Json]) -> str:
    """Documents of YAML one after another, with escapes where a terminal would obey a character."""
    import yaml

    found = [*documents]
    text = yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True)
    return text if is_shown(text) else yaml.safe_dump_all(found, sort_keys=False)


def as_text(value: Json | list[Json], output: str) -> str:
    """JSON or YAML of a value, with its keys in their own order."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if output == JSON:
        return text if is_shown(text) else json.dumps(value, indent=2)
    import yaml

    class Readable(yaml.SafeDumper):
        """Writes a text of several lines, such as a traceback, as a literal block."""

        def represent_text(self, text: str) -> yaml.ScalarNode:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Readable.add_representer(str, Readable.represent_text)
    return yaml.dump(value, Dumper=Readable, sort_keys=False, allow_unicode=is_shown(text), width=110).rstrip("\n")
