"""A Backtest over a live Feed: it waits for the Feed, and reads bars from its own creation on."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_crds.parse import parse_resource
from tapedeck_operator.plan import Observed, Settings, plan

SETTINGS = Settings(images={"feed": "f", "replay": "r", "backtest": "b"}, operator_key=b"k", results_key=b"results")
FILES = {"source": {"files": {"exchange": "x", "sets": [{"symbol": "A", "path": "a.csv"}]}}}


def resource(kind: str, name: str, spec: dict[str, Any]) -> Any:
    metadata = {"name": name, "uid": name, "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z"}
    return parse_resource({"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


PAPER = resource(
    "Backtest", "paper", {"strategy": {"builtin": "rsi"}, "data": {"feed": {"name": "live", "symbols": ["A/B"]}}}
)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ([], "data.feed.name: no active Feed named live"),
        ([("other", {"exchange": "binance", "symbols": ["A/B"]})], "no active Feed named live"),
        ([("live", FILES)], "data.feed.name: Feed live reads files, expected one with spec.exchange"),
    ],
)
def test_it_waits_for_a_live_feed(feeds: list[tuple[str, dict[str, Any]]], message: str) -> None:
    planned = plan(PAPER, Observed(active_feeds=tuple(resource("Feed", *feed) for feed in feeds)), 0, SETTINGS)
    assert not planned.apply
    assert (planned.status["phase"], planned.status["conditions"][0]["reason"]) == ("Pending", "WaitingForFeed")
    assert message in planned.status["message"]


def test_its_pod_gets_the_exchange_and_the_start_time() -> None:
    live = resource("Feed", "live", {"exchange": "binance", "symbols": ["A/B"]})
    job = plan(PAPER, Observed(active_feeds=(live,)), 0, SETTINGS).apply[-1]
    values = {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert values["TAPEDECK_FEED_EXCHANGE"] == "binance"
    assert values["TAPEDECK_SINCE"] == "2026-01-02T03:04:05Z"
    assert plan(PAPER, Observed(job=job), 0, SETTINGS).status["conditions"][0]["reason"] != "WaitingForFeed"
