"""`tapedeck get`: print objects as tables, JSON, YAML or names, once or on every change."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from tapedeck_crds.json import Json
from tapedeck_deck.cli.context import print_note
from tapedeck_deck.cli.kinds import columns_of, find, label
from tapedeck_deck.cli.text_table import TextTable, row
from tapedeck_deck.embedded.objects import Objects

WATCH_SECONDS = 0.2


class OutputFormat(StrEnum):
    """The values of `-o`."""

    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


class ObjectPrinter:
    """Prints objects of some kinds in one format."""

    def __init__(self, kinds: Sequence[str], output: OutputFormat) -> None:
        self._kinds = kinds
        self._format = output
        self._tables: dict[str, TextTable] = {}

    def show(self, documents: list[Json], *, single: bool) -> None:
        """Print all objects at once: a table for each kind, or one JSON or YAML document."""
        if self._format in (OutputFormat.JSON, OutputFormat.YAML):
            print(as_text(documents[0] if single else _list_of(documents), self._format))
        elif self._format is OutputFormat.NAME:
            for document in documents:
                print(label(document))
        else:
            self._show_tables(documents)

    def show_change(self, document: Json) -> None:
        """Print one changed object below the earlier output."""
        if self._format in (OutputFormat.TABLE, OutputFormat.WIDE):
            has_header = document["kind"] in self._tables
            for line in self._lines(document["kind"], [document], header=not has_header):
                print(line, flush=True)
        else:
            if self._format is OutputFormat.YAML:
                print("---")
            print(label(document) if self._format is OutputFormat.NAME else as_text(document, self._format), flush=True)

    def _show_tables(self, documents: list[Json]) -> None:
        present = [kind for kind in self._kinds if any(d["kind"] == kind for d in documents)]
        for number, kind in enumerate(present):
            if number:
                print()
            for line in self._lines(kind, [d for d in documents if d["kind"] == kind], header=True):
                print(line, flush=True)

    def _lines(self, kind: str, documents: list[Json], *, header: bool) -> list[str]:
        columns = [c for c in columns_of(kind) if c.priority == 0 or self._format is OutputFormat.WIDE]
        table = self._tables.setdefault(kind, TextTable(["name", *(c.name for c in columns)]))
        prefix = f"{kind.lower()}/" if len(self._kinds) > 1 else ""
        now = datetime.now(UTC)
        return table.lines([row(d, columns, now, prefix=prefix) for d in documents], header=header)


def as_text(value: Json, output: OutputFormat) -> str:
    """JSON or YAML of a value, with its keys in their own order."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    is_printable = text.replace("\n", "").isprintable()  # a terminal would obey what is not, so that is escaped
    if output is OutputFormat.JSON:
        return text if is_printable else json.dumps(value, indent=2)
    import yaml

    class Readable(yaml.SafeDumper):
        """Writes a text of several lines, such as a traceback, as a literal block."""

        def represent_text(self, text: str) -> yaml.ScalarNode:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Readable.add_representer(str, Readable.represent_text)
    return yaml.dump(value, Dumper=Readable, sort_keys=False, allow_unicode=is_printable, width=110).rstrip("\n")


def _list_of(documents: list[Json]) -> Json:
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": documents}


def print_objects(
    objects: Objects, kinds: tuple[str, ...], namespace: str | None, name: str | None, output: OutputFormat
) -> list[Json]:
    """Print the matching objects and return them; ``namespace`` None means all. Raises DeckError for a missing one."""
    found = _matching(objects, kinds, namespace, name)
    if not found and output in (OutputFormat.TABLE, OutputFormat.WIDE, OutputFormat.NAME):
        where = f" in namespace {namespace}" if namespace else ""
        print_note(f"no {' or '.join(k.lower() for k in kinds)}{where}")
    ObjectPrinter(kinds, output).show(found, single=name is not None)
    return found


def watch_objects(
    objects: Objects, kinds: tuple[str, ...], namespace: str | None, name: str | None, output: OutputFormat
) -> None:
    """Print the matching objects, then each object again when it changes, until interrupted."""
    printer = ObjectPrinter(kinds, output)
    version = objects.version
    found = _matching(objects, kinds, namespace, name)
    if found:
        printer.show(found, single=name is not None)
    printed = _versions(found)
    while True:
        time.sleep(WATCH_SECONDS)
        if objects.version == version:
            continue
        version = objects.version
        found = [d for kind in kinds for d in objects.list(kind, namespace) if name in (None, d["metadata"]["name"])]
        for document in found:
            if printed.get(document["metadata"]["uid"]) != document["metadata"]["resourceVersion"]:
                printer.show_change(document)
        printed = _versions(found)


def _versions(documents: list[Json]) -> dict[str, str]:
    return {d["metadata"]["uid"]: d["metadata"]["resourceVersion"] for d in documents}


def _matching(objects: Objects, kinds: tuple[str, ...], namespace: str | None, name: str | None) -> list[Json]:
    if name is not None:
        return [find(objects, kinds[0], namespace or "default", name)]
    return [document for kind in kinds for document in objects.list(kind, namespace)]
