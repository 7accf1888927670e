"""A Backtest over a live Feed: it waits for one, and is bound to the time of its own creation."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_crds.kinds import parse_resource
from tapedeck_operator.plan import Observed, Settings, plan

SETTINGS = Settings(images={"feed": "f", "replay": "r", "backtest": "b"}, operator_key=b"k")
FILES = {"source": {"files": {"format": "csv", "exchange": "x", "sets": [{"symbol": "A", "path": "a.csv"}]}}}


def resource(kind: str, name: str, spec: dict[str, Any]) -> Any:
    metadata = {"name": name, "uid": name, "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z"}
    return parse_resource({"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


PAPER = resource(
    "Backtest", "paper", {"strategy": {"builtin": "rsi"}, "data": {"feed": {"name": "live", "symbols": ["A/B"]}}}
)


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ([], "no Feed named live is at work"),
        ([("other", {"exchange": "binance", "symbols": ["A/B"]})], "no Feed named live"),
        ([("live", FILES)], "Feed live brings files, expected one with spec.exchange"),
    ],
)
def test_it_waits_for_a_feed_that_is_live(feeds: list[tuple[str, dict[str, Any]]], says: str) -> None:
    planned = plan(PAPER, Observed(active_feeds=tuple(resource("Feed", *feed) for feed in feeds)), 0, SETTINGS)
    assert not planned.apply
    assert (planned.status["phase"], planned.status["conditions"][0]["reason"]) == ("Pending", "WaitingForFeed")
    assert says in planned.status["message"]


def test_its_pod_knows_the_market_and_since_when() -> None:
    live = resource("Feed", "live", {"exchange": "binance", "symbols": ["A/B"]})
    job = plan(PAPER, Observed(active_feeds=(live,)), 0, SETTINGS).apply[-1]
    values = {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert values["TAPEDECK_FEED_EXCHANGE"] == "binance"
    assert values["TAPEDECK_SINCE"] == "2026-01-02T03:04:05Z"
    assert plan(PAPER, Observed(job=job), 0, SETTINGS).status["conditions"][0]["reason"] != "WaitingForFeed"
