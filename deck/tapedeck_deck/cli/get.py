"""`tapedeck get`: print objects as tables, JSON, YAML or names, once or on every change."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tapedeck_crds.json import Json
from tapedeck_deck.cli.context import fail_with, print_errors
from tapedeck_deck.cli.kinds import (
    MissingObject,
    NamedObject,
    columns_of,
    find_each,
    label,
    parse_kinds,
    parse_targets,
)
from tapedeck_deck.cli.output import DOCUMENTS, NAME, TABLE, WIDE, YAML, as_text
from tapedeck_deck.cli.printing import print_note, print_text
from tapedeck_deck.cli.text_table import TextTable, row
from tapedeck_deck.embedded.objects import Objects

WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class ObjectSelection:
    """Objects of some kinds, in a namespace (None: in all); only the ``named`` ones where there are any."""

    kinds: tuple[str, ...]
    namespace: str | None
    named: tuple[NamedObject, ...] = ()

    def matching(self, objects: Objects) -> tuple[list[Json], list[MissingObject]]:
        """The objects, and an error for each named one that is missing."""
        if self.named:
            return find_each(objects, [(kind, self.namespace or "default", name) for kind, name in self.named])
        return self.present(objects), []

    def present(self, objects: Objects) -> list[Json]:
        """As ``matching``, without those that are missing."""
        found = [document for kind in self.kinds for document in objects.list(kind, self.namespace)]
        return [d for d in found if not self.named or NamedObject(d["kind"], d["metadata"]["name"]) in self.named]

    @property
    def absence(self) -> str:
        """What is said where there is no object of the kinds."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"no {' or '.join(kind.lower() for kind in self.kinds)}{where}"


def parse_selection(words: Sequence[str], namespace: str, *, everywhere: bool = False) -> ObjectSelection:
    """What KIND, KIND NAME… or KIND/NAME… select; a kind ``everywhere`` is one of all namespaces.

    Raises WrongArgument.
    """
    named = parse_targets(words) if len(words) > 1 or "/" in words[0] else ()
    kinds = tuple(dict.fromkeys(each.kind for each in named)) or parse_kinds(words[0])
    return ObjectSelection(kinds, None if everywhere and not named else namespace, named)


class ObjectPrinter:
    """Prints objects of some kinds in one format."""

    def __init__(self, kinds: Sequence[str], output: str) -> None:
        self._kinds = kinds
        self._format = output
        self._tables: dict[str, TextTable] = {}

    def show(self, documents: list[Json], *, single: bool) -> None:
        """Print all objects at once: a table for each kind, or one JSON or YAML document."""
        if self._format in DOCUMENTS:
            print_text(as_text(documents[0] if single else list_of(documents), self._format))
        elif self._format == NAME:
            for document in documents:
                print_text(label(document))
        else:
            self._show_tables(documents)

    def show_change(self, document: Json) -> None:
        """Print one changed object below the earlier output."""
        if self._format in (TABLE, WIDE):
            has_header = document["kind"] in self._tables
            for line in self._lines(document["kind"], [document], header=not has_header):
                print_text(line, flush=True)
        else:
            if self._format == YAML:
                print_text("---")
            print_text(label(document) if self._format == NAME else as_text(document, self._format), flush=True)

    def _show_tables(self, documents: list[Json]) -> None:
        present = [kind for kind in self._kinds if any(d["kind"] == kind for d in documents)]
        for number, kind in enumerate(present):
            if number:
                print_text()
            print_text(
                "\n".join(self._lines(kind, [d for d in documents if d["kind"] == kind], header=True)), flush=True
            )

    def _lines(self, kind: str, documents: list[Json], *, header: bool) -> list[str]:
        columns = [c for c in columns_of(kind) if c.priority == 0 or self._format == WIDE]
        table = self._tables.setdefault(kind, TextTable(["name", *(c.name for c in columns)]))
        prefix = f"{kind.lower()}/" if len(self._kinds) > 1 else ""
        now = datetime.now(UTC)
        return table.lines([row(d, columns, now, prefix=prefix) for d in documents], header=header)


def list_of(documents: list[Json]) -> Json:
    """Several objects as one document."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": documents}


def print_objects(objects: Objects, selection: ObjectSelection, output: str) -> None:
    """Print the selected objects, then an error for each named one that is missing, and exit with code 1 for these."""
    found, missing = selection.matching(objects)
    if not found and not missing and output not in DOCUMENTS:
        print_note(selection.absence)
    if found or not missing:
        ObjectPrinter(selection.kinds, output).show(found, single=len(selection.named) == 1)
    fail_with(missing)


def watch_objects(objects: Objects, selection: ObjectSelection, output: str) -> None:
    """Print the selected objects, then each object again when it changes, until interrupted.

    A named one that is missing is printed when it is created; exits with code 1 where all are missing.
    """
    printer = ObjectPrinter(selection.kinds, output)
    version = objects.version
    found, missing = selection.matching(objects)
    if found:
        printer.show(found, single=len(selection.named) == 1)
        print_errors(missing)
    else:
        fail_with(missing)
    printed = _versions(found)
    while True:
        time.sleep(WATCH_SECONDS)
        if objects.version == version:
            continue
        version = objects.version
        found = selection.present(objects)
        for document in found:
            if printed.get(document["metadata"]["uid"]) != document["metadata"]["resourceVersion"]:
                printer.show_change(document)
        printed = _versions(found)


def _versions(documents: list[Json]) -> dict[str, str]:
    return {d["metadata"]["uid"]: d["metadata"]["resourceVersion"] for d in documents}
