"""The generated CRDs: up to date with the types, and valid for an API server; and the list of built-in strategies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from tapedeck_backtest.strategies import __main__ as strategies
from tapedeck_crds.backtest import Builtin
from tapedeck_crds.builtin_strategies import FILE, builtin_strategies

FOLDER = Path(__file__).parents[2] / "crds"
CRDS = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(FOLDER.glob("*.yaml"))]
IDS = [crd["metadata"]["name"] for crd in CRDS]

# What a structural schema may say (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
# custom-resource-definitions/#specifying-a-structural-schema), as far as Tapedeck has use for it.
ALLOWED = {
    "type", "description", "default", "enum", "format", "pattern", "properties", "required", "items",
    "additionalProperties", "minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems",
    "maxItems", "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
}  # fmt: skip
OF_THE_API = {"apiVersion", "kind", "metadata"}


def _schema(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _fields(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from _fields(schema[name], f"{path}[{name}]")


def test_the_files_match_the_types() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tapedeck_crds", "--check"], capture_output=True, text=True, timeout=900
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_one_crd_for_each_kind() -> None:
    assert IDS == ["backtests.tapedeck.dev", "feeds.tapedeck.dev", "replays.tapedeck.dev"]


@pytest.mark.parametrize("crd", CRDS, ids=IDS)
def test_the_schema_is_structural(crd: dict[str, Any]) -> None:
    for path, node in _fields(_schema(crd)):
        assert set(node) <= ALLOWED, path
        several = node.get("x-kubernetes-preserve-unknown-fields") or node.get("x-kubernetes-int-or-string")
        assert "type" in node or several, path
        assert not ("properties" in node and "additionalProperties" in node), path


@pytest.mark.parametrize("crd", CRDS, ids=IDS)
def test_every_field_has_a_description(crd: dict[str, Any]) -> None:
    bare = [
        path
        for path, node in _fields(_schema(crd))
        if not node.get("description") and path.lstrip(".") not in OF_THE_API and not path.endswith("]")
    ]
    assert bare == []


@pytest.mark.parametrize("crd", CRDS, ids=IDS)
def test_every_default_is_valid(crd: dict[str, Any]) -> None:
    defaults = [(path, node) for path, node in _fields(_schema(crd)) if "default" in node]
    assert defaults
    for path, node in defaults:
        schema = {key: value for key, value in node.items() if key != "exclusiveMinimum"}
        jsonschema.Draft7Validator(schema).validate(node["default"])
        if node.get("format") == "date-time":
            pytest.fail(f"{path}: no default is a time")


@pytest.mark.parametrize("crd", CRDS, ids=IDS)
def test_fields_in_rules_are_bounded(crd: dict[str, Any]) -> None:
    """An API server rejects CEL whose worst-case cost is too high: lists and texts in a rule need limits."""
    spec = _schema(crd)["properties"]["spec"]
    for path, node in _fields(spec):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("x-kubernetes-int-or-string") or (node.get("type") == "string" and "enum" not in node):
            assert "maxLength" in node, path


@pytest.mark.parametrize("crd", CRDS, ids=IDS)
def test_has_printer_columns(crd: dict[str, Any]) -> None:
    version = crd["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [c["name"] for c in version["additionalPrinterColumns"]][-2:] == ["Age", "Message"]
    assert crd["spec"]["names"]["categories"] == ["tapedeck"]
    for column in version["additionalPrinterColumns"]:
        node = _schema(crd)
        for part in column["jsonPath"].replace("[0]", ".items").strip(".").split("."):
            if part == "creationTimestamp":
                break
            if part != "metadata":
                node = node["items"] if part == "items" else node["properties"][part]
        else:
            assert node["type"] == column["type"], column["name"]


def test_the_list_of_builtin_strategies_is_that_of_their_classes() -> None:
    assert FILE.read_text() == strategies.text(), "run `make crds`"
    assert [each["name"] for each in builtin_strategies()] == list(get_args(Builtin))
