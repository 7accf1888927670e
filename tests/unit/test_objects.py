"""The resource store's rules: uid, generation, resourceVersion, cascades, events; several processes at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from pods.socket_deck import manifest
from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource
from tapedeck_crds.resource import FINAL_PHASES, Phase
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.processes import wait_exit
from tapedeck_operator.reconcile.errors import ObjectConflict, ObjectNotFound


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects.db")


def replay(name: str = "tape", **spec: Any) -> Json:
    source = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
    return {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Replay",
        "metadata": {"name": name},
        "spec": {"source": source, **spec},
    }


def pod(name: str, *owners: Json, **metadata: Any) -> Json:
    references = [
        {"apiVersion": o["apiVersion"], "kind": o["kind"], "name": o["metadata"]["name"], "uid": o["metadata"]["uid"]}
        for o in owners
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "ownerReferences": references, **metadata},
        "spec": {"containers": []},
    }


def test_the_store_sets_the_fields_that_an_api_server_sets(objects: Objects) -> None:
    kept, outcome = objects.apply(replay())
    metadata = kept["metadata"]
    assert outcome == "created"
    assert (metadata["namespace"], metadata["generation"], metadata["resourceVersion"]) == ("default", 1, "1")
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    assert objects.get("Replay", "default", "tape") == kept


def test_a_spec_is_stored_with_its_defaults(objects: Objects) -> None:
    spec = objects.apply(replay())[0]["spec"]
    assert spec == {
        "source": {
            "channel": "bars",
            "fill": False,
            "store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"},
        },
        "speed": 1.0,
        "unpaced": False,
        "paused": False,
        "atEnd": "finish",
        "shards": 1,
        "record": False,
    }


def test_a_changed_spec_raises_the_generation_and_every_write_the_version(objects: Objects) -> None:
    first, _ = objects.apply(replay())
    same, outcome = objects.apply(replay())
    assert (outcome, same) == ("unchanged", first)
    assert objects.version == 1
    labelled = replay()
    labelled["metadata"]["labels"] = {"a": "b"}
    second, outcome = objects.apply(labelled)
    assert (outcome, second["metadata"]["generation"], second["metadata"]["resourceVersion"]) == ("configured", 1, "2")
    third, _ = objects.apply(replay(speed=2))
    assert (third["metadata"]["generation"], third["metadata"]["resourceVersion"]) == (2, "3")
    assert "labels" not in third["metadata"]
    assert third["metadata"]["uid"] == first["metadata"]["uid"]
    assert third["metadata"]["creationTimestamp"] == first["metadata"]["creationTimestamp"]


def test_the_status_is_written_separately(objects: Objects) -> None:
    made, _ = objects.apply(replay() | {"status": {"phase": "Failed"}})
    assert "status" not in made
    written = objects.set_status("Replay", "default", "tape", {"phase": "Running"})
    assert written is not None
    assert (written["status"], written["metadata"]["generation"]) == ({"phase": "Running"}, 1)
    assert objects.set_status("Replay", "default", "tape", {"phase": "Running"}) is None
    assert objects.version == 2
    changed, _ = objects.apply(replay(speed=5))
    assert changed["status"] == {"phase": "Running"}


def test_a_status_is_written_for_one_uid_only(objects: Objects) -> None:
    uid = objects.apply(replay())[0]["metadata"]["uid"]
    objects.delete("Replay", "default", "tape")
    with pytest.raises(ObjectNotFound, match="Replay default/tape not found"):
        objects.set_status("Replay", "default", "tape", {}, uid=uid)
    objects.apply(replay())
    with pytest.raises(ObjectNotFound, match=uid):
        objects.set_status("Replay", "default", "tape", {"phase": "Running"}, uid=uid)


def test_a_read_returns_a_copy(objects: Objects) -> None:
    kept, _ = objects.apply(replay())
    kept["spec"]["speed"] = 99
    assert objects.get("Replay", "default", "tape")["spec"]["speed"] == 1.0


def test_an_invalid_resource_is_rejected_and_changes_nothing(objects: Objects) -> None:
    objects.apply(replay())
    for wrong, says in (
        (replay(speed=0), "spec.speed"),
        (replay(source={"store": {"exchange": "kraken", "symbols": ["BTC/USD"]}}), "source is immutable"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {}}, "metadata.name: got None, expected text"),
        ({"kind": "Pod", "metadata": {"name": "x"}}, "apiVersion: got None"),
    ):
        with pytest.raises(InvalidResource, match=says):
            objects.apply(wrong)
    assert objects.version == 1


def test_a_document_of_an_outdated_version_is_rejected(objects: Objects) -> None:
    old, _ = objects.apply(replay())
    objects.apply(replay(speed=2))
    with pytest.raises(ObjectConflict, match=r"resourceVersion: got '1', expected '2'"):
        objects.apply(old)
    objects.delete("Replay", "default", "tape")
    assert objects.apply(old)[1] == "created"
    with pytest.raises(ObjectConflict, match="uid"):
        objects.apply(old)


def test_a_patch_is_merged_and_validated(objects: Objects) -> None:
    objects.apply(replay(seek={"to": "2018-04-04T00:00:00Z", "id": "a"}))
    patched = objects.patch_spec(
        "Replay", "default", "tape", {"spec": {"speed": 60, "seek": None}, "metadata": {"labels": {"x": "y"}}}
    )
    assert patched["spec"]["speed"] == 60
    assert "seek" not in patched["spec"]
    assert patched["metadata"]["labels"] == {"x": "y"}
    assert patched["metadata"]["generation"] == 2
    with pytest.raises(InvalidResource, match=r"spec\.speed"):
        objects.patch_spec("Replay", "default", "tape", {"spec": {"speed": "fast"}})
    others: list[Json] = [{"status": {}}, {"metadata": {"name": "other"}}, {"kind": "Feed"}, {"metadata": 1}]
    for foreign in others:
        with pytest.raises(InvalidResource, match="expected a patch of spec"):
            objects.patch_spec("Replay", "default", "tape", foreign)
    with pytest.raises(ObjectNotFound):
        objects.patch_spec("Replay", "default", "other", {})


def test_lists_filter_by_kind_namespace_and_owner_oldest_first(objects: Objects) -> None:
    owner, _ = objects.apply(replay("z"))
    objects.apply(replay("a"))
    objects.apply(pod("p", owner))
    objects.apply(pod("q", namespace="other"))
    objects.apply(replay("z", speed=2))
    names = [o["metadata"]["name"] for o in objects.list()]
    assert names == ["z", "a", "p", "q"]
    assert [o["metadata"]["name"] for o in objects.list("Replay")] == ["z", "a"]
    assert [o["metadata"]["name"] for o in objects.list(namespace="other")] == ["q"]
    assert [o["metadata"]["name"] for o in objects.list(owner_uid=owner["metadata"]["uid"])] == ["p"]
    assert objects.list("Pod", "default", "nobody") == []


def finished_run(objects: Objects, name: str) -> Json:
    """A Replay that is complete, with its Job and Pod."""
    made, _ = objects.apply(replay(name))
    job, _ = objects.apply(pod(f"{name}-job", made) | {"kind": "Job"})
    objects.apply(pod(f"{name}-pod", job))
    objects.set_status("Pod", "default", f"{name}-pod", {"phase": "Succeeded"})
    objects.set_status("Job", "default", f"{name}-job", {"conditions": [{"type": "Complete", "status": "True"}]})
    objects.set_status("Replay", "default", name, {"phase": "Complete"})
    return made


def names(documents: list[Json]) -> list[str]:
    return [document["metadata"]["name"] for document in documents]


def test_what_is_over_is_left_out_with_all_that_belongs_to_it(objects: Objects) -> None:
    over, left = finished_run(objects, "over"), finished_run(objects, "left")
    objects.set_status("Replay", "default", "left", {"phase": "Running"})
    objects.apply(pod("new"))
    objects.set_status("Pod", "default", "new", {"phase": "Running"})
    assert names(objects.list_current()) == ["over", "left", "left-job", "left-pod", "new"]
    assert names(objects.list_unfinished("Pod")) == ["new"]
    assert names(objects.list_unfinished("Replay")) == ["left"]
    assert names(objects.list_descendants("Pod", left["metadata"]["uid"])) == ["left-pod"]
    assert objects.uids("Replay") == {over["metadata"]["uid"], left["metadata"]["uid"]}


@pytest.mark.parametrize("phase", get_args(Phase))
def test_what_is_over_is_what_has_a_final_phase(objects: Objects, phase: str) -> None:
    for kind in ("Feed", "Replay", "Backtest"):
        objects.apply(manifest(kind, "x"))
        objects.set_status(kind, "default", "x", {"phase": phase})
        assert bool(objects.list_unfinished(kind)) == (phase not in FINAL_PHASES)


def test_a_file_of_an_earlier_schema_tells_what_is_over_too(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    Objects(path).close()
    with sqlite3.connect(path) as connection:  # as schema 2 had it
        connection.execute("DROP INDEX objects_unfinished")
        connection.execute("ALTER TABLE objects DROP COLUMN unfinished")
        connection.execute("PRAGMA user_version = 2")
        for name, status in (("over", '{"phase":"Failed"}'), ("new", "{}")):
            document = f'{{"kind":"Pod","metadata":{{"name":"{name}"}},"status":{status}}}'
            connection.execute(
                "INSERT INTO objects (uid, kind, namespace, name, document) VALUES (?, 'Pod', 'default', ?, ?)",
                (name, name, document),
            )
    connection.close()
    assert names(Objects(path).list_current()) == ["new"]


def test_no_query_passes_over_all_objects(objects: Objects, tmp_path: Path) -> None:
    uid = finished_run(objects, "over")["metadata"]["uid"]
    statements: list[str] = []
    connection = objects._database._connection
    connection.set_trace_callback(statements.append)
    objects.list("Replay")
    objects.list("Pod", "default")
    objects.list(owner_uid=uid)
    objects.list("Pod", "default", uid)
    objects.list_unfinished("Pod")
    objects.list_current()
    objects.list_descendants("Pod", uid)
    objects.uids("Replay")
    connection.set_trace_callback(None)
    assert len(statements) == 8
    for statement in statements:
        steps = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert [step for step in steps if step.startswith("SCAN objects") and "objects_unfinished" not in step] == []


def test_deletion_cascades_to_all_descendants(objects: Objects) -> None:
    root, _ = objects.apply(replay())
    job, _ = objects.apply(pod("job", root))
    objects.apply(pod("pod", job))
    objects.apply(pod("stranger"))
    version = objects.version
    assert not objects.delete("Replay", "default", "tape", uid="another")
    assert objects.delete("Replay", "default", "tape", uid=root["metadata"]["uid"])
    assert [o["metadata"]["name"] for o in objects.list()] == ["stranger"]
    assert objects.version == version + 1
    assert not objects.delete("Replay", "default", "tape")
    with pytest.raises(ObjectNotFound, match="owner Replay tape of late"):
        objects.apply(pod("late", root))


def test_an_object_with_a_new_owner_is_deleted_with_that_one(objects: Objects) -> None:
    one, two = objects.apply(replay("one"))[0], objects.apply(replay("two"))[0]
    objects.apply(pod("p", one))
    objects.apply(pod("p", two))
    objects.delete("Replay", "default", "one")
    assert objects.list("Pod")
    objects.delete("Replay", "default", "two")
    assert not objects.list("Pod")


def test_a_transaction_is_all_or_nothing(objects: Objects) -> None:
    with pytest.raises(InvalidResource), objects.transaction():
        objects.apply(replay("good"))
        objects.apply(replay("bad", speed=0))
    assert (objects.list(), objects.version) == ([], 0)
    objects.apply(replay("after"))


def event(message: str, at: str, uid: str = "u") -> Json:
    return {
        "uid": uid, "kind": "Replay", "name": "tape", "namespace": "default", "type": "Normal",
        "reason": "Started", "message": message, "at": at,
    }  # fmt: skip


def test_repeated_events_are_counted(objects: Objects) -> None:
    objects.add_event(event("one", "2026-01-01T00:00:00Z"))
    objects.add_event(event("two", "2026-01-01T00:05:00Z"))
    objects.add_event(event("one", "2026-01-01T00:09:00Z"))
    objects.add_event(event("one", "2026-01-01T00:09:30Z", uid="v"))
    objects.add_event(event("two", "2026-01-01T00:15:01Z"))
    events = [(e["message"], e["count"], e["first"][11:], e["at"][11:]) for e in objects.events("u")]
    assert events == [
        ("two", 1, "00:05:00Z", "00:05:00Z"),
        ("one", 2, "00:00:00Z", "00:09:00Z"),
        ("two", 1, "00:15:01Z", "00:15:01Z"),
    ]
    assert len(objects.events()) == 4
    assert [e["at"][11:] for e in objects.events(limit=1)] == ["00:15:01Z"]


def test_the_event_log_is_bounded(objects: Objects) -> None:
    with objects.transaction():
        for number in range(5_050):
            objects.add_event(event(str(number), "2026-01-01T00:00:00Z"))
    kept = objects.events(limit=100_000)
    assert (len(kept), kept[0]["message"], kept[-1]["message"]) == (5_000, "50", "5049")


def test_a_file_of_a_newer_schema_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    Objects(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(DeckError, match="got schema version 7, expected 3"):
        Objects(path)


def test_a_file_that_is_no_database_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.write_text("not a database, but long enough to look at " * 100)
    with pytest.raises(DeckError, match=r"objects\.db: file is not a database"):
        Objects(path)


WRITER = """
import sys
from pathlib import Path
from tapedeck_deck.embedded.objects import Objects
from tapedeck_operator.reconcile.errors import ObjectNotFound
objects = Objects(Path(sys.argv[1]))
seen = []
for number in range(150):
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shared"}, "spec": {}}
    with objects.transaction():
        try:
            manifest["spec"]["count"] = objects.get("Pod", "default", "shared")["spec"]["count"] + 1
        except ObjectNotFound:
            manifest["spec"]["count"] = 1
        kept, _ = objects.apply(manifest)
    seen.append(kept["metadata"]["resourceVersion"])
print(" ".join(seen))
"""


def test_concurrent_writes_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"  # the first process creates it
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    versions = [int(v) for writer in writers for v in writer.communicate(timeout=900)[0].split()]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sorted(versions) == list(range(1, 451))
    objects = Objects(path)
    shared = objects.get("Pod", "default", "shared")
    assert (shared["spec"]["count"], shared["metadata"]["generation"], objects.version) == (450, 450, 450)


def test_threads_share_a_store(objects: Objects) -> None:
    def write(part: int) -> None:
        for number in range(50):
            objects.apply(pod(f"p-{part}-{number}"))

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert len(objects.list("Pod")) == 200
    assert objects.version == 200


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_writer_waits_for_another_and_readers_do_not(objects: Objects, tmp_path: Path) -> None:
    objects.apply(replay())
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "objects.db")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert objects.version == 1
        began = time.monotonic()
        threading.Timer(0.5, holder.kill).start()
        objects.apply(replay(speed=2))
        assert time.monotonic() - began > 0.3
    finally:
        holder.kill()
        wait_exit(holder, 60)
    assert objects.version == 2
