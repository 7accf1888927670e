"""The queries of the chart's dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tapedeck_crds.json import Json

FOLDER = Path(__file__).parents[2] / "charts/tapedeck/dashboards"
FILES = sorted(FOLDER.glob("*.json"))


def read(path: Path) -> Json:
    document: Json = json.loads(path.read_text())
    return document


def queries(document: Json, field: str) -> Iterator[tuple[str, str]]:
    """Panel title and query: ``expr`` for PromQL, ``rawSql`` for SQL."""
    for panel in document["panels"]:
        for target in panel["targets"]:
            if field in target:
                yield panel["title"], target[field]


def variables(document: Json, kind: str) -> Iterator[tuple[str, str]]:
    """Name and query of the variables with the data source ``prometheus`` or ``store``."""
    for variable in document["templating"]["list"]:
        if variable["type"] == "query" and variable["datasource"]["uid"] == f"${{{kind}}}":
            query = variable["query"]
            yield variable["name"], query if isinstance(query, str) else query["query"]
