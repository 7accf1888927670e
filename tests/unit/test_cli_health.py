"""`tapedeck status`: what is unhealthy, and what to do."""

from __future__ import annotations

from typing import Any

from tapedeck_crds.json import Json
from tapedeck_deck.cli import health
from tapedeck_deck.cli.scrapes import parse


def resource(phase: str, reason: str, message: str = "why", **more: Any) -> Json:
    conditions = [{"type": "Ready", "status": "False", "reason": reason}, *more.pop("conditions", [])]
    metadata = {"name": "x", "namespace": more.pop("namespace", "default")}
    status = {"phase": phase, "message": message, "conditions": conditions}
    return {"kind": "Feed", "metadata": metadata, "status": status}


def test_a_healthy_deck_has_no_findings() -> None:
    fine = [resource("Running", "Live"), resource("Complete", "Complete"), resource("Pending", "WaitingForFeed")]
    fine.append({"kind": "Feed", "metadata": {"name": "new", "namespace": "default"}})
    assert health.of_resources(fine) == []
    assert health.of_parts({"page": "ok", "broker": "ok"}) == []
    assert health.of_disk(5 * 1024**3, "/x") == []
    scrape = parse('tapedeck_recorder_lag_seconds{topic="market.bars"} 3\ntapedeck_sink_up{sink="a"} 1\n', 0.0)
    assert health.of_recorder([scrape]) == []


def test_failed_and_stuck_resources_are_named_with_what_to_do() -> None:
    failed, stuck, other = health.of_resources(
        [
            resource("Failed", "OOMKilled", "it took 2 GiB"),
            resource("Pending", "CrashLoop", namespace="team"),
            resource("Failed", "BadRow"),
        ]
    )
    assert failed.what == "feed/x"
    assert failed.problem == "Failed, OOMKilled: it took 2 GiB"
    assert "memory" in failed.do
    assert stuck.do
    assert other.do == "read `tapedeck describe feed/x` and `tapedeck logs feed/x`"


def test_a_running_feed_that_refuses_rows_is_unhealthy() -> None:
    degraded = {"type": "Degraded", "status": "True", "reason": "RowsRefused"}
    (found,) = health.of_resources([resource("Running", "Live", "5 of 10 rows refused", conditions=[degraded])])
    assert found.problem == "Running, Live: 5 of 10 rows refused"


def test_a_recorder_that_is_behind_and_an_unreachable_sink() -> None:
    scrape = parse(
        "# TYPE tapedeck_recorder_lag_seconds gauge\n"
        'tapedeck_recorder_lag_seconds{topic="market.bars"} 90.2\n'
        'tapedeck_recorder_lag_seconds{topic="market.trades"} 1\n'
        'tapedeck_recorder_lag_records{topic="market.bars"} 1200\n'
        'tapedeck_sink_up{sink="influx"} 0\n',
        0.0,
    )
    recorder, sink = health.of_recorder([scrape])
    assert recorder.problem == "market.bars: 1200 records are not in the store, the oldest of 90 s ago"
    assert sink.what == "sink influx"


def test_a_part_that_does_not_answer_and_a_full_disk() -> None:
    (part,) = health.of_parts({"page": "ok", "database": "unreachable (refused)"})
    assert (part.what, part.problem) == ("database", "unreachable (refused)")
    (disk,) = health.of_disk(300 * 2**20, "/data/deck")
    assert disk.problem == "300 MiB are free where /data/deck is"


def test_a_resource_that_works_without_a_part_is_unhealthy() -> None:
    failing = {"type": "PodsFailing", "status": "True", "reason": "OOMKilled"}
    refused = {"type": "Applied", "status": "False", "reason": "Forbidden"}
    found = health.of_resources(
        [
            resource("Running", "TransformsFailed", "transforms failed: no such module"),
            resource("Running", "BackfillFailed", "the backfill failed: no route"),
            resource("Running", "Running", "1 of 4 shards fail: shard 2: killed", conditions=[failing]),
            resource("Running", "Live", conditions=[refused]),
        ]
    )
    assert [each.problem for each in found] == [
        "Running, TransformsFailed: transforms failed: no such module",
        "Running, BackfillFailed: the backfill failed: no route",
        "Running, Running: 1 of 4 shards fail: shard 2: killed",
        "Running, Live: why",
    ]
    assert ["transforms" in found[0].do, "memory" in found[2].do, "permission" in found[3].do] == [True] * 3


def test_what_a_finished_run_left_behind_is_no_finding() -> None:
    ended = {"type": "PodsFailing", "status": "False", "reason": "NotFailing"}
    refused = {"type": "Applied", "status": "False", "reason": "Forbidden"}
    assert health.of_resources([resource("Complete", "Complete", conditions=[ended, refused])]) == []
