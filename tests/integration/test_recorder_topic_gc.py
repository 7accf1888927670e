"""Deleting the topics of deleted replays, on a real broker."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from pods.recorder import eventually
from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import points_topic, replay_topic
from tapedeck_recorder.topic_gc import delete_orphaned_topics, fetch_replay_uids, run_topic_gc


@pytest.fixture
def uids(connections: Connections) -> tuple[str, str]:
    """The uids of an existing and of a deleted replay; both have a topic and one of a transform."""
    made = f"existing-{uuid.uuid4()}", f"deleted-{uuid.uuid4()}"
    topics = [of(uid) for uid in made for of in (points_topic, replay_topic)]
    ensure_topics(admin(connections, "test"), topics, 1)
    eventually(lambda: set(topics) <= _listed(connections))  # a broker lists them a moment after its controller
    return made


def _listed(connections: Connections) -> set[str]:
    return set(admin(connections, "test").list_topics(timeout=60).topics)


def test_only_topics_of_deleted_replays_are_deleted(connections: Connections, uids: tuple[str, str]) -> None:
    existing, orphaned = ({points_topic(uid), replay_topic(uid)} for uid in uids)
    kept = {name.rpartition(".")[2] for name in _listed(connections)} - {uids[1]}
    assert set(delete_orphaned_topics(admin(connections, "test"), lambda: kept)) == orphaned
    eventually(lambda: not orphaned & _listed(connections))
    assert existing <= _listed(connections)


@pytest.mark.parametrize("content", ["", "not JSON", '{"a": 1}', None])
def test_nothing_is_deleted_without_a_valid_list_of_uids(
    connections: Connections, uids: tuple[str, str], tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "uids.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises((OSError, ValueError)):
        delete_orphaned_topics(admin(connections, "test"), lambda: fetch_replay_uids(file.as_uri()))
    assert {replay_topic(uid) for uid in uids} <= _listed(connections)


def test_a_failed_pass_is_retried(connections: Connections, uids: tuple[str, str], tmp_path: Path) -> None:
    file, stop = tmp_path / "uids.json", threading.Event()
    thread = threading.Thread(target=run_topic_gc, args=(connections, file.as_uri(), stop, 0.05))
    thread.start()
    try:
        time.sleep(0.3)
        assert replay_topic(uids[1]) in _listed(connections)
        kept = {name.removeprefix("tapedeck.replay.") for name in _listed(connections)} - {uids[1]}
        (tmp_path / "new").write_text(json.dumps(sorted(kept)))
        (tmp_path / "new").replace(file)
        eventually(lambda: replay_topic(uids[1]) not in _listed(connections))
        assert replay_topic(uids[0]) in _listed(connections)
    finally:
        stop.set()
        thread.join(timeout=60)
    assert not thread.is_alive()


def test_an_answer_that_is_no_http_does_not_end_it(connections: Connections, uids: tuple[str, str]) -> None:
    asked, stop = threading.Semaphore(0), threading.Event()

    class Garbage(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"garbage\r\n\r\n")
            asked.release()

    with ThreadingTCPServer(("127.0.0.1", 0), Garbage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/uids"
        thread = threading.Thread(target=run_topic_gc, args=(connections, url, stop, 0.05))
        thread.start()
        try:
            assert all(asked.acquire(timeout=60) for _ in range(3))
        finally:
            stop.set()
            thread.join(timeout=60)
            server.shutdown()
    assert replay_topic(uids[1]) in _listed(connections)
