"""What users get wrong, on a running deck: each with a message that names it, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import by_hand.samples as by_hand
from decks.process import eventually, phase, running_deck
from tapedeck_operator.cli import documents, write
from tapedeck_operator.demo import audit
from tapedeck_operator.local import deck
from tapedeck_operator.local.home import Home
from tapedeck_operator.local.objects import Objects

Json = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "ts,open,high,low,close,volume\n"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Json, Objects]]:
    with running_deck(tmp_path_factory.mktemp("bad") / "home") as found:
        yield found


def apply(objects: Objects, folder: Path, kind: str, name: str, spec: Json) -> None:
    content = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    list(write.apply(objects, [documents.Document("here", folder, content)], "default"))


def ended(objects: Objects, kind: str, name: str) -> Json:
    eventually(lambda: phase(objects, kind, name) in ("Complete", "Failed"))
    status: Json = objects.get(kind, "default", name)["status"]
    return status


STORE = {"store": {"exchange": "coinbase", "symbols": ["NO/SUCH"]}}


@pytest.mark.parametrize(
    ("kind", "spec", "named"),
    [
        ("Replay", {"source": STORE}, "source.store.exchange: got coinbase, of which the store has no bars"),
        ("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE}, "NO/SUCH"),
    ],
)
def test_a_symbol_without_bars_is_named(running: tuple[Home, Json, Objects], kind: str, spec: Json, named: str) -> None:
    _, _, objects = running
    apply(objects, EXAMPLES, kind, "empty", spec)
    status = ended(objects, kind, "empty")
    assert status["phase"] == "Failed"
    assert status["conditions"][0]["reason"] == "NoBars"
    assert named in status["message"]


@pytest.mark.parametrize(
    ("strategy", "reason", "named"),
    [
        ({"builtin": "sma-cross", "params": {"fsat": 5}}, "BadParams", "fsat"),
        ({"builtin": "sma-cross", "params": {"fast": "five"}}, "BadParams", "fast"),
        ({"module": "nowhere:Nothing"}, "BadStrategy", "nowhere"),
    ],
)
def test_a_wrong_strategy_is_named(
    running: tuple[Home, Json, Objects], strategy: Json, reason: str, named: str
) -> None:
    _, _, objects = running
    name = f"wrong-{named}"
    apply(objects, EXAMPLES, "Backtest", name, {"strategy": strategy, "data": STORE})
    status = ended(objects, "Backtest", name)
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Failed", reason)
    assert named in status["message"]


def test_rows_that_cannot_be_taken_are_kept_with_their_place(
    running: tuple[Home, Json, Objects], tmp_path: Path
) -> None:
    _, facts, objects = running
    lines = [
        "60000,1,2,0.5,1.5,3",
        "180000,1,2,0.5,1.5,3",  # out of order
        "120000,1,2,0.5,1.5,3",
        "120000,1,2,0.5,1.5,3",  # the same again
        "240000,1,2,0.5",  # broken
        "300000,NaN,2,0.5,1.5,3",
        "180000,9,9,9,9,9",  # another bar of a time that was there
        "360000,1,2,0.5,1.5,3",
    ]
    (tmp_path / "a.csv").write_text(HEAD + "\n".join(lines) + "\n")
    files = {"format": "csv", "exchange": "bad", "sets": [{"symbol": "A/B", "path": "a.csv"}]}
    apply(objects, tmp_path, "Feed", "bad-rows", {"source": {"files": files}})
    status = ended(objects, "Feed", "bad-rows")
    assert status["phase"] == "Complete", status
    assert (status["bars"], status["duplicates"], status["errors"]) == (4, 1, 3)

    def kept() -> list[Any]:
        with psycopg.connect(facts["dsn"]) as connection:
            return connection.execute("SELECT place, reason FROM ingest_errors WHERE exchange = 'bad'").fetchall()

    eventually(lambda: len(kept()) == 3)
    assert {place.rsplit(":", 1)[1] for place, _ in kept()} == {"6", "7", "8"}
    with psycopg.connect(facts["dsn"]) as connection:
        query = "SELECT extract(epoch FROM ts)::int FROM bars WHERE exchange = 'bad' ORDER BY ts"
        stored = eventually(lambda: len(f := connection.execute(query).fetchall()) == 4 and f)
    assert [row[0] for row in stored] == [60, 120, 180, 360]


def test_no_such_file_is_named(running: tuple[Home, Json, Objects], tmp_path: Path) -> None:
    _, _, objects = running
    files = {"format": "csv", "exchange": "bad", "sets": [{"symbol": "A/B", "path": "missing-*.csv"}]}
    apply(objects, tmp_path, "Feed", "no-file", {"source": {"files": files}})
    status = ended(objects, "Feed", "no-file")
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Failed", "BadFiles")
    assert "missing-*.csv" in status["message"]


def test_a_replay_from_a_file_refuses_what_a_feed_would_put_right(
    running: tuple[Home, Json, Objects], tmp_path: Path
) -> None:
    _, _, objects = running
    (tmp_path / "late.csv").write_text(HEAD + "120000,1,2,0.5,1.5,3\n60000,1,2,0.5,1.5,3\n")
    files = {"format": "csv", "exchange": "bad", "sets": [{"symbol": "A/B", "path": "late.csv"}]}
    apply(objects, tmp_path, "Replay", "late", {"source": {"files": files}, "unpaced": True})
    status = ended(objects, "Replay", "late")
    assert status["phase"] == "Failed"
    assert "late.csv:3" in status["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_of_the_broker_loses_nothing(tmp_path: Path) -> None:
    """The broker's disk fills up in mid-feed; when there is room again everything goes on by itself."""
    home = Home.at(tmp_path / "home")
    deck.start_background(home, 0)  # makes the folders, on a disk with room
    deck.stop(home)
    small = home.broker / "data"
    kept = tmp_path / "kept"
    shutil.copytree(small, kept, symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], check=True)
    try:
        shutil.copytree(kept, small, symlinks=True, dirs_exist_ok=True)
        ballast = small / "ballast"
        with running_deck(home.root) as (_, facts, objects):
            _fill(ballast)
            feed = documents.read([str(EXAMPLES / "feed.yaml")])[0].content
            apply(objects, EXAMPLES, "Feed", "full", feed["spec"])
            eventually(lambda: [e for e in objects.events("deck") if "No space left" in e["message"]], timeout=90)
            ballast.unlink()
            subprocess.run(["mount", "-o", "remount,size=600m", small], check=True)
            eventually(lambda: phase(objects, "Feed", "full") == "Complete", timeout=150)
            expected = by_hand.coinbase(EXAMPLES / "data" / "coinbase-minute")
            eventually(lambda: audit.check_store(facts["dsn"], "coinbase", expected).lost == 0, timeout=90)
            assert audit.check_store(facts["dsn"], "coinbase", expected) == audit.Tally("store", 13_886, 0, 0)
    finally:
        time.sleep(0.5)
        subprocess.run(["umount", "-l", small], check=True)


def _fill(path: Path) -> None:
    """Write until there is no room left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
