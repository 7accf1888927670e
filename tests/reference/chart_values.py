"""The values of the Helm chart: defaults of values.yaml, and what the schema accepts and says of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from reference.markdown import code, prose, table

CHART = Path(__file__).parents[2] / "charts" / "tapedeck"


class Value(NamedTuple):
    """A value of the chart, or a group of values: then it has neither default nor type of its own."""

    path: str
    default: str
    accepts: str
    about: str


def page() -> str:
    """The page of values."""
    sections: dict[str, list[Value]] = {}
    for value in values():
        sections.setdefault(value.path.split(".")[0], []).append(value)
    parts = [
        "# Chart values\n",
        "The defaults are those of [values.yaml](../../charts/tapedeck/values.yaml), and the program's own where it "
        "has none. Helm checks values against the chart's [schema](../../charts/tapedeck/values.schema.json), which "
        "describes them; a name that it lacks is refused.\n",
    ]
    for section, (first, *rest) in sections.items():
        shown = rest or [first]
        rows = [(code(each.path), code(each.default), each.accepts, prose(each.about)) for each in shown]
        heading = [f"{prose(first.about)}\n"] if rest else []
        parts += [f"## {section}\n", *heading, table(("value", "default", "accepts", "what it is"), rows)]
    return "\n".join(parts)


def values() -> list[Value]:
    """Every value in the order of values.yaml, after its group; what the schema alone has is last in its group."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    return [*_members("", [schema], defaults, schema["definitions"])]


def _members(path: str, nodes: list[Any], defaults: Mapping[str, Any], definitions: Any) -> Iterator[Value]:
    for name in dict.fromkeys([*defaults, *_names(nodes)]):
        below, inner = path + name.replace(".", "\\."), _property(nodes, name, definitions)  # as --set takes it
        default = defaults.get(name)
        about = _first(inner, "description") or ""
        if _names(inner) and isinstance(default, dict | None):
            yield Value(below, "", "", about)
            yield from _members(f"{below}.", inner, default or {}, definitions)
            continue
        shown = _first(inner, "default") if name not in defaults else default
        yield Value(below, _shown(shown), _accepted(inner, definitions), about)
        for each in inner:
            items = _parts(each.get("items", {}), definitions)
            yield from _members(f"{below}[].", items, {}, definitions)


def _parts(node: Any, definitions: Any) -> list[Any]:
    """A schema and those that it consists of, its own first."""
    referred = [definitions[node["$ref"].rsplit("/", 1)[1]]] if "$ref" in node else []
    return [node, *(part for each in (*referred, *node.get("allOf", ())) for part in _parts(each, definitions))]


def _property(nodes: list[Any], name: str, definitions: Any) -> list[Any]:
    """The schemas of a property; where one does not name it, that of further properties."""
    found = [node.get("properties", {}).get(name, node.get("additionalProperties")) for node in nodes]
    return [part for each in found if isinstance(each, dict) for part in _parts(each, definitions)]


def _names(nodes: list[Any]) -> list[str]:
    """The properties that are named, and that no schema refuses by naming all there are."""
    closed = [node["properties"] for node in nodes if node.get("additionalProperties") is False]
    names = [name for node in nodes for name in node.get("properties", ())]
    return [name for name in names if all(name in each for each in closed)]


def _first(nodes: list[Any], key: str) -> Any:
    return next((node[key] for node in nodes if key in node), None)


def _shown(value: Any) -> str:
    return "" if value in ("", None) else json.dumps(value, ensure_ascii=False)


def _accepted(nodes: list[Any], definitions: Any) -> str:
    if (choices := _first(nodes, "enum")) is not None:
        return ", ".join(code(each or '""') for each in choices)
    kinds = _first(nodes, "type") or ""
    if kinds == "array" and (items := _first(nodes, "items")) is not None:
        return f"list of {_accepted(_parts(items, definitions), definitions) or 'any'}"
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    bounds = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
    limits = [f"{words} {_first(nodes, name)}" for name, words in bounds if _first(nodes, name) is not None]
    return " ".join([text, *limits])
