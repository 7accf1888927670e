"""`tapedeck get`: objects as tables, data or names, once or as they change."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from tapedeck_crds.json import Json
from tapedeck_deck.cli.kinds import columns_of, find, label
from tapedeck_deck.cli.session import say
from tapedeck_deck.cli.table import Table, row
from tapedeck_deck.embedded.objects import Objects

WATCH_SECONDS = 0.2


class Output(StrEnum):
    """The forms of `-o`."""

    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


class Viewer:
    """Prints objects of some kinds in one form."""

    def __init__(self, kinds: Sequence[str], form: Output) -> None:
        self._kinds = kinds
        self._form = form
        self._tables: dict[str, Table] = {}

    def show(self, documents: list[Json], *, single: bool) -> None:
        """Print all at once: a table for each kind, or one value."""
        if self._form in (Output.JSON, Output.YAML):
            print(as_text(documents[0] if single else _list_of(documents), self._form))
        elif self._form is Output.NAME:
            for document in documents:
                print(label(document))
        else:
            self._show_tables(documents)

    def show_change(self, document: Json) -> None:
        """Print one object that has changed, below what was printed before."""
        if self._form in (Output.TABLE, Output.WIDE):
            known = document["kind"] in self._tables
            for line in self._lines(document["kind"], [document], header=not known):
                print(line, flush=True)
        else:
            if self._form is Output.YAML:
                print("---")
            print(label(document) if self._form is Output.NAME else as_text(document, self._form), flush=True)

    def _show_tables(self, documents: list[Json]) -> None:
        present = [kind for kind in self._kinds if any(d["kind"] == kind for d in documents)]
        for number, kind in enumerate(present):
            if number:
                print()
            for line in self._lines(kind, [d for d in documents if d["kind"] == kind], header=True):
                print(line, flush=True)

    def _lines(self, kind: str, documents: list[Json], *, header: bool) -> list[str]:
        columns = [c for c in columns_of(kind) if c.priority == 0 or self._form is Output.WIDE]
        table = self._tables.setdefault(kind, Table(["name", *(c.name for c in columns)]))
        prefix = f"{kind.lower()}/" if len(self._kinds) > 1 else ""
        now = datetime.now(UTC)
        return table.lines([row(d, columns, now, prefix=prefix) for d in documents], header=header)


def as_text(value: Json, form: Output) -> str:
    """JSON or YAML of a value, keys in the order that people expect."""
    if form is Output.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False)
    import yaml

    class Readable(yaml.SafeDumper):
        """Texts of several lines, such as the trace of a strategy, as such lines."""

        def represent_text(self, text: str) -> yaml.ScalarNode:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Readable.add_representer(str, Readable.represent_text)
    return yaml.dump(value, Dumper=Readable, sort_keys=False, allow_unicode=True, width=110).rstrip("\n")


def _list_of(documents: list[Json]) -> Json:
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": documents}


def get(objects: Objects, kinds: tuple[str, ...], namespace: str | None, name: str | None, form: Output) -> list[Json]:
    """Print what matches and return it. ``namespace`` None means all. Raises DeckError for a name that is not there."""
    found = _matching(objects, kinds, namespace, name)
    if not found and form in (Output.TABLE, Output.WIDE, Output.NAME):
        where = f" in namespace {namespace}" if namespace else ""
        say(f"no {' or '.join(k.lower() for k in kinds)}{where}")
    Viewer(kinds, form).show(found, single=name is not None)
    return found


def watch(objects: Objects, kinds: tuple[str, ...], namespace: str | None, name: str | None, form: Output) -> None:
    """Print what matches, then each object again whenever it changes, until interrupted."""
    viewer = Viewer(kinds, form)
    version = objects.version
    found = _matching(objects, kinds, namespace, name)
    viewer.show(found, single=name is not None) if found else None
    seen = _versions(found)
    while True:
        time.sleep(WATCH_SECONDS)
        if objects.version == version:
            continue
        version = objects.version
        found = [d for kind in kinds for d in objects.list(kind, namespace) if name in (None, d["metadata"]["name"])]
        for document in found:
            if seen.get(document["metadata"]["uid"]) != document["metadata"]["resourceVersion"]:
                viewer.show_change(document)
        seen = _versions(found)


def _versions(documents: list[Json]) -> dict[str, str]:
    return {d["metadata"]["uid"]: d["metadata"]["resourceVersion"] for d in documents}


def _matching(objects: Objects, kinds: tuple[str, ...], namespace: str | None, name: str | None) -> list[Json]:
    if name is not None:
        return [find(objects, kinds[0], namespace or "default", name)]
    return [document for kind in kinds for document in objects.list(kind, namespace)]
