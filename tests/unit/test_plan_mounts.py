"""What the pods of a run mount: files, and Secrets by named keys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from planned import job, resource
from tapedeck_operator.plan import Observed, Settings, plan

NOW = 1_700_000_000_000
SETTINGS = Settings(
    images={"feed": "i/feed:1", "replay": "i/replay:1", "backtest": "i/backtest:1"},
    operator_key=b"secret",
    results_key=b"results",
)
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"}}


def test_the_folder_of_the_applied_file_is_mounted_at_the_files_path() -> None:
    replay = resource("Replay", {"source": STORE}, annotations={"tapedeck.dev/applied-from": "/tmp/mine"})
    assert "hostPath" not in str(plan(replay, Observed(), NOW, SETTINGS).apply)
    local = replace(SETTINGS, files_beside_resource=True)
    pod = job(plan(replay, Observed(), NOW, local))["spec"]["template"]["spec"]
    assert {"name": "files", "hostPath": {"path": "/tmp/mine"}} in pod["volumes"]
    container = pod["containers"][0]
    mount = next(m["mountPath"] for m in container["volumeMounts"] if m["name"] == "files")
    assert {"name": "TAPEDECK_FILES", "value": mount} in container["env"]


@pytest.mark.parametrize("kind", ["Feed", "Replay"])
def test_a_volume_of_files_and_their_credentials_are_mounted(kind: str) -> None:
    files: dict[str, Any] = {"exchange": "c", "sets": [{"symbol": "A/B", "path": "s3://b/a"}]}
    files |= {"volume": {"configMap": "bars"}, "credentialsSecret": "keys"}
    pod = job(plan(resource(kind, {"source": {"files": files}}), Observed(), NOW, SETTINGS))["spec"]["template"]["spec"]
    assert {"name": "files", "configMap": {"name": "bars"}} in pod["volumes"]
    keys = ("access_key", "secret_key", "session_token", "endpoint", "region")
    items = [{"key": key, "path": key} for key in keys]
    assert {
        "name": "file-credentials",
        "secret": {"secretName": "keys", "items": items, "optional": True},
    } in pod["volumes"]
    mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
    values = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert (mounts["files"]["mountPath"], mounts["files"]["readOnly"]) == (values["TAPEDECK_FILES"], True)
    assert mounts["file-credentials"]["mountPath"] == values["TAPEDECK_FILE_CREDENTIALS"]
    files["volume"] = {"claim": "disk"}
    pod = job(plan(resource(kind, {"source": {"files": files}}), Observed(), NOW, SETTINGS))["spec"]["template"]["spec"]
    assert {"name": "files", "persistentVolumeClaim": {"claimName": "disk", "readOnly": True}} in pod["volumes"]


def test_every_secret_is_mounted_by_named_keys() -> None:
    """A Secret without keys in its volume is mounted whole, with whatever it holds."""
    files = {"exchange": "c", "sets": [{"symbol": "A/B", "path": "a"}], "credentialsSecret": "keys"}
    live = {
        "exchange": "binance",
        "symbols": ["A/B"],
        "apiKeySecret": "keys",
        "backfill": {"from": "2024-01-01T00:00:00Z"},
    }
    count = 0
    for kind, spec in (
        ("Feed", {"source": {"files": files}}),
        ("Feed", live),
        ("Replay", {"source": {"files": files}}),
        ("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE}),
    ):
        for child in plan(resource(kind, spec), Observed(), NOW, SETTINGS).apply:
            for volume in (
                child["spec"]["template"]["spec"]["volumes"] if child["kind"] in ("Job", "Deployment") else ()
            ):
                if "secret" in volume:
                    assert volume["secret"]["items"], volume
                    count += 1
    assert count >= 9


@pytest.mark.parametrize("name", ["tapedeck-connections", "release-operator-key", "replay-mine-0123abcd"])
def test_a_resource_that_names_a_secret_of_tapedecks_own_gets_no_pods(name: str) -> None:
    settings = replace(SETTINGS, own_secrets=frozenset({"release-operator-key"}))
    files = {"exchange": "c", "sets": [{"symbol": "A/B", "path": "a"}], "credentialsSecret": name}
    live = {"exchange": "binance", "symbols": ["A/B"], "apiKeySecret": name}
    for kind, spec in (
        ("Feed", {"source": {"files": files}}),
        ("Replay", {"source": {"files": files}}),
        ("Feed", live),
    ):
        named = resource(kind, json.loads(json.dumps(spec).replace(name, "mine")))
        stored = named.model_copy(update={"spec": type(named.spec).model_validate(spec)})  # before there was a rule
        planned = plan(stored, Observed(), NOW, settings)
        assert planned.apply == ()
        assert planned.status["phase"] == "Failed"
        assert planned.status["conditions"][0]["reason"] == "OwnSecret"
        assert name in planned.status["message"]
