"""The documents of resources: the routes take what their documentation says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from pods.socket_deck import TYPES, SocketDeck, long_home, manifest, serving_socket, socket_deck
from tapedeck_common.yaml_documents import read_documents
from tapedeck_crds.json import Json

pytestmark = pytest.mark.slow


@pytest.fixture
def deck(tmp_path: Path) -> Iterator[SocketDeck]:
    with serving_socket(long_home(tmp_path)) as home, socket_deck(home, tmp_path / "tokens") as deck:
        yield deck


def test_the_routes_are_documented(deck: SocketDeck) -> None:
    document = deck.anyone.get("/api/v1/openapi.json").json()
    text = json.dumps(document)
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= document["components"]["schemas"].keys()
    assert '"$defs"' not in text
    base = "/api/v1/namespaces/{namespace}"
    expected = {f"/api/v1/{plural}": {"get": "200"} for plural in TYPES.values()}
    for plural in TYPES.values():
        one = f"{base}/{plural}/{{name}}"
        expected |= {f"{base}/{plural}": {"post": "201"}, one: {"get": "200", "patch": "200", "delete": "204"}}
        expected |= {f"{one}/events": {"get": "200"}, f"{one}/log": {"get": "200"}}
    expected |= {f"{base}/replays/{{name}}/controls": {"post": "200"}}
    expected |= {f"{base}/strategies": {"post": "201"}, f"{base}/strategies/{{name}}": {"delete": "204"}}
    for path, operations in expected.items():
        assert document["paths"][path].keys() == operations.keys(), path
        for method, status in operations.items():
            assert {status, "400", "401", "403", "404", "409", "503"} <= document["paths"][path][method][
                "responses"
            ].keys()
    names = [each["operationId"] for operations in document["paths"].values() for each in operations.values()]
    assert len(names) == len(set(names))


def examples() -> Iterator[Json]:
    """The manifests of all examples."""
    for path in sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml")):
        for _, document in read_documents(path.read_text(), path.name):
            yield from (each for each in document.get("items", [document]) if each["kind"] in TYPES)


@pytest.mark.parametrize("example", [*examples()], ids=lambda example: str(example["metadata"]["name"]))
def test_bodies_are_taken_as_documented(deck: SocketDeck, example: Json) -> None:
    document = deck.anyone.get("/api/v1/openapi.json").json()
    kind, path = example["kind"], f"/api/v1/namespaces/{{namespace}}/{TYPES[example['kind']]}"
    content = document["paths"][path]["post"]["requestBody"]["content"]
    check = jsonschema.Draft202012Validator(
        {**content["application/json"]["schema"], "components": document["components"]}
    )
    check.check_schema(document["components"]["schemas"][kind])
    wrong = ({"kind": "Pod"}, {"spec": None}, {"metadata": {"name": "A"}}, {"spec": {"source": 1, "data": 1}})
    for changes in ({}, *wrong):
        body = example | changes
        answer = deck.owner.post(path.format(namespace="default"), params={"dryRun": "1"}, json=body)
        assert (answer.status_code == 200) == check.is_valid(body) == (not changes), answer.text


def test_patches_are_taken_as_documented(deck: SocketDeck) -> None:
    document = deck.anyone.get("/api/v1/openapi.json").json()
    check = jsonschema.Draft202012Validator(document["components"]["schemas"]["ResourcePatch"])
    path = "/api/v1/namespaces/default/replays"
    assert deck.owner.post(path, json=manifest("Replay")).status_code == 201
    merge = {"content-type": "application/merge-patch+json"}
    for patch, taken in (
        ({"spec": {"speed": 60}}, True),
        ({"metadata": {"labels": {"a": None}}}, True),
        ({}, False),
        ({"status": {}}, False),
        ({"metadata": {"name": "b"}}, False),
        ({"spec": 1}, False),
    ):
        answer = deck.owner.patch(f"{path}/tape", content=json.dumps(patch), headers=merge, params={"dryRun": "1"})
        assert (answer.status_code == 200) == check.is_valid(patch) == taken, answer.text
