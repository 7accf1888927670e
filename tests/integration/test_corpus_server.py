"""The same corpus against a real API server with the CRDs: it takes and refuses what the types do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from corpus_cases import Case, cases
from kube.api import KubeApi, install_crds, missing_binaries
from tapedeck_crds.kinds import KINDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_binaries()), reason=f"not built: {', '.join(missing_binaries())} (tests/e2e/rig/build)"
    ),
]
CRDS = Path(__file__).parents[2] / "crds"
FOLDER = "/apis/tapedeck.dev/v1alpha1/namespaces/default"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    api = KubeApi(tmp_path_factory.mktemp("api"))
    try:
        api.start()
        with api.client() as connected:
            install_crds(connected, [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))])
            yield connected
    finally:
        api.stop()


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


@pytest.mark.parametrize("case", [c for c in cases() if c.only is None], ids=str)
def test_the_server_agrees(client: httpx.Client, case: Case) -> None:
    answer = _answer(client, case)
    if case.says is None:
        assert answer.is_success, answer.text
    else:
        assert answer.is_client_error, answer.text
        if "can't change" in case.says or "expected exactly one" in case.says:
            message = case.says.rsplit(": ", 1)[-1]
            assert message in answer.json()["message"]
