"""The corpus on a real API server with the CRDs: it accepts and rejects what the types do, rule by rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from corpus_cases import Case, cases
from kube.api import KubeApi, missing_binaries
from kube.operator import CRDS
from tapedeck_crds.kinds import KINDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_binaries()), reason=f"not built: {', '.join(missing_binaries())} (tests/e2e/rig/build)"
    ),
]
Problems = set[tuple[str, str, str]]
"""Kind, field with [] for each index, and message."""

FOLDER = "/apis/tapedeck.dev/v1alpha1/namespaces/default"


@pytest.fixture(scope="module")
def client(kube: KubeApi) -> Iterator[httpx.Client]:
    with kube.client() as connected:
        yield connected


def _path(title: str) -> str:
    return f"{FOLDER}/{next(kind.plural for kind in KINDS.values() if title.startswith(kind.plural))}"


def _answer(client: httpx.Client, case: Case) -> httpx.Response:
    path = _path(case.title)
    strict = {"fieldValidation": "Strict"}
    if case.before is None:
        return client.post(path, params={**strict, "dryRun": "All"}, json=case.document)
    made = client.post(path, params=strict, json=case.before)
    assert made.status_code == httpx.codes.CREATED, made.text
    name = made.json()["metadata"]["name"]
    try:
        version = made.json()["metadata"]["resourceVersion"]
        update = case.document | {"metadata": case.document["metadata"] | {"resourceVersion": version}}
        return client.put(f"{path}/{name}", params=strict, json=update)
    finally:
        client.delete(f"{path}/{name}")


@pytest.fixture(scope="module")
def answers() -> dict[str, Problems]:
    """The server's messages for each case so far, by its title."""
    return {}


CASES = [case for case in cases() if case.only is None]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_server_agrees_with_the_types(client: httpx.Client, answers: dict[str, Problems], case: Case) -> None:
    answer = _answer(client, case)
    answers[case.title] = set()
    if case.says is None:
        assert answer.is_success, answer.text
        return
    assert answer.is_client_error, answer.text
    if "is immutable" in case.says or "expected exactly one" in case.says:
        message = case.says.rsplit(": ", 1)[-1]
        assert message in answer.json()["message"]
    for cause in answer.json().get("details", {}).get("causes", []):
        field = re.sub(r"\[[^]]*\]", "[]", cause["field"].replace("<nil>", ""))
        answers[case.title].add((case.document["kind"], field, cause["message"].rpartition('": ')[2]))


def _rules(kind: str, schema: dict[str, Any], field: str = "") -> Iterator[tuple[str, str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield kind, field, rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from _rules(kind, child, f"{field}.{name}".lstrip("."))
    if "items" in schema:
        yield from _rules(kind, schema["items"], f"{field}[]")


def test_each_rule_of_each_kind_is_broken_by_a_case(answers: dict[str, Problems]) -> None:
    if len(answers) < len(CASES):
        pytest.skip("some cases were not tried")
    schemas = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in CRDS}
    rules = {rule for kind, schema in schemas.items() for rule in _rules(kind, schema)}
    broken = set().union(*answers.values())
    assert len(rules) > 100
    assert rules - broken == set()
