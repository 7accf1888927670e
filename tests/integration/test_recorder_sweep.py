"""Topics of replays that are no more, on a real broker."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path

import pytest

from pods.recorder import eventually
from tapedeck_common.kafka import admin, ensure_topics
from tapedeck_common.settings import Connections
from tapedeck_common.topics import points_topic, replay_topic
from tapedeck_recorder.topic_gc import keep_sweeping, living, sweep


@pytest.fixture
def uids(connections: Connections) -> tuple[str, str]:
    """A living and a dead replay, both with a topic and one of its transforms."""
    made = f"living-{uuid.uuid4()}", f"dead-{uuid.uuid4()}"
    topics = [of(uid) for uid in made for of in (points_topic, replay_topic)]
    ensure_topics(admin(connections, "test"), topics, 1)
    eventually(lambda: set(topics) <= _there(connections))  # a broker knows of them a moment after its controller
    return made


def _there(connections: Connections) -> set[str]:
    return set(admin(connections, "test").list_topics(timeout=60).topics)


def test_only_topics_of_dead_replays_go(connections: Connections, uids: tuple[str, str]) -> None:
    alive, dead = ({points_topic(uid), replay_topic(uid)} for uid in uids)
    others = {name.rpartition(".")[2] for name in _there(connections)} - {uids[1]}
    assert set(sweep(admin(connections, "test"), lambda: others)) == dead
    eventually(lambda: not dead & _there(connections), timeout=10)
    assert alive <= _there(connections)


@pytest.mark.parametrize("said", ["", "not JSON", '{"a": 1}', None])
def test_nothing_goes_where_nobody_knows_the_living(
    connections: Connections, uids: tuple[str, str], tmp_path: Path, said: str | None
) -> None:
    file = tmp_path / "living.json"
    if said is not None:
        file.write_text(said)
    with pytest.raises((OSError, ValueError)):
        sweep(admin(connections, "test"), lambda: living(file.as_uri()))
    assert {replay_topic(uid) for uid in uids} <= _there(connections)


def test_it_goes_on_after_a_pass_that_failed(connections: Connections, uids: tuple[str, str], tmp_path: Path) -> None:
    file, stop = tmp_path / "living.json", threading.Event()
    thread = threading.Thread(target=keep_sweeping, args=(connections, file.as_uri(), stop, 0.05))
    thread.start()
    try:
        time.sleep(0.3)
        assert replay_topic(uids[1]) in _there(connections)
        known = {name.removeprefix("tapedeck.replay.") for name in _there(connections)} - {uids[1]}
        (tmp_path / "new").write_text(json.dumps(sorted(known)))
        (tmp_path / "new").replace(file)
        eventually(lambda: replay_topic(uids[1]) not in _there(connections), timeout=15)
        assert replay_topic(uids[0]) in _there(connections)
    finally:
        stop.set()
        thread.join(timeout=60)
    assert not thread.is_alive()
