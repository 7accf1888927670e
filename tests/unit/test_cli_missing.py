"""Commands on several resources, some of which do not exist: they act on those that do, as kubectl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from decks.command import Run, manifest, spawn
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.processes import wait_exit

FEED = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Feed
metadata: {name: f}
spec: {source: {files: {exchange: x, sets: [{symbol: A/B, path: a.csv}]}}}
"""


def _names(objects: Objects) -> list[str]:
    return [each["metadata"]["name"] for each in objects.list()]


def test_get_shows_those_that_exist(run: Run, objects: Objects) -> None:
    answer = run("get", "replay", "gone", "tape", "-o", "name")
    assert (answer.exit_code, answer.stdout) == (1, "replay/tape\n")
    assert "error: replay 'gone' not found in namespace default; there is tape" in answer.stderr
    listed = json.loads(run("get", "replay/tape", "feed/gone", "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["tape"]
    for form in ("table", "json", "yaml"):
        nothing = run("get", "replay", "gone", "lost", "-o", form)
        assert (nothing.exit_code, nothing.stdout, nothing.stderr.count("error: ")) == (1, "", 2)


def test_a_watch_waits_for_a_missing_one_beside_one_that_exists(run: Run, objects: Objects, tmp_path: Path) -> None:
    assert run("get", "replay", "gone", "-w").exit_code == 1
    watcher = spawn(tmp_path, "get", "replay", "tape", "later", "-w", "-o", "name")
    try:
        assert watcher.stdout is not None and watcher.stderr is not None
        assert watcher.stdout.readline() == "replay/tape\n"
        assert [watcher.stderr.readline() for _ in range(2)][1].startswith("error: replay 'later' not found")
        run("apply", "-f", "-", text=manifest("later"))
        assert watcher.stdout.readline() == "replay/later\n"
    finally:
        watcher.send_signal(2)
        assert wait_exit(watcher, 20) == 130


def test_describe_shows_those_that_exist_and_all_of_a_kind(run: Run, objects: Objects) -> None:
    run("apply", "-f", "-", text=manifest("other"))
    some = run("describe", "replay", "gone", "other")
    assert some.exit_code == 1
    assert [line.split()[1] for line in some.stdout.splitlines() if line.startswith("Name: ")] == ["other"]
    assert "error: replay 'gone' not found" in some.stderr
    for kind in ("replays", "all"):
        found = yaml.safe_load(run("describe", kind, "-o", "yaml").stdout)
        assert [each["resource"]["metadata"]["name"] for each in found] == ["tape", "other"]
    none = run("describe", "backtests")
    assert (none.exit_code, none.stdout) == (0, "")
    assert "no backtest in namespace default" in none.stderr


def test_delete_removes_those_that_exist(run: Run, objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "three.yaml").write_text("---\n".join((manifest(), FEED, manifest("other"), manifest())))
    some = run("delete", "-f", "three.yaml")
    assert (some.exit_code, some.stdout) == (1, "replay/tape deleted\n")
    errors = [line for line in some.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(" not found")[0] for line in errors] == ["error: feed 'f'", "error: replay 'other'"]
    assert _names(objects) == []
    run("apply", "-f", "-", text=manifest())
    named = run("delete", "replay", "gone", "tape", "-o", "name")
    assert (named.exit_code, named.stdout) == (1, "replay/tape\n")


def test_a_missing_one_can_be_ignored(run: Run, objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(manifest() + "---\n" + FEED)
    for words, deleted in ((("-f", "two.yaml"), "replay/tape deleted\n"), (("replay/tape",), "")):
        answer = run("delete", *words, "--ignore-not-found")
        assert (answer.exit_code, answer.stdout) == (0, deleted)
        assert "error" not in answer.stderr


def test_all_of_a_kind_are_deleted_without_a_question(run: Run, objects: Objects) -> None:
    run("apply", "-f", "-", text=manifest("other") + "---\n" + FEED)
    elsewhere = run("delete", "replays", "--all", "-n", "lab")
    assert (elsewhere.exit_code, elsewhere.stdout) == (0, "")
    assert "no replay in namespace lab" in elsewhere.stderr
    assert run("delete", "replays", "--all").stdout == "replay/tape deleted\nreplay/other deleted\n"
    assert _names(objects) == ["f"]
    assert run("delete", "all", "--all").stdout == "feed/f deleted\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["replay"], "expected `tapedeck delete replay NAME`, or `tapedeck delete replay --all` for all"),
        (["rp"], "expected `tapedeck delete replay NAME`, or `tapedeck delete rp --all` for all"),
        (["replay", "tape", "--all"], "got it beside names, expected it behind a kind"),
        (["-f", "x.yaml", "--all"], "got it beside -f, expected it behind a kind"),
        (["--all"], "expected either KIND NAME or -f FILE"),
        (["tape"], "kind: got 'tape'"),
    ],
)
def test_what_a_delete_lacks_is_said(run: Run, objects: Objects, words: list[str], message: str) -> None:
    answer = run("delete", *words)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert message in " ".join(answer.stderr.split())
    assert _names(objects) == ["tape"]


def test_an_unknown_kind_in_a_file_is_no_wrong_argument(run: Run, objects: Objects) -> None:
    for kind in ("Tape", "all"):
        answer = run("delete", "-f", "-", text=f"{{kind: {kind}, metadata: {{name: x}}}}")
        assert answer.exit_code == 1
        assert f"error: standard input, document 1: kind: got '{kind}', expected one of feeds" in answer.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get", "foo"], "kind: got 'foo'"),
        (["describe", "foo"], "kind: got 'foo'"),
        (["describe", "foo/x"], "kind: got 'foo'"),
        (["explain", "foo"], "kind: got 'foo'"),
        (["patch", "replay", "--pause"], "name: missing, expected replay NAME or replay/NAME"),
        (["logs", "backtests"], "name: missing, expected backtest NAME or backtest/NAME"),
        (["errors", "feeds"], "name: missing, expected feed NAME or feed/NAME"),
    ],
)
def test_wrong_arguments_exit_2(run: Run, objects: Objects, words: list[str], message: str) -> None:
    answer = run(*words)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert f"error: {message}" in answer.stderr
