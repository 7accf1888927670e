"""Files by the gateway's routes, from a request to the files of a deck and its Feeds, by the deck's socket."""

from __future__ import annotations

import errno
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from layouts.small_files import BARS, HEADER, MINUTE, ROWS, T0
from pods.socket_deck import SocketDeck, long_home, serving_socket, socket_deck
from tapedeck_crds.json import Json
from tapedeck_deck.cli.app import app
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.embedded.uploads import KEPT_SECONDS, PART_SECONDS, Uploads
from tapedeck_gateway.options import GatewayOptions

pytestmark = pytest.mark.slow

BASE = "/api/v1/namespaces/default/uploads"
BYTES = {"content-type": "application/octet-stream"}
GIB = 1_073_741_824
DECK_KEEPS = 512 * 1024 * 1024
NOTES = "dear diary, " + "SECRET-OF-THE-OWNER " * 20 + "\x1b[31m\x07\n" + "and another line\n" * 30


@pytest.fixture
def home(tmp_path: Path) -> Iterator[StateDir]:
    with serving_socket(long_home(tmp_path)) as home:
        yield home


@pytest.fixture
def deck(home: StateDir, tmp_path: Path) -> Iterator[SocketDeck]:
    with socket_deck(home, tmp_path / "tokens") as deck:
        yield deck


def send(deck: SocketDeck, upload: str, name: str, content: bytes | str, **query: int) -> httpx.Response:
    content = content.encode() if isinstance(content, str) else content
    answer: httpx.Response = deck.owner.post(
        f"{BASE}/{upload}", params={"name": name, **query}, content=content, headers=BYTES
    )
    return answer


def look(deck: SocketDeck, upload: str, **options: object) -> httpx.Response:
    answer: httpx.Response = deck.owner.post(f"{BASE}/{upload}/import", params={"dryRun": 1}, json=options)
    return answer


def zipped(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


def parquet() -> bytes:
    content = io.BytesIO()
    names = HEADER.strip().split(",")
    pq.write_table(pa.table({n: [bar[i] for bar in BARS] for i, n in enumerate(names)}), content)
    return content.getvalue()


def stored(home: StateDir) -> list[str]:
    return sorted(str(each.relative_to(home.uploads)) for each in home.uploads.rglob("*") if each.is_file())


@pytest.mark.parametrize(
    ("name", "content"),
    [("BTCUSD.csv", (HEADER + ROWS).encode()), ("BTCUSD.zip", zipped("BTCUSD.csv", HEADER + ROWS)),
     ("BTCUSD.parquet", parquet())],
)  # fmt: skip
def test_a_file_is_told_as_the_command_does_and_a_feed_imports_it(
    deck: SocketDeck, home: StateDir, tmp_path: Path, name: str, content: bytes
) -> None:
    sent = send(deck, "mine", name, content)
    size = len(content)
    assert (sent.status_code, sent.json()) == (201, {"upload": "mine", "name": name, "size": size, "received": size})
    file = home.uploads / "default" / "mine" / name
    assert file.read_bytes() == content
    assert {each.stat().st_mode & 0o077 for each in (file, *file.parents[:3])} == {0}
    said = look(deck, "mine", exchange="x").json()
    (tmp_path / name).write_bytes(content)
    words = ["import", str(tmp_path / name), "--exchange", "x", "--dry-run", "-o", "json", "--home", str(home.root)]
    assert CliRunner().invoke(app, words).stdout == json_text({key: said[key] for key in said if key != "feeds"})
    (found,) = said["files"]
    times = (T0, T0 + 2 * MINUTE)
    assert (found["rows"], found["first"], found["last"], found["symbol"]) == (3, *times, "BTC/USD")
    assert (said["feeds"], deck.objects.list("Feed")) == ([], [])
    made = deck.owner.post(f"{BASE}/mine/import", json={"exchange": "x", "symbol": "ETH/USD", "interval": "1m"})
    assert made.status_code == 201
    (feed,) = deck.objects.list("Feed")
    assert made.json()["feeds"] == [feed]
    files = feed["spec"]["source"]["files"]
    assert (files["exchange"], files["sets"]) == ("x", [{"symbol": "ETH/USD", "path": name}])
    assert feed["metadata"]["annotations"] == {"tapedeck.dev/applied-from": str(file.parent)}


def json_text(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def test_a_file_arrives_in_parts(deck: SocketDeck, home: StateDir) -> None:
    content = (HEADER + ROWS).encode()
    size, cut = len(content), 50
    first = send(deck, "parts", "a.csv", content[:cut], size=size)
    assert first.json()["received"] == cut
    assert stored(home) == ["default/parts/.a.csv.part"]
    assert look(deck, "parts").status_code == 404  # it is not whole
    again = send(deck, "parts", "a.csv", content[cut:-1], size=size, offset=cut + 1)
    assert (again.status_code, again.json()["field"]) == (409, "offset")
    assert f"expected {cut}" in again.json()["detail"]
    last = send(deck, "parts", "a.csv", content[cut:], size=size, offset=cut)
    assert last.json()["received"] == size
    assert (home.uploads / "default" / "parts" / "a.csv").read_bytes() == content
    assert deck.owner.delete(f"{BASE}/parts").status_code == 204
    assert deck.owner.delete(f"{BASE}/parts").status_code == 204
    assert stored(home) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [("../../../etc/cron.d/x.csv", "x.csv"), (r"C:\data\x.csv", "x.csv"), (".hidden.csv", "hidden.csv"),
     ("a*[?]{b}.csv", "a_____b_.csv"), ("a\u202eb.csv", "a_b.csv"),
     ("Kürs 1.csv", "Kürs 1.csv")],
)  # fmt: skip
def test_a_name_names_no_other_folder_and_no_pattern(deck: SocketDeck, home: StateDir, given: str, kept: str) -> None:
    before = sorted(home.root.iterdir())
    answer = send(deck, "names", given, HEADER + ROWS)
    assert (answer.status_code, answer.json().get("name")) == (201, kept)
    assert stored(home) == [f"default/names/{kept}"]
    assert sorted({*before, home.uploads}) == sorted(home.root.iterdir())


def test_what_cannot_be_stored_is_refused_and_leaves_nothing(
    deck: SocketDeck, home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = HEADER + ROWS
    large = send(deck, "x", "a.csv", content, size=GIB + 1)
    assert (large.status_code, large.json()["field"], large.json()["reason"]) == (413, "size", "TooLarge")
    assert str(GIB) in large.json()["detail"]
    for name in ("..", "/", "a" * 201):
        assert (send(deck, "x", name, content).status_code, stored(home)) == (400, [])
    assert send(deck, "x", "a.csv", "").status_code == 400
    assert send(deck, "x", "a.csv", content, size=5).status_code == 400
    assert deck.owner.post(f"{BASE}/x", params={"name": "a.csv"}, content=content).status_code == 400  # no type
    for upload in ("..", "A", "a" * 65, "-a"):
        assert deck.owner.post(f"{BASE}/{upload}", params={"name": "a"}, content="x", headers=BYTES).status_code >= 400
    free = shutil.disk_usage(home.root)._replace(free=DECK_KEEPS + 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    full = send(deck, "x", "a.csv", content)
    assert (full.status_code, full.json()["reason"]) == (507, "NoSpace")
    assert "expected at most 100" in full.json()["detail"]
    assert stored(home) == []


def test_each_part_must_have_room_beside_the_rest_of_other_uploads(
    deck: SocketDeck, home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = DECK_KEEPS + 1_000
    usage = shutil.disk_usage(home.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    assert send(deck, "x", "a.csv", "x" * 100, size=700).status_code == 201
    free -= 100
    refused = send(deck, "y", "b.csv", "x" * 100, size=400)  # 600 of the free 900 are those of the other
    assert (refused.status_code, refused.json()["reason"]) == (507, "NoSpace")
    assert "of which 400 are to come, expected at most 300" in refused.json()["detail"]
    free = DECK_KEEPS + 599  # something else has filled the disk meanwhile
    refused = send(deck, "x", "a.csv", "x" * 100, size=700, offset=100)
    assert refused.status_code == 507
    assert "free some, then go on at 100" in refused.json()["detail"]
    free = DECK_KEEPS + 600
    assert send(deck, "x", "a.csv", "x" * 600, size=700, offset=100).status_code == 201
    assert stored(home) == ["default/x/a.csv"]
    free = DECK_KEEPS + 400
    assert send(deck, "y", "b.csv", "x" * 100, size=400).status_code == 201
    free = DECK_KEEPS + 300
    assert deck.owner.delete(f"{BASE}/y").status_code == 204
    assert send(deck, "z", "c.csv", "x" * 100, size=300).status_code == 201  # nothing is kept for what is gone


def test_a_full_disk_keeps_what_has_arrived(deck: SocketDeck, home: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(deck, "x", "a.csv", "x" * 100, size=300).status_code == 201

    class HalfWritten(io.FileIO):
        def write(self, content: object, /) -> int:
            super().write(b"y" * 50)
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("tapedeck_deck.embedded.uploads.open_private", HalfWritten)
        refused = send(deck, "x", "a.csv", "y" * 200, size=300, offset=100)
    assert (refused.status_code, refused.json()["reason"]) == (507, "NoSpace")
    assert "free some, then go on at 100" in refused.json()["detail"]
    assert send(deck, "x", "a.csv", "z" * 200, size=300, offset=100).status_code == 201
    assert (home.uploads / "default" / "x" / "a.csv").read_text() == "x" * 100 + "z" * 200


def test_a_token_of_the_namespace_is_needed(deck: SocketDeck, home: StateDir) -> None:
    params, content = {"name": "a.csv"}, HEADER + ROWS
    assert deck.anyone.post(f"{BASE}/x", params=params, content=content, headers=BYTES).status_code == 401
    assert deck.desk.post(f"{BASE}/x", params=params, content=content, headers=BYTES).status_code == 403
    assert deck.anyone.post(f"{BASE}/x/import", json={}).status_code == 401
    assert deck.anyone.delete(f"{BASE}/x").status_code == 401
    assert stored(home) == []
    own = BASE.replace("default", "desk")
    assert deck.desk.post(f"{own}/x", params=params, content=content, headers=BYTES).status_code == 201
    assert stored(home) == ["desk/x/a.csv"]
    assert look(deck, "x").status_code == 404  # that of another namespace


def test_each_change_is_in_the_audit_log(deck: SocketDeck, capfd: pytest.CaptureFixture[str]) -> None:
    send(deck, "x", "a.csv", HEADER + ROWS)
    deck.owner.post(f"{BASE}/x/import", json={"exchange": "mine"})
    said = capfd.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "audit" in line]
    assert "upload" in lines[0]
    assert "of a.csv" in lines[0]
    assert "'exchange': 'mine'" in lines[1]


def test_what_is_no_market_data_is_not_told(deck: SocketDeck) -> None:
    send(deck, "x", "notes.txt", NOTES)
    send(deck, "x", "good.csv", HEADER + ROWS)
    answer = look(deck, "x", exchange="x")
    said = answer.json()
    assert [each["path"] for each in said["files"]] == ["good.csv"]
    (refused,) = said["errors"]
    assert refused["path"] == "notes.txt"
    assert NOTES[:61] not in answer.text
    assert "\x1b" not in answer.text
    assert "\\u001b" not in answer.text
    made = deck.owner.post(f"{BASE}/x/import", json={})
    assert made.status_code == 400
    assert "nothing was imported" in made.json()["detail"]
    assert deck.objects.list("Feed") == []


def test_what_must_be_declared_is_told_by_its_field(deck: SocketDeck) -> None:
    send(deck, "x", "prices.csv", "1,2,3,4\n5,6,7,8\n")
    (refused,) = look(deck, "x").json()["errors"]
    assert "prices.csv" in refused["error"]
    assert "columns" in refused["error"]
    wrong = look(deck, "x", symbol="no symbol!")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "symbol")
    send(deck, "good", "a.csv", HEADER + ROWS)
    (unread,) = look(deck, "good", timeFormat="%d").json()["errors"]
    assert unread["path"] == "a.csv"
    assert "time.format: got '%d'" in unread["error"]
    assert look(deck, "x", unknown=1).status_code == 400


def test_an_upload_that_a_feed_reads_stays_as_it_is(deck: SocketDeck, home: StateDir) -> None:
    send(deck, "x", "a.csv", HEADER + ROWS)
    assert deck.owner.post(f"{BASE}/x/import", json={"exchange": "x"}).status_code == 201
    assert send(deck, "x", "b.csv", HEADER + ROWS).status_code == 409
    assert deck.owner.delete(f"{BASE}/x").status_code == 409
    assert stored(home) == ["default/x/a.csv"]


def test_what_nobody_needs_is_removed_after_a_time(deck: SocketDeck, home: StateDir) -> None:
    send(deck, "read", "a.csv", HEADER + ROWS)
    deck.owner.post(f"{BASE}/read/import", json={"exchange": "x"})
    send(deck, "unread", "a.csv", HEADER + ROWS)
    send(deck, "half", "whole.csv", HEADER + ROWS)
    send(deck, "half", "b.csv", HEADER, size=1_000)
    uploads = Uploads(home.uploads)
    folder = home.uploads / "default"
    now = (folder / "half" / ".b.csv.part").stat().st_mtime
    named = {str(folder / "read")}
    assert uploads.sweep(named, now + PART_SECONDS - 60) == []
    assert uploads.sweep(named, now + PART_SECONDS + 60) == [folder / "half" / ".b.csv.part"]
    assert uploads.sweep(named, now + KEPT_SECONDS * 2) == [folder / "half", folder / "unread"]
    assert stored(home) == ["default/read/a.csv"]


def test_a_gateway_says_whether_it_takes_files(deck: SocketDeck, home: StateDir, tmp_path: Path) -> None:
    assert deck.anyone.get(BASE).json() == {
        "accepted": True, "reason": "", "fileBytes": GIB, "partBytes": 1_048_576, "keptSeconds": 3_600,
    }  # fmt: skip
    cluster = SocketDeck(home, tmp_path / "tokens", GatewayOptions(), files=False)
    said = cluster.anyone.get(BASE).json()
    assert (said["accepted"], "from a volume or from s3://" in said["reason"]) == (False, True)
    refused = send(cluster, "x", "a.csv", "x")
    assert (refused.status_code, refused.json()["reason"]) == (404, "NoUploads")
    cluster.close()
