"""Where the deck's Prometheus finds pods, and which labels their series have: those of the chart's monitors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charts.rendered import CHART
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import prometheus
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.metrics_server import pod_targets


def pod(labels: dict[str, str], annotations: dict[str, str] | None = None, **status: Any) -> Json:
    metadata = {"name": "p-0", "namespace": "team", "labels": labels, "annotations": annotations or {}}
    return {"metadata": metadata, "status": {"phase": "Running", "url": "http://127.0.0.1:5", **status}}


REPLAY = {
    "app.kubernetes.io/name": "replay",
    "app.kubernetes.io/instance": "tape",
    "tapedeck.dev/kind": "Replay",
    "tapedeck.dev/uid": "u",
}


def test_a_pod_of_a_job_has_its_resource_and_shard() -> None:
    (found,) = pod_targets([pod(REPLAY, {"batch.kubernetes.io/job-completion-index": "2"})])
    assert found == {
        "targets": ["127.0.0.1:5"],
        "labels": {"job": "replay", "namespace": "team", "pod": "p-0", "kind": "Replay", "name": "tape", "shard": "2"},
    }


def test_a_live_feed_has_its_shard_as_a_label() -> None:
    labels = REPLAY | {"app.kubernetes.io/name": "feed", "tapedeck.dev/kind": "Feed", "tapedeck.dev/shard": "1"}
    (found,) = pod_targets([pod(labels)])
    assert (found["labels"]["job"], found["labels"]["shard"]) == ("feed", "1")


def test_transforms_are_a_job_of_their_own() -> None:
    (found,) = pod_targets([pod(REPLAY | {"tapedeck.dev/part": "transform"})])
    assert (found["labels"]["job"], found["labels"]["kind"]) == ("transform", "Replay")
    assert "shard" not in found["labels"]


def test_a_service_of_the_deck_runs_for_no_resource() -> None:
    (found,) = pod_targets([pod({"app.kubernetes.io/name": "recorder"})])
    assert found["labels"] == {"job": "recorder", "namespace": "team", "pod": "p-0"}


def test_pods_that_do_not_answer_are_no_targets() -> None:
    starting = pod(REPLAY)
    del starting["status"]["url"]
    assert pod_targets([starting, pod(REPLAY, phase="Succeeded"), {**pod(REPLAY), "status": {}}]) == []


def test_without_a_prometheus_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeckError, match="--metrics: got no program `prometheus` in PATH, expected one; install it"):
        prometheus.program()


def test_the_configuration_finds_the_pods_and_has_the_rules() -> None:
    found: Any = prometheus.configuration("http://127.0.0.1:7/targets", Path("/rules.yaml"))
    assert found["rule_files"] == ["/rules.yaml"]
    (scrape,) = found["scrape_configs"]
    assert scrape["http_sd_configs"][0]["url"] == "http://127.0.0.1:7/targets"
    assert scrape["honor_labels"]
    assert prometheus.rules() == CHART / "files/alerts.yaml"


def test_without_a_clone_the_rules_are_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "RULES", tmp_path / "no-clone.yaml")
    monkeypatch.setattr("sysconfig.get_path", lambda name, scheme: str(tmp_path / name))
    with pytest.raises(DeckError, match=r"--metrics: got no rules of alerts in .*no-clone.yaml"):
        prometheus.rules()
    installed = tmp_path / "data/share/tapedeck/alerts.yaml"
    installed.parent.mkdir(parents=True)
    installed.write_text("groups: []")
    assert prometheus.rules() == installed
