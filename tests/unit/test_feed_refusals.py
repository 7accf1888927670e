"""Rows that a Feed refused: counted by reason, and what they make of the Feed's state."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_common.refusals import GROUPS_MAX, Refusals
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.refusals import RefusedRows
from tapedeck_crds.report import BackfillReport, FeedReport
from tapedeck_operator.plan import Observed, ObservedPod, Settings, plan

NOW = 1_700_000_000_000
SETTINGS = Settings(images={"feed": "i/feed:1"}, operator_key=b"secret", results_key=b"results")
FILES: dict[str, Any] = {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a.csv"}]}}
LIVE: dict[str, Any] = {"exchange": "binance", "symbols": ["BTC/USDT"]}
REFUSED = {"reason": "open: got nan, expected a price", "place": "a.csv:7", "rows": 2}
SUMMARY = "2 of 100 rows (2 %) refused: open: got nan, expected a price (a.csv:7; 2 rows)"


def feed(status: Json | None = None, **spec: Any) -> Feed:
    metadata = {"name": "x", "uid": "u-1", "generation": 1}
    document: Json = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Feed", "metadata": metadata, "spec": spec}
    parsed = parse_resource(document if status is None else document | {"status": status})
    assert isinstance(parsed, Feed)
    return parsed


def report(refused: int, taken: int, **more: Any) -> FeedReport:
    reasons = (RefusedRows(**(REFUSED | {"rows": refused})),) if refused else ()  # type: ignore[arg-type]
    counts = {"refused_rows": refused, "taken": taken, "refused": reasons}
    return FeedReport.model_validate({"state": "running", "reason": "Live", **counts, **more})


JOB = {"metadata": {"name": "feed-x"}, "spec": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}


def finished(made: Feed, found: FeedReport, *, in_job: bool = True) -> Json:
    pods = (ObservedPod("p", 0, "Succeeded", report=found, exit_code=0, in_job=in_job),)
    return plan(made, Observed(job=JOB, pods=pods), NOW, SETTINGS).status


def conditions(status: Json) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


@pytest.mark.parametrize(
    ("spec", "refused", "phase"),
    [
        ({}, 1, "Complete"),  # of 100
        ({}, 2, "Degraded"),
        ({"maxRefusedPercent": 2}, 2, "Complete"),
        ({"maxRefusedPercent": 0}, 1, "Degraded"),
        ({"maxRefusedPercent": 0}, 0, "Complete"),
    ],
)
def test_more_than_the_permitted_share_makes_a_finished_feed_degraded(
    spec: dict[str, Any], refused: int, phase: str
) -> None:
    status = finished(feed(source=FILES, **spec), report(refused, 100 - refused, message="98 bars"))
    assert status["phase"] == phase
    assert status.get("refused", []) == ([REFUSED | {"rows": refused}] if refused else [])
    if phase == "Degraded":
        assert conditions(status) == {
            "Ready": ("False", "RowsRefused"), "Finished": ("True", "RowsRefused"), "Degraded": ("True", "RowsRefused"),
        }  # fmt: skip
        assert feed(status, source=FILES).finished
    if (spec, refused) == ({}, 2):
        assert status["message"] == f"98 bars; {SUMMARY}"


def test_a_live_feed_is_degraded_as_long_as_the_share_is_exceeded() -> None:
    def running(previous: Json | None, refused: int, taken: int) -> Json:
        pods = (ObservedPod("p", 0, "Running", report=report(refused, taken, message="live")),)
        return plan(feed(previous, **LIVE), Observed(pods=pods), NOW, SETTINGS).status

    bad = running(None, 2, 98)
    assert (bad["phase"], bad["message"]) == ("Running", f"live; {SUMMARY}")
    assert conditions(bad)["Degraded"] == ("True", "RowsRefused")
    better = running(bad, 2, 9_998)
    assert (better["message"], better["refused"]) == ("live", [REFUSED])
    assert conditions(better)["Degraded"] == ("False", "RowsTaken")
    assert running(better, 0, 5)["refused"] == [], "another pod has refused nothing"


@pytest.mark.parametrize(("missing", "phase"), [(1000, "Failed"), (999, "Complete")])
def test_a_backfill_that_finds_no_bar_at_all_fails(missing: int, phase: str) -> None:
    shard = BackfillReport(range_from=0, range_to=60_000_000, done=1000, total=1000, missing=missing)
    made = feed(**LIVE, backfill={"from": "2020-01-01T00:00:00Z", "only": True})
    status = finished(made, report(0, 0, backfill=shard))
    assert status["phase"] == phase
    if phase == "Failed":
        assert status["conditions"][0]["reason"] == "NoBars"
        assert "1000 not available" in status["message"]


def test_a_backfill_of_bars_that_are_refused_is_degraded() -> None:
    shard = BackfillReport(range_from=0, range_to=60_000_000, done=1000, total=1000, rows=900, missing=100)
    made = feed(**LIVE, backfill={"from": "2020-01-01T00:00:00Z", "only": True})
    status = finished(made, report(100, 900, backfill=shard))
    assert (status["phase"], status["refused"]) == ("Degraded", [REFUSED | {"rows": 100}])


def test_rows_are_grouped_by_file_and_reason_whatever_values_they_have() -> None:
    refusals = Refusals()
    for line in range(2, 1_002):
        refusals.add("A/B", "a.csv", f"a.csv:{line}", f"ts: got {line}, expected a multiple of 60000 ms (1m)", "row")
    refusals.add("A/B", "b.csv", "b.csv:5", "ts: got 'a, expected b', expected a multiple of 60000 ms (1m)", "row")
    refusals.add("A/B", "b.csv", "b.csv:6", "ts: 60 has other values at b.csv:2, which were used; expected one row", "")
    refusals.add("A/B", "b.csv", "b.csv:9", "ts: 70 has other values at b.csv:3, which were used; expected one row", "")
    refusals.add("A/B", "b.csv", "b.csv:7", "side: got 'up', expected buy or sell", "")
    refusals.add("A/B", "b.csv", "b.csv:8", "columns: got 3, expected 5 as in the header", "")
    found = [(each.place, each.rows) for each in refusals.take()]
    assert found == [("a.csv:2", 1_000), ("b.csv:5", 1), ("b.csv:6", 2), ("b.csv:7", 1), ("b.csv:8", 1)]
    first = [(each.place, each.rows) for each in refusals.reasons()]
    assert first == [("a.csv:2", 1_001), ("b.csv:6", 2), ("b.csv:7", 1)]
    assert refusals.rows == 1_005
    assert refusals.take() == []


def test_reasons_of_any_number_are_kept_in_bounded_memory() -> None:
    refusals = Refusals()
    for number in range(GROUPS_MAX):
        assert not refusals.is_full
        refusals.add("A/B", f"{number}.csv", f"{number}.csv:1", "empty", "")
    assert refusals.is_full
