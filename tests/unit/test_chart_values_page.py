"""The schema of the chart describes every value, the page has each with its description, and the defaults are valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import yaml

from reference.chart_values import CHART, page, values
from tapedeck_gateway.options import GatewayLimits

ROW = re.compile(r"^\| `([^`]+)` \| .* \| (?P<about>[^|]*) \|$", re.MULTILINE)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def test_the_schema_describes_every_value_in_sentences() -> None:
    undescribed = [value.path for value in values() if not re.fullmatch(r"\S.*\S\.", value.about)]
    assert undescribed == []


def test_every_row_of_the_page_says_what_the_value_is() -> None:
    text = page()
    rows = {row[1]: row["about"].strip() for row in ROW.finditer(text)}
    assert len(rows) == len(re.findall(r"^\| `", text, re.MULTILINE)) > 200
    assert [path for path, about in rows.items() if not about] == []


def test_the_page_has_every_default() -> None:
    """A map with keys of the user's choice, such as labels, is one value."""
    shown = {value.path for value in values()}
    maps = {value.path for value in values() if value.default.startswith("{")}
    assert [leaf for leaf in _leaves(DEFAULTS) if leaf not in shown and leaf.rpartition(".")[0] not in maps] == []


def test_the_defaults_are_valid() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(DEFAULTS)


def test_the_page_has_the_defaults_of_the_gateways_limits() -> None:
    limits = SCHEMA["properties"]["gateway"]["properties"]["limits"]["properties"]
    defaults = {field.alias: field.default for field in GatewayLimits.model_fields.values()}
    assert {name: limit["default"] for name, limit in limits.items()} == defaults
