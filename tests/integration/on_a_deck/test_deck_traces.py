"""A deck whose pods trace: `tapedeck up --traces URL`."""

from __future__ import annotations

from pathlib import Path

import pytest

from decks.process import apply, reaches, running_deck
from pods.otlp import ReceivedSpan, trace_receiver
from pods.replay import insert_minutes
from waits import eventually

pytestmark = pytest.mark.slow


def test_pods_of_runs_and_the_decks_own_export_to_its_receiver(tmp_path: Path) -> None:
    with trace_receiver() as receiver, running_deck(tmp_path / "home", traces=receiver.url) as (home, facts, objects):
        assert facts["traces"] == receiver.url
        insert_minutes((home.migrate / "store_dsn").read_text().strip(), "x", ["A/B"], 30)
        source = {"store": {"exchange": "x", "symbols": ["A/B"]}}
        apply(objects, "Replay", "tape", {"source": source, "unpaced": True, "record": True})
        reaches(objects, "Replay", "tape", "Complete")

        def both() -> tuple[ReceivedSpan, ReceivedSpan] | None:
            spans = receiver.spans()
            pairs = ((one, other) for one in spans for other in spans if other.parent == one.span_id)
            return next(pairs, None)

        published, stored = eventually(both, what="a stored record")
        uid = objects.get("Replay", "default", "tape")["metadata"]["uid"]
        of_replay = {f"tapedeck.{name}": published.resource[f"tapedeck.{name}"] for name in ("kind", "name", "uid")}
        assert of_replay == {"tapedeck.kind": "Replay", "tapedeck.name": "tape", "tapedeck.uid": uid}
        assert (published.name, published.resource["service.name"]) == ("publish", "tapedeck-replay")
        assert (stored.name, stored.resource["service.name"]) == ("store", "tapedeck-recorder")
