"""Several resources in one command: names, kinds, folders, and the formats of what a command changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from decks.command import Run, manifest, spawn
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.kinds import NamedObject, parse_targets
from tapedeck_deck.cli.wait import has_end, is_reached
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.processes import wait_exit

FEED = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Feed
metadata: {name: f}
spec: {source: {files: {exchange: x, sets: [{symbol: A/B, path: a.csv}]}}}
"""


def test_targets_are_a_kind_with_names_or_kinds_with_names() -> None:
    assert parse_targets(["replay", "a", "b", "a"]) == (NamedObject("Replay", "a"), NamedObject("Replay", "b"))
    assert parse_targets(["rp/a", "feeds/b"]) == (NamedObject("Replay", "a"), NamedObject("Feed", "b"))
    for words, message in (
        (["replay"], "name: missing, expected replay NAME or replay/NAME; `tapedeck get replay` lists the names"),
        (["replays/"], "name: missing, expected replay NAME or replay/NAME"),
        (["rp/a", "b"], "name: got 'b' beside KIND/NAME, expected KIND/NAME for each"),
        (["feeds,replays", "a"], "expected one kind for a name"),
    ):
        with pytest.raises(WrongArgument, match=message):
            parse_targets(words)


def test_get_shows_several_names_and_several_kinds(run: Run, objects: Objects) -> None:
    run("apply", "-f", "-", text=manifest("other") + "---\n" + FEED)
    assert run("get", "replay", "other", "tape", "-o", "name").stdout == "replay/other\nreplay/tape\n"
    assert run("get", "feed/f", "rp/tape", "-o", "name").stdout == "feed/f\nreplay/tape\n"
    assert run("get", "rp,fd", "-o", "name").stdout == "replay/tape\nreplay/other\nfeed/f\n"
    listed = yaml.safe_load(run("get", "feed/f", "rp/tape", "-o", "yaml").stdout)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["f", "tape"]


def test_watch_follows_the_named_ones_alone(run: Run, objects: Objects, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=manifest("other") + "---\n" + manifest("third"))
    watcher = spawn(tmp_path, "get", "replay/tape", "replay/third", "-w", "-o", "name")
    try:
        assert watcher.stdout is not None
        assert [watcher.stdout.readline() for _ in range(2)] == ["replay/tape\n", "replay/third\n"]
        objects.set_status("Replay", "default", "other", {"phase": "Running"})
        objects.set_status("Replay", "default", "third", {"phase": "Running"})
        assert watcher.stdout.readline() == "replay/third\n"
    finally:
        watcher.send_signal(2)
        assert wait_exit(watcher, 20) == 130


def test_delete_and_describe_take_several_names(run: Run, objects: Objects) -> None:
    run("apply", "-f", "-", text=manifest("other") + "---\n" + FEED)
    shown = run("describe", "replay", "other", "tape").stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("Name: ")] == ["other", "tape"]
    assert run("delete", "replay/other", "feed/f", "-o", "name").stdout == "replay/other\nfeed/f\n"
    assert [each["metadata"]["name"] for each in objects.list()] == ["tape"]


def test_folders_are_read_to_any_depth_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    for path, name in (("a.yaml", "a"), ("deep/er/b.yaml", "b"), (".hidden/c.yaml", "c")):
        file = tmp_path / "all" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(manifest(name))
    assert run("apply", "-f", "all").stdout == "replay/a created\n"
    assert run("apply", "-f", "all", "-R").stdout == "replay/a unchanged\nreplay/b created\n"
    assert "--recursive also reads the folders in it" in run("apply", "-f", "all/deep").stderr
    assert run("delete", "-f", "all", "--recursive").stdout == "replay/a deleted\nreplay/b deleted\n"


def test_changes_are_printed_as_documents_or_names(run: Run, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(manifest("a") + "---\n" + manifest("b"))
    assert run("apply", "-f", "two.yaml", "-o", "name").stdout == "replay/a\nreplay/b\n"
    listed = json.loads(run("apply", "-f", "two.yaml", "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a", "b"]
    patched = yaml.safe_load(run("patch", "replay/a", "--speed", "7", "-o", "yaml").stdout)
    assert patched["spec"]["speed"] == 7
    assert run("apply", "-f", "two.yaml", "-o", "csv").exit_code == 2


def _resource(kind: str, spec: dict[str, object], phase: str = "", observed: int = 2) -> dict[str, object]:
    status = {"phase": phase, "observedGeneration": observed} if phase else {}
    return {"kind": kind, "metadata": {"name": "x", "generation": 2}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("kind", "spec", "ends"),
    [
        ("Feed", {"source": {}}, True),
        ("Feed", {"exchange": "x"}, False),
        ("Feed", {"exchange": "x", "backfill": {"only": True}}, True),
        ("Feed", {"exchange": "x", "backfill": {"only": False}}, False),
        ("Feed", {"source": {}, "suspend": True}, False),
        ("Replay", {"source": {}}, True),
        ("Replay", {"source": {}, "atEnd": "hold"}, False),
        ("Replay", {"source": {}, "loop": "forever"}, False),
        ("Replay", {"source": {}, "loop": 3}, True),
        ("Replay", {"source": {}, "paused": True}, False),
        ("Replay", {"source": {}, "until": "2018-04-04T00:00:00Z"}, False),
        ("Backtest", {"data": {"store": {}}}, True),
        ("Backtest", {"data": {"feed": {"name": "x"}}}, False),
        ("Backtest", {"data": {"feed": {"name": "x", "until": "2018-04-04T00:00:00Z"}}}, True),
    ],
)
def test_which_resources_end_by_themselves(kind: str, spec: dict[str, object], ends: bool) -> None:
    assert has_end(_resource(kind, spec)) is ends


def test_a_wait_ends_with_the_run_or_with_the_start_of_what_has_no_end() -> None:
    live: dict[str, object] = {"exchange": "x"}
    run_: dict[str, object] = {"data": {"store": {}}}
    assert not is_reached(_resource("Feed", live))
    assert not is_reached(_resource("Feed", live, "Pending"))
    assert not is_reached(_resource("Feed", live, "Running", observed=1))
    assert is_reached(_resource("Feed", live, "Running"))
    assert not is_reached(_resource("Backtest", run_, "Running"))
    for phase in ("Complete", "Degraded", "Failed"):
        assert is_reached(_resource("Backtest", run_, phase, observed=1))


def test_a_wait_needs_a_deck_and_says_so_after_it_has_applied(run: Run, objects: Objects) -> None:
    answer = run("apply", "-f", "-", "--wait", text=manifest("b"))
    assert (answer.exit_code, answer.stdout) == (1, "replay/b created\n")
    assert answer.stderr == "error: --wait: the deck is not running: `tapedeck up` starts it\n"
    assert run("delete", "replay/b", "--wait").exit_code == 0
