"""`tapedeck status`: what is unhealthy, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tapedeck_crds.json import Json
from tapedeck_deck.cli import health, health_look, thresholds
from tapedeck_deck.cli.health_runs import RunningPod, of_feeds, of_replays
from tapedeck_deck.cli.scrapes import ScrapeChange, parse

NOW = 1_000_000.0
VALUES = Path(__file__).parents[2] / "charts" / "tapedeck" / "values.yaml"
SECONDS = {"s": 1, "m": 60, "h": 3600}


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


def test_thresholds_are_those_of_the_alerts() -> None:
    values = yaml.safe_load(VALUES.read_text())["metrics"]["alerts"]["thresholds"]
    own = {name: value for name, value in vars(thresholds).items() if name.isupper()}
    theirs = {
        "RECORDER_LAG_RECORDS": values["recorderLagRecords"],
        "RECORDER_LAG_SECONDS": values["recorderLagSeconds"],
        "REPLAY_LATENESS_SECONDS": values["replayLatenessSeconds"],
        "REPLAY_STALLED_SECONDS": _seconds(values["replayStalledFor"]),
        "FEED_SILENT_SECONDS": values["feedSilentSeconds"],
        "FEED_DISCONNECTED_SECONDS": _seconds(values["feedDisconnectedFor"]),
        "GAPS_OPEN_SECONDS": _seconds(values["gapsOpenFor"]),
    }
    assert own == theirs


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]]


@pytest.mark.parametrize(("minutes", "unhealthy"), [(9, False), (11, True)])
def test_a_feed_that_connects_for_long_is_unhealthy(minutes: int, unhealthy: bool) -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    feed = resource("Pending", "Connecting", "no route")
    feed["status"]["conditions"][0]["lastTransitionTime"] = (now - timedelta(minutes=minutes)).isoformat()
    found = health.of_resources([feed], now)
    assert [each.problem for each in found] == ["Pending, Connecting: no route (not ready for over 10 min)"] * unhealthy


def replay_pod(late: int, speed: float, position: int = 0, up_seconds: float = 900.0, playing: int = 1) -> RunningPod:
    def look(observed: int, at: float) -> Any:
        return parse(
            f"tapedeck_replay_playing {playing}\ntapedeck_replay_measured_speed_ratio {speed}\n"
            f"tapedeck_replay_position_timestamp_seconds {position * at}\n"
            "# TYPE tapedeck_replay_lateness_seconds histogram\n"
            f'tapedeck_replay_lateness_seconds_bucket{{le="1"}} {observed if not late else 0}\n'
            f'tapedeck_replay_lateness_seconds_bucket{{le="5"}} {observed}\n'
            f'tapedeck_replay_lateness_seconds_bucket{{le="+Inf"}} {observed}\n',
            at,
        )

    document: Json = {"kind": "Replay", "metadata": {"name": "tape", "namespace": "default"}}
    return RunningPod(document, up_seconds, ScrapeChange(look(10, 1.0), look(20, 2.0)))


def test_a_late_and_a_stalled_replay() -> None:
    (late,) = of_replays([replay_pod(1, 5.0, 1)])
    assert (late.what, late.problem) == (
        "replay/tape", "it publishes records 5 s late (99th percentile of the last second)",
    )  # fmt: skip
    (stalled,) = of_replays([replay_pod(0, 0.0)])
    assert stalled.problem == "it plays, and its position stands still"
    fine = [replay_pod(0, 5.0, 1), replay_pod(0, 0.0, up_seconds=60.0), replay_pod(1, 0.0, playing=0)]
    assert of_replays(fine) == []


def feed_pod(silence: float, probes: int = 0, lost: int = 0, gaps: int = 0) -> RunningPod:
    scrape = parse(
        f'tapedeck_feed_last_message_timestamp_seconds{{channel="trades"}} {NOW - silence}\n'
        f'tapedeck_feed_missed_probes{{channel="trades"}} {probes}\n'
        f'tapedeck_feed_subscriptions{{state="down"}} {lost}\ntapedeck_feed_open_gaps {gaps}\n',
        0.0,
    )
    metadata = {"name": "live", "namespace": "team"}
    document: Json = {"kind": "Feed", "metadata": metadata, "spec": {"exchange": "kraken"}}
    return RunningPod(document, 900.0, ScrapeChange(None, scrape))


def test_a_feed_that_is_silent_lost_or_lacks_records() -> None:
    (silent,) = of_feeds([feed_pod(301, probes=2)], NOW, set())
    assert silent.problem == "it gets no trades since 301 s, although its exchange has some"
    assert "-n team" in silent.do
    (lost,) = of_feeds([feed_pod(601, lost=3)], NOW, set())
    assert lost.problem == "3 subscriptions are not connected"
    (gaps,) = of_feeds([feed_pod(1, gaps=2)], NOW, {"kraken"})
    assert gaps.problem == "2 symbols have gaps that are open for over 15 min"
    fine = [feed_pod(301, probes=1), feed_pod(10, probes=5), feed_pod(10, lost=1), feed_pod(1, gaps=2)]
    assert of_feeds(fine, NOW, set()) == []


def test_alerts_that_fire_name_their_runbook(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"summary": "Feed x is silent", "runbook_url": "https://example.org/feed-silent.md"}
    alerts = [
        {"state": "firing", "labels": {"alertname": "TapedeckFeedSilent"}, "annotations": about},
        {"state": "pending", "labels": {"alertname": "TapedeckGapsOpen"}, "annotations": about},
    ]
    asked: list[str] = []

    def get(_: httpx.Client, url: str) -> httpx.Response:
        asked.append(url)
        return httpx.Response(200, json={"data": {"alerts": alerts}}, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx.Client, "get", get)
    (alert,) = health_look.firing_alerts("http://127.0.0.1:9090/")
    assert asked == ["http://127.0.0.1:9090/api/v1/alerts"]
    assert (alert.what, alert.problem) == ("alert TapedeckFeedSilent", "Feed x is silent")
    assert alert.do == "follow https://example.org/feed-silent.md"


def recorder(phase: str = "Running") -> Json:
    labels = {"app.kubernetes.io/name": "recorder"}
    status = {"phase": phase, "url": "http://127.0.0.1:1"}
    return {"kind": "Pod", "metadata": {"uid": "r", "labels": labels}, "status": status}


def test_a_recorder_that_does_not_run_or_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_look, "scrape_all", lambda _: {})
    assert health_look.look_at_pods([recorder("Failed")]).recorder_state() == "does not run"
    look = health_look.look_at_pods([recorder()])
    assert look.recorder_state() == "unreachable (no answer at http://127.0.0.1:1)"
    (found,) = health.of_parts({"page": "ok", "recorder": look.recorder_state()})
    assert "`tapedeck logs recorder`" in found.do
    monkeypatch.setattr(health_look, "scrape_all", lambda _: {"r": parse("tapedeck_recorder_partitions 3\n", 0.0)})
    assert health_look.look_at_pods([recorder()]).recorder_state() == "ok"
