"""Runs on a cluster: apply, wait, read their pods and trades."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from kube.operator import PATHS, Things
from release import Deck
from tapedeck_crds.json import Json

GRACE_SECONDS = 30
EXAMPLES = Path(__file__).parents[2] / "examples"
STORE = {"exchange": "coinbase", "symbols": ["BTC/USD", "ETH/USD"], "interval": "1m"}


def example(things: Things, name: str) -> Json:
    """Apply examples/<name>.yaml."""
    document = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    document["metadata"]["namespace"] = things.namespace
    return things.apply(document)


def replay(things: Things, name: str, **spec: Any) -> Json:
    """Apply a Replay of the sample data."""
    return things.resource("Replay", name, {"source": {"store": STORE}, **spec})


def is_running(status: Json) -> bool:
    return status.get("phase") == "Running"


def ended(things: Things, made: Json, seconds: float = 120) -> Json:
    """The status of a run that has completed."""
    status = things.status(made, lambda s: s.get("phase") in ("Complete", "Failed"), seconds=seconds)
    assert status["phase"] == "Complete", status
    return status


def running(things: Things, made: Json) -> Json:
    """The only pod of a resource, once it runs."""
    found: list[Json] = []

    def one_runs() -> bool:
        found[:] = [p for p in pods(things, made) if p["status"].get("phase") == "Running"]
        return len(found) == 1

    things.until(one_runs, 60)
    return {**found[0], "kind": "Pod"}


def pods(things: Things, made: Json) -> list[Json]:
    """All pods of a resource."""
    path = PATHS["Pod"].format(things.namespace)
    selector = f"tapedeck.dev/uid={made['metadata']['uid']}"
    items: list[Json] = things.must(things.client.get(path, params={"labelSelector": selector}))["items"]
    return items


def delete_pod(things: Things, name: str, grace: int = GRACE_SECONDS) -> float:
    """Delete a pod, as a node drain does; returns the seconds until it is deleted."""
    path = PATHS["Pod"].format(things.namespace) + f"/{name}"
    uid = things.must(things.client.get(path))["metadata"]["uid"]
    began = time.monotonic()
    things.must(things.client.request("DELETE", path, json={"gracePeriodSeconds": grace}))

    def gone() -> bool:
        answer = things.client.get(path)
        return answer.status_code == 404 or answer.json()["metadata"]["uid"] != uid

    things.until(gone, GRACE_SECONDS * 2)
    return time.monotonic() - began


def trades(deck: Deck, run_id: str) -> list[list[str]]:
    """A run's trades in the store, without run id and write times."""
    columns = deck.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'run_trades'")
    names = [row[0] for row in columns if row[0] not in ("run_id", "received_at", "written_at")]
    return deck.sql(f"SELECT {', '.join(names)} FROM run_trades WHERE run_id = '{run_id}' ORDER BY seq")  # noqa: S608
