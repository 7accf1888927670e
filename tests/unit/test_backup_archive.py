"""An archive of a backup is taken whole or not at all, and holds nothing of the deck that wrote it but its data."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tapedeck_common.store.schema_version import known_revisions
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.embedded import services
from tapedeck_deck.embedded.backup import copy_objects
from tapedeck_deck.embedded.backup_archive import (
    MANIFEST,
    Archive,
    Manifest,
    describe_parts,
    new_archive,
    write_archive,
)
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import MIGRATIONS, Objects
from tapedeck_deck.embedded.postgres_account import MAJOR
from tapedeck_deck.embedded.restore import restore
from tapedeck_deck.embedded.state_dir import StateDir

PARTS = {
    "objects.db": b"o" * 3_000,
    "store.dump": b"s" * 70_000,
    "sinks.yaml": b"[]",
    "sinks/influx/authorization": b"t",
}
Members = list[tuple[str, bytes]]


def written(file: Path, **changed: Any) -> Path:
    with new_archive(file) as folder:
        for name, content in PARTS.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        fields: Json = {
            "made_at": "2026-01-01T00:00:00Z",
            "objects_version": len(MIGRATIONS),
            "store_revision": known_revisions()[0],
            "postgres": MAJOR,
            "resources": {"Feed": 1},
            "parts": describe_parts(folder),
        }
        write_archive(file, folder, Manifest(**fields | changed), lambda _: None)
    return file


def members(file: Path) -> Members:
    """Read without the code that is tested."""
    with tarfile.open(file) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def rewritten(file: Path, change: Callable[[Members], Members]) -> Path:
    content = change(members(file))
    with tarfile.open(file, "w") as archive:
        for name, text in content:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return file


def refusal(file: Path, tmp_path: Path) -> str:
    """The message with which the archive is refused; nothing is written."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DeckError) as caught:
        restore(file, StateDir.at(tmp_path / "home" / "new"))
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


def with_manifest(**changed: Any) -> Callable[[Members], Members]:
    def change(found: Members) -> Members:
        return [(MANIFEST, json.dumps(json.loads(found[0][1]) | changed).encode()), *found[1:]]

    return change


def test_an_archive_comes_back_as_it_was_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = written(tmp_path / "a.backup")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    manifest = json.loads(members(file)[0][1])
    assert {name: part["sha256"] for name, part in manifest["parts"].items()} == {
        name: sha256(content).hexdigest() for name, content in PARTS.items()
    }
    archive = Archive(file)
    archive.extract(tmp_path / "out")
    archive.close()
    found = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == PARTS
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values()} == {0o600}
    with pytest.raises(DeckError, match="exists already"):
        written(file)


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_archive(tmp_path / "a.backup") as folder:
        (folder / "objects.db").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_every_truncated_archive_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "a.backup")
    content = file.read_bytes()
    end = content.rindex(b"s") + 1  # of the last part; what follows is padding
    for length in (*range(0, 6_000, 509), *range(6_000, end, 5_003), end - 1):
        file.write_bytes(content[:length])
        message = refusal(file, tmp_path)
        assert "incomplete" in message or "no backup" in message or "damaged" in message, (length, message)


def test_every_changed_byte_of_a_part_is_noticed(tmp_path: Path) -> None:
    file = written(tmp_path / "a.backup")
    content = file.read_bytes()
    for needle in (b"o" * 3_000, b"s" * 70_000):
        changed = bytearray(content)
        changed[content.index(needle) + len(needle) // 2] ^= 1
        file.write_bytes(changed)
        assert "is not what its manifest says" in refusal(file, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_manifest(tapedeck_backup=2, tapedeck="9.1"), "format 2 by Tapedeck 9.1, expected at most 1"),
        (with_manifest(tapedeck="9.1", store_revision="9999"), "Tapedeck 9.1 with a newer schema (store)"),
        (with_manifest(objects_version=99), "newer schema (resources)"),
        (with_manifest(postgres=99), "newer schema (database)"),
        (with_manifest(parts={}), "its manifest is damaged"),
        (with_manifest(unknown=1), "its manifest is damaged"),
        (lambda found: found[1:], "no backup"),
        (lambda found: found[:-1], "store.dump is missing"),
        (lambda found: [*found, found[1]], "is not what its manifest says"),
        (lambda found: [*found, ("../../outside", b"x")], "'../../outside' is not what its manifest says"),
        (lambda found: [(MANIFEST, b"{"), *found[1:]], "its manifest is damaged"),
    ],
)
def test_archives_of_others_are_refused_by_name(
    change: Callable[[Members], Members], words: str, tmp_path: Path
) -> None:
    file = rewritten(written(tmp_path / "a.backup"), change)
    message = refusal(file, tmp_path)
    assert message.startswith(f"{file}: ")
    assert words in message


@pytest.mark.parametrize("content", [b"", b"PGDMP", b"\0" * 5_000, b"\x1f\x8b\x08" + b"x" * 600, b"a,b\n" * 500])
def test_files_that_are_no_archive_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(content)
    assert "no backup" in refusal(file, tmp_path)


def test_a_manifest_cannot_name_a_file_outside(tmp_path: Path) -> None:
    def outside(found: Members) -> Members:
        text = found[0][1].replace(b"sinks/influx/authorization", b"sinks/../../outside")
        names = {"sinks/influx/authorization": "sinks/../../outside"}
        return [(MANIFEST, text), *((names.get(name, name), content) for name, content in found[1:])]

    file = rewritten(written(tmp_path / "a.backup"), outside)
    assert "its manifest is damaged" in refusal(file, tmp_path)


def test_a_folder_with_data_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "a.backup")
    home = tmp_path / "home"
    home.mkdir()
    (home / "mine").write_text("x")
    with pytest.raises(DeckError, match="which is not empty, expected a new or empty folder"):
        restore(file, StateDir.at(home))
    assert [path.name for path in home.iterdir()] == ["mine"]


def test_the_copy_of_the_objects_has_no_password_and_no_pod_of_the_running_deck(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects.db")
    password = b64encode(b"postgresql://r:THE-PASSWORD@/x").decode()
    objects.apply(services.connections(lambda _: {"kafka_bootstrap": "b:1"}, lambda _: "dsn:THE-PASSWORD"))
    objects.apply(services.recorder({}))
    user_secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "data": {"k": "a2V5"}}
    objects.apply(user_secret)
    spec = {"source": {"store": {"exchange": "x", "symbols": ["A/B"]}}}
    made = {}
    for name, phase in (("done", "Complete"), ("going", "Running")):
        document = {"apiVersion": API_VERSION, "kind": "Replay", "metadata": {"name": name}, "spec": spec}
        made[name] = objects.apply(document)[0]
        objects.set_status("Replay", "default", name, {"phase": phase})
    owner = {"apiVersion": API_VERSION, "kind": "Replay", "name": "going", "uid": made["going"]["metadata"]["uid"]}
    metadata = {"name": "child", "ownerReferences": [owner]}
    objects.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"k": password}})

    assert copy_objects(objects_file := tmp_path / "objects.db", tmp_path / "copy.db") == {"Replay": 2}
    content = (tmp_path / "copy.db").read_bytes()
    assert password.encode() in objects_file.read_bytes() + objects_file.with_name("objects.db-wal").read_bytes()
    assert password.encode() not in content
    assert b64encode(b"dsn:THE-PASSWORD") not in content
    copied = Objects(tmp_path / "copy.db")
    assert {(d["kind"], d["metadata"]["name"]) for d in copied.list()} == {
        ("Secret", "mine"),
        ("Replay", "done"),
        ("Replay", "going"),
    }
    assert [copied.get("Replay", "default", n)["status"] for n in ("done", "going")] == [{"phase": "Complete"}, {}]
    assert copied.get("Replay", "default", "done")["metadata"]["uid"] == made["done"]["metadata"]["uid"]
    assert len(objects.list()) == 6, "the source is as it was"
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
