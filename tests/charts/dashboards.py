"""The dashboards that the chart installs, and every expression that they ask data sources for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from tapedeck_crds.json import Json

FOLDER = Path(__file__).parents[2] / "charts/tapedeck/dashboards"
FILES = sorted(FOLDER.glob("*.json"))
Language = Literal["promql", "sql"]
_SOURCES: dict[str, Language] = {"${datasource}": "promql", "${store}": "sql"}


class Expression(NamedTuple):
    """What a panel or a variable asks for. ``place``: `<dashboard>: <panel>`, or `<dashboard>: $<variable>`."""

    place: str
    language: Language
    text: str


def read(path: Path) -> Json:
    document: Json = json.loads(path.read_text())
    return document


def expressions(language: Language) -> list[Expression]:
    """Every expression of all dashboards in a language; a panel with several has each."""
    found = [each for path in FILES for each in (*_of_panels(path), *_of_variables(path))]
    return [each for each in found if each.language == language]


def statement(place: str) -> str:
    """The SQL of a panel or a variable."""
    (text,) = (each.text for each in expressions("sql") if each.place == place)
    return text


def _of_panels(path: Path) -> Iterator[Expression]:
    for panel in read(path)["panels"]:
        for target in panel.get("targets", ()):
            language = _SOURCES[target["datasource"]["uid"]]
            text = target["expr" if language == "promql" else "rawSql"]
            yield Expression(f"{path.stem}: {panel['title']}", language, text)


def _of_variables(path: Path) -> Iterator[Expression]:
    for variable in read(path)["templating"]["list"]:
        if variable["type"] == "query":
            language = _SOURCES[variable["datasource"]["uid"]]
            yield Expression(f"{path.stem}: ${variable['name']}", language, variable["query"])


def as_promql(text: str) -> str:
    """The expression with Grafana's variables replaced by a range and by a pattern that matches all, no value too."""
    replaced = re.sub(r"\$\w+", ".*", text.replace("[$__rate_interval]", "[5m]"))
    if (variable := re.fullmatch(r"label_values\((.*), \w+\)", replaced)) is not None:
        return variable[1]
    return replaced


def as_sql(text: str, start: str, end: str, values: Mapping[str, str | tuple[str, ...]]) -> str:
    """The statement with Grafana's macros of the time range, and its variables, replaced; a variable may have several
    values, or none."""
    text = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN '{start}' AND '{end}'", text)
    text = text.replace("$__timeFrom()", f"'{start}'").replace("$__timeTo()", f"'{end}'")
    for name, value in values.items():
        parts = [value] if isinstance(value, str) else value
        quoted = ",".join("'" + part.replace("'", "''") + "'" for part in parts)
        text = text.replace(f"${{{name}:sqlstring}}", quoted)
    assert "$" not in text, text
    return text
