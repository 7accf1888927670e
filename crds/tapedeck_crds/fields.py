"""The fields of a kind for readers: path, type, default, unit and limits, as the schema of its CRD has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.schema import crd

NO_DEFAULT: Any = object()
# A unit follows from the last word of a name, or from the words by which a description gives it.
_UNIT_WORDS = {
    "seconds": "seconds", "percent": "percent", "bytes": "bytes", "ms": "milliseconds", "days": "days", "bars": "bars",
    "intervals": "intervals",
}  # fmt: skip
_UNIT_PHRASES = (
    (r"virtual seconds per second", "virtual seconds per second"),
    (r"percent per day|24 hours, percent", "percent per day"),
    (r"virtual seconds\.", "virtual seconds"),
    (r"milliseconds utc", "milliseconds UTC"),
    (r"\bseconds[.;,]|^seconds\b", "seconds"),
    (r"in the quote currency", "quote currency"),
    (r"in the base currency", "base currency"),
    (r"\bpercent[.;,]|\bpercent of\b", "percent"),
    (r"per year of 365 days", "per year"),
    (r"^bars per second", "bars per second"),
    (r"^lines before", "lines"),
    (r"^a number of units", "units"),
    (r"^number of values", "values"),
    (r"^number of (earlier )?records", "records"),
)
_LIMITS = (
    ("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)  # fmt: skip


@dataclass(frozen=True)
class SchemaField:
    """One field. ``path`` begins with the kind in lower case; [] are the items of a list, as in spec.scenario[].shock.

    ``default`` is NO_DEFAULT where there is none; ``values`` are those of an enumeration.
    """

    path: str
    type: str
    description: str
    required: bool
    default: Any = NO_DEFAULT
    values: tuple[Any, ...] = ()
    limits: tuple[str, ...] = ()
    fields: tuple[SchemaField, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        return self.path.rsplit(".", 1)[-1].removesuffix("[]")

    @property
    def unit(self) -> str:
        """The unit of a number, or the format of a text that is a time; empty if there is none."""
        if self.type == "time":
            return "RFC 3339 with an offset"
        if self.type.removeprefix("[]") not in ("number", "integer"):
            return ""
        said = self.description.lower()
        for phrase, unit in _UNIT_PHRASES:
            if re.search(phrase, said):
                return unit
        return _UNIT_WORDS.get(re.sub(r"([A-Z])", r" \1", self.name).lower().split()[-1], "")

    def walk(self) -> Iterator[SchemaField]:
        """All fields below this one, each before those in it."""
        for each in self.fields:
            yield each
            yield from each.walk()


@cache
def kind_fields(kind: str) -> SchemaField:
    """A kind as a field that has ``spec`` and ``status``."""
    schema = crd(KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = {name: schema["properties"][name] for name in ("spec", "status")}
    return _field(kind.lower(), schema | {"properties": properties}, required=True)


def find_field(kind: str, names: list[str]) -> SchemaField:
    """The field at a path below a kind, without the [] of lists. Raises InvalidInput that names what is there."""
    found = kind_fields(kind)
    for name in names:
        below = {each.name: each for each in found.fields}
        if name not in below:
            near = get_close_matches(name, below, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            expected = f"expected one of {', '.join(below)}" if below else "expected no field below it"
            raise InvalidInput(f"{found.path}: got {name!r}, {expected}{hint}")
        found = below[name]
    return found


def _field(path: str, schema: Json, *, required: bool) -> SchemaField:
    is_list = schema.get("type") == "array"
    inner = schema.get("items", {}) if is_list else schema
    below = f"{path}[]" if is_list else path
    mandatory = set(inner.get("required", ()))
    children = tuple(
        _field(f"{below}.{name}", each, required=name in mandatory)
        for name, each in inner.get("properties", {}).items()
    )
    return SchemaField(
        path=below,
        type=_type(schema),
        description=_description(schema, inner),
        required=required,
        default=schema.get("default", NO_DEFAULT),
        values=tuple(schema.get("enum") or inner.get("enum") or ()),
        limits=tuple(_limits(schema)),
        fields=children,
    )


def _type(schema: Json) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("type") == "array":
        return f"[]{_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("type") or "any")


def _description(schema: Json, inner: Json) -> str:
    said = schema.get("description") or inner.get("description") or ""
    return " ".join(str(said).split())


def _limits(schema: Json) -> Iterator[str]:
    for lowest, highest, noun in _LIMITS:
        low, high = schema.get(lowest), schema.get(highest)
        if low is not None and high is not None and not schema.get("exclusiveMinimum"):
            yield f"{_number(low)} to {_number(high)}{noun}"
            continue
        if low is not None:
            yield f"{'more than' if schema.get('exclusiveMinimum') else 'at least'} {_number(low)}{noun}"
        if high is not None:
            yield f"at most {_number(high)}{noun}"


def _number(value: float) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else f"{value:,}"
