"""The values of the Helm chart: each with its default, what its schema accepts, and the comment beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from reference.markdown import code, prose, table

CHART = Path(__file__).parents[2] / "charts" / "tapedeck"
_LIKE_YAML = re.compile(r"^(- )?[A-Za-z]+: \S|^  +[a-z]+: ")


def page() -> str:
    """The page of values."""
    text = (CHART / "values.yaml").read_text()
    root = yaml.compose(text)
    lines = text.splitlines()
    sections: dict[str, list[tuple[str, ...]]] = {}
    abouts: dict[str, str] = {}
    for path, node, about in _values(root, lines):
        section = path.split(".")[0]
        if path == section and isinstance(node, yaml.MappingNode) and node.value:
            abouts[section] = about
            sections.setdefault(section, [])
            continue
        if isinstance(node, yaml.MappingNode) and node.value:
            if about:
                sections[section].append((code(path), "", "", prose(about)))
            continue
        sections.setdefault(section, []).append((code(path), _default(node), _accepted(path), prose(about)))
    parts = [
        "# Chart values\n",
        "The defaults are those of [values.yaml](../../charts/tapedeck/values.yaml). Helm checks values against "
        "the chart's "
        "schema; a name that it lacks is refused.\n",
    ]
    for section, rows in sections.items():
        heading = [f"{prose(abouts[section])}\n"] if abouts.get(section) else []
        parts += [f"## {section}\n", *heading, table(("value", "default", "accepts", "what it is"), rows)]
    return "\n".join(parts)


def _values(root: Any, lines: list[str], path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each value with the comment above and beside it; that of values on one line is their parent's."""
    for key, node in root.value:
        below = f"{path}.{key.value}" if path else key.value
        own_line = lines[key.start_mark.line].lstrip().startswith((f"{key.value}:", f'"{key.value}":'))
        about = _comment(lines, key.start_mark.line) if own_line else ""
        yield below, node, about
        if isinstance(node, yaml.MappingNode):
            yield from _values(node, lines, below)


def _comment(lines: list[str], number: int) -> str:
    above: list[str] = []
    place = number - 1
    while place >= 0 and lines[place].lstrip().startswith("# "):
        above.insert(0, lines[place].lstrip()[2:])
        place -= 1
    if place >= 0 and re.search(
        r": (\{\}|\[\])(\s|$)", lines[place]
    ):  # what follows an empty value may be an example of it
        while above and _LIKE_YAML.match(above[0]):
            above.pop(0)
    beside = re.search(r"\s# (.*)$", lines[number])
    return " ".join([*above, *([beside[1]] if beside else [])])


def _default(node: Any) -> str:
    value = yaml.safe_load(yaml.serialize(node))
    return code(json.dumps(value, ensure_ascii=False)) if value not in ("", None) else ""


def _accepted(path: str) -> str:
    schema = json.loads((CHART / "values.schema.json").read_text())
    node: Any = schema
    for name in path.split("."):
        node = _property(schema, node, name)
        if node is None:
            return ""
    return _described(schema, node)


def _property(schema: Any, node: Any, name: str) -> Any:
    """The schema of a property; of one that is named without a schema, that of the parts which it consists of."""
    node = _resolved(schema, node)
    found = node.get("properties", {}).get(name)
    if found:
        return found
    for part in node.get("allOf", ()):
        inner = _property(schema, part, name)
        if inner is not None:
            return inner
    more = node.get("additionalProperties")
    return more if isinstance(more, dict) else found


def _resolved(schema: Any, node: Any) -> Any:
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _described(schema: Any, node: Any) -> str:
    node = _resolved(schema, node)
    if "enum" in node:
        return ", ".join(code(each) for each in node["enum"])
    kinds = node.get("type", "")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if text == "array" and "items" in node:
        return f"list of {_described(schema, node['items']) or 'any'}"
    bounds = [f"{words} {node[name]}" for name, words in (("minimum", "from"), ("maximum", "to")) if name in node]
    return " ".join([text, *bounds])
