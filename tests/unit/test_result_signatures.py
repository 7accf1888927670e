"""Results are accepted from their own run alone: keys, signatures, and who gets which key."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tapedeck_common.result_signatures import ResultSigner, ResultVerifier, read_key
from tapedeck_common.wire import MessageHeaders
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.run_key import run_key
from tapedeck_operator.plan import Observed, Settings, plan

KEY = b"the key of all results"
VALUE = b'{"type":"fill","run_id":"u-1","seq":0}'
VERIFIER = ResultVerifier(KEY)
SETTINGS = Settings(images={"backtest": "i/backtest:1"}, operator_key=b"the key of controls", results_key=KEY)


def signer(uid: str = "u-1", namespace: str = "a", results_key: bytes = KEY) -> ResultSigner:
    return ResultSigner(run_key(results_key, namespace, uid).encode(), namespace)


def test_a_signature_is_keyed_blake2b_under_the_hmac_of_namespace_and_uid() -> None:
    key = hmac.new(KEY, b"a/u-1", hashlib.sha256).hexdigest().encode()
    text = hashlib.blake2b(VALUE, key=key, digest_size=16).hexdigest()
    assert signer().headers(VALUE) == [("td", f"1;result;a;{text}".encode())]


def test_a_run_is_verified_also_after_a_seek() -> None:
    headers = signer().headers(VALUE)
    assert VERIFIER.namespace("u-1", VALUE, headers) == "a"
    assert VERIFIER.namespace("u-1@3.0", VALUE, headers) == "a"


@pytest.mark.parametrize(
    ("run_id", "value", "headers"),
    [
        pytest.param("u-2", VALUE, signer().headers(VALUE), id="another run's"),
        pytest.param("u-1", VALUE + b" ", signer().headers(VALUE), id="another value's"),
        pytest.param("u-1", VALUE, signer(namespace="b").headers(VALUE)[:0], id="no header"),
        pytest.param("u-1", VALUE, None, id="no headers"),
        pytest.param("u-1", VALUE, [("td", b"1;live")], id="market data"),
        pytest.param("u-1", VALUE, [("td", None)], id="null"),
        pytest.param("u-1", VALUE, [("td", "1;result;a;\u00e9".encode())], id="not ASCII"),
        pytest.param("u-1", VALUE, [("td", b"1;result;a;")], id="empty"),
        pytest.param("u-1", VALUE, signer(results_key=b"another key of results").headers(VALUE), id="another key"),
        pytest.param(
            "u-1", VALUE, ResultSigner(run_key(KEY, "b", "u-1").encode(), "a").headers(VALUE), id="another namespace's"
        ),
    ],
)
def test_what_the_run_itself_did_not_sign_is_refused(run_id: str, value: bytes, headers: MessageHeaders) -> None:
    with pytest.raises(InvalidInput, match=r"header td: .*with the run's own key"):
        VERIFIER.namespace(run_id, value, headers)


@pytest.mark.parametrize(("content", "problem"), [(None, "missing"), (b"", "0 bytes"), (b"short", "5 bytes")])
def test_a_missing_or_short_key_is_said(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = None if content is None else tmp_path / "key"
    if file is not None and content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"TAPEDECK_RUN_KEY_FILE: .*{problem}"):
        read_key(file, "TAPEDECK_RUN_KEY_FILE")
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_key(tmp_path / "gone", "TAPEDECK_RUN_KEY_FILE")


def backtest(namespace: str, **spec: Any) -> Any:
    metadata = {"name": "x", "uid": "u-1", "namespace": namespace, "generation": 1}
    data = {"store": {"exchange": "x", "symbols": ["A/B"]}}
    document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Backtest", "metadata": metadata}
    return parse_resource({**document, "spec": {"data": data, "strategy": {"builtin": "sma-cross"}, **spec}})


def secret_and_pod(namespace: str, **spec: Any) -> tuple[Json, Json]:
    *_, secret, job = plan(backtest(namespace, **spec), Observed(), 0, SETTINGS).apply
    return secret, job["spec"]["template"]["spec"]


@pytest.mark.parametrize("spec", [{}, {"sweep": {"shards": 2, "params": [{"name": "fast", "values": [2, 3]}]}}])
def test_the_pod_of_a_backtest_gets_the_key_of_its_own_run_as_a_file(spec: Json) -> None:
    secret, pod = secret_and_pod("a", **spec)
    key = b64decode(secret["data"]["key"])
    assert VERIFIER.namespace("u-1", VALUE, ResultSigner(key, "a").headers(VALUE)) == "a"
    assert b64decode(secret_and_pod("b", **spec)[0]["data"]["key"]) != key
    (container,) = pod["containers"]
    environment = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    assert environment["TAPEDECK_RUN_KEY_FILE"] == "/etc/tapedeck/key/key"
    assert key.decode() not in environment.values()
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volume = next(each for each in pod["volumes"] if each["name"] == mounted["/etc/tapedeck/key"])
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
