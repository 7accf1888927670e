"""The resources that repeat a stored run, compared with ones written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_crds.repeat import StoredRun, manifests_of, repeat_obstacle, repeated_manifests

STORE = {"strategy": {"builtin": "sma-cross"}, "data": {"store": {"exchange": "x", "symbols": ["A"]}}, "suspend": False}
REPLAYED = {"strategy": {"builtin": "sma-cross"}, "data": {"replay": {"name": "tape", "onSeek": "restart"}}}
SOURCE = {"store": {"exchange": "x", "symbols": ["A"]}}


def run(**fields: Any) -> StoredRun:
    given = {"run_id": "u-1", "name": "cross", "namespace": "n", "spec": STORE, "state": "complete", "origin": {}}
    return StoredRun(**{**given, **fields})


@pytest.mark.parametrize(
    ("fields", "obstacle"),
    [
        ({}, ""),
        ({"run_id": "u-1@0.2"}, ""),  # the last round of a loop, which equals the first
        ({"run_id": "u-1@1.0"}, "was restarted by a seek"),
        ({"run_id": "u-1@1.0", "origin": {"begin": 1_522_800_000_000}}, ""),
        ({"state": "failed"}, "is not complete (failed)"),
        ({"origin": None}, "has no record of its data and code"),
    ],
)
def test_a_run_that_cannot_be_compared_is_not_repeated(fields: dict[str, Any], obstacle: str) -> None:
    found = repeat_obstacle(run(**fields))
    assert (found == "") == (obstacle == "")
    assert obstacle in found


def test_a_run_of_the_store_is_repeated_by_its_backtest() -> None:
    (backtest,) = repeated_manifests(run(name="a" * 40), "-rerun-1")
    assert backtest["metadata"] == {"name": "a" * 32 + "-rerun-1", "namespace": "n"}
    assert backtest["spec"] == {name: value for name, value in STORE.items() if name != "suspend"}
    assert [each["spec"] for each in manifests_of(run())] == [STORE]


def test_a_run_of_a_replay_is_repeated_with_that_replay_as_it_was_sought() -> None:
    played = {"source": SOURCE, "speed": 60, "paused": True, "seek": {"to": "2018-04-05T00:00:00Z", "id": "1"}}
    origin = {"replay": played, "replay_name": "tape", "begin": 1_522_800_000_000}
    stored = run(spec=REPLAYED, origin=origin)
    replay, backtest = repeated_manifests(stored, "-rerun-1")
    assert (replay["kind"], replay["metadata"]["name"]) == ("Replay", "tape-rerun-1")
    assert replay["spec"] == {
        "source": SOURCE,
        "unpaced": True,
        "atEnd": "finish",
        "seek": {"to": "2018-04-04T00:00:00Z", "id": "rerun"},
    }
    assert backtest["spec"]["data"] == {"replay": {"name": "tape-rerun-1", "onSeek": "restart"}}
    assert stored.spec == REPLAYED  # what was stored stays as it was
    assert [(each["kind"], each["spec"]) for each in manifests_of(stored)] == [
        ("Replay", played),
        ("Backtest", REPLAYED),
    ]
