"""The command tapedeck on a home whose deck is down: what it prints, keeps and refuses, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tapedeck_operator.cli.app import app
from tapedeck_operator.cli.table import Table, age
from tapedeck_operator.local.objects import Objects

Run = Callable[..., Result]
REPLAY = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Replay
metadata: {name: NAME}
spec:
  source: {store: {exchange: coinbase, symbols: [BTC/USD], from: 2018-04-04T00:00:00Z}}
  speed: 60
"""
DOWN = "the deck is not running: `tapedeck up` starts it\n"


def manifest(name: str = "tape") -> str:
    return REPLAY.replace("NAME", name)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder of its own, with its home in .tapedeck there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEDECK_HOME", raising=False)
    monkeypatch.delenv("TAPEDECK_CONNECTIONS", raising=False)

    def call(*words: str, text: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=text, prog_name="tapedeck")

    return call


@pytest.fixture
def objects(run: Run, tmp_path: Path) -> Objects:
    """The objects of a home with one replay."""
    assert run("apply", "-f", "-", text=manifest()).exit_code == 0
    return Objects(tmp_path / ".tapedeck" / "objects.db")


def test_apply_creates_changes_and_leaves_alone(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    file = folder / "replay.yaml"
    file.write_text(manifest())
    first = run("apply", "-f", str(file))
    assert (first.exit_code, first.stdout, first.stderr) == (0, "replay/tape created\n", DOWN)
    assert run("apply", "-f", str(folder)).stdout == "replay/tape unchanged\n"
    file.write_text(manifest().replace("speed: 60", "speed: 61"))
    assert run("apply", "-f", str(file)).stdout == "replay/tape configured\n"
    kept = json.loads(run("get", "replay", "tape", "-o", "json").stdout)
    assert kept["spec"]["speed"] == 61
    assert kept["spec"]["source"]["store"]["from"] == "2018-04-04T00:00:00Z"
    assert kept["metadata"]["annotations"] == {"tapedeck.dev/applied-from": str(folder)}
    assert kept["metadata"]["generation"] == 2


def test_nothing_is_half_applied_and_every_fault_is_said(run: Run, tmp_path: Path, objects: Objects) -> None:
    changed = manifest().replace("coinbase", "kraken")
    documents = [manifest("good"), manifest("slow").replace("60", "'60'"), "kind: Tape", "just text", changed]
    (tmp_path / "all.yaml").write_text("\n---\n".join(documents))
    answer = run("apply", "-f", "all.yaml")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.splitlines() == [
        "error: all.yaml, document 2: Replay slow: spec.speed: got '60', expected a valid number",
        "all.yaml, document 3: document: kind: got 'Tape', expected one of Feed, Replay, Backtest",
        "all.yaml, document 4: document: got 'just text', expected a mapping with apiVersion, kind, …",
        "all.yaml, document 5: Replay tape: spec: source can't change in a run: delete the resource and make a new one",
        "nothing was applied",
    ]
    assert [o["metadata"]["name"] for o in objects.list()] == ["tape"]


def test_a_fault_of_yaml_leaves_no_home_behind(run: Run, tmp_path: Path) -> None:
    answer = run("apply", "-f", "-", text="spec: {speed: .nan}")
    assert (answer.exit_code, answer.stderr) == (
        1,
        "error: standard input, document 1: spec.speed: got nan, expected a finite number\n",
    )
    assert not (tmp_path / ".tapedeck").exists()


def test_documents_without_what_a_resource_has(run: Run) -> None:
    for text, says in (
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay", "metadata: missing"),
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay\nmetadata: x", "metadata: got 'x'"),
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay\nmetadata: {name: 1}", "metadata.name: got 1"),
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay\nmetadata: {name: a, annotations: x}", "annotations: got"),
        ("[1]", "got [1], expected a mapping"),
    ):
        answer = run("apply", "-f", "-", text=text)
        assert answer.exit_code == 1
        assert says in answer.stderr


def test_get_shows_a_table_of_the_printer_columns(run: Run, objects: Objects) -> None:
    objects.set_status("Replay", "default", "tape", {"phase": "Running", "speed": "60x", "progress": "5/10"})
    answer = run("get", "rp")
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert lines[0] == ["NAME", "PHASE", "SPEED", "POSITION", "PROGRESS", "AGE"]
    assert lines[1][:4] == ["tape", "Running", "60x", "5/10"]
    assert answer.stderr == DOWN
    for name in ("replay", "replays", "Replay", "replays.tapedeck.dev"):
        assert run("get", name).stdout.splitlines()[1].split()[:4] == lines[1][:4]
    assert run("get", "rp", "-o", "wide").stdout.splitlines()[0].split()[-1] == "MESSAGE"


def test_get_all_is_a_table_a_kind(run: Run, objects: Objects) -> None:
    feed = "apiVersion: tapedeck.dev/v1alpha1\nkind: Feed\nmetadata: {name: f}\n" + (
        "spec: {source: {files: {format: csv, exchange: x, sets: [{symbol: A/B, path: a.csv}]}}}"
    )
    run("apply", "-f", "-", text=feed)
    shown = run("get").stdout
    assert [line.split()[0] for line in shown.splitlines() if line] == ["NAME", "feed/f", "NAME", "replay/tape"]
    assert run("get", "all", "-o", "name").stdout == "feed/f\nreplay/tape\n"


def test_data_alone_is_on_standard_output(run: Run, objects: Objects) -> None:
    listed = json.loads(run("get", "replays", "-o", "json").stdout)
    assert (listed["kind"], [i["metadata"]["name"] for i in listed["items"]]) == ("List", ["tape"])
    single = yaml.safe_load(run("get", "replay/tape", "-o", "yaml").stdout)
    assert single == objects.get("Replay", "default", "tape")
    assert json.loads(run("get", "feeds", "-o", "json").stdout)["items"] == []
    none = run("get", "feeds")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", DOWN + "no feed in namespace default\n")


def test_what_get_prints_can_be_applied(run: Run, objects: Objects) -> None:
    for form in ("yaml", "json"):
        text = run("get", "replays", "-o", form).stdout
        assert run("apply", "-f", "-", text=text).stdout == "replay/tape unchanged\n"
    objects.set_status("Replay", "default", "tape", {"phase": "Running"})
    stale = run("apply", "-f", "-", text=text)
    assert stale.exit_code == 1
    assert "metadata.resourceVersion: got '1', expected '2'" in stale.stderr


def test_what_is_not_there_names_the_nearest(run: Run, objects: Objects) -> None:
    for words, says in (
        (("get", "replay", "tap"), "replay 'tap' not found in namespace default; did you mean tape?"),
        (("delete", "replay", "zzz"), "replay 'zzz' not found in namespace default; there is tape"),
        (("describe", "feed", "x"), "feed 'x' not found in namespace default"),
        (("patch", "replay/tape", "--pause", "-n", "other"), "it is in namespace default: add -n default"),
        (("get", "replys"), "kind: got 'replys', expected one of feeds, replays, backtests"),
        (("get", "replys"), "did you mean replays?"),
        (("get", "all", "tape"), "kind: got 'all', expected one kind for a name"),
        (("logs", "replay/tape"), "replay tape has no log yet"),
    ):
        answer = run(*words)
        assert answer.exit_code == 1, words
        assert answer.stdout == ""
        assert f"error: {says}" in answer.stderr or says in answer.stderr
        assert "Traceback" not in answer.stderr


def test_patch_by_options(run: Run, objects: Objects) -> None:
    def spec() -> Any:
        return objects.get("Replay", "default", "tape")["spec"]

    assert run("patch", "replay", "tape", "--max").stdout == "replay/tape patched\n"
    assert spec()["unpaced"] is True
    run("patch", "replay", "tape", "--speed", "3600", "--pause")
    assert (spec()["speed"], spec()["unpaced"], spec()["paused"]) == (3600, False, True)
    assert run("patch", "replay", "tape", "--pause").stdout == "replay/tape patched (no change)\n"
    run("patch", "rp/tape", "--resume", "--seek", "2018-04-04T12:00:00Z")
    first = spec()["seek"]
    assert (spec()["paused"], first["to"]) == (False, "2018-04-04T12:00:00Z")
    run("patch", "rp/tape", "--seek", "2018-04-04T12:00:00Z")
    assert spec()["seek"]["id"] != first["id"]


def test_patch_by_text(run: Run, objects: Objects) -> None:
    for text in ('{"spec": {"atEnd": "hold"}}', "spec: {atEnd: finish}", "metadata: {labels: {a: b}}"):
        assert run("patch", "replay", "tape", "-p", text).exit_code == 0
    kept = objects.get("Replay", "default", "tape")
    assert (kept["spec"]["atEnd"], kept["metadata"]["labels"], kept["metadata"]["generation"]) == (
        "finish",
        {"a": "b"},
        3,
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--speed", "0"], 1, "Replay tape: spec.speed: got 0.0, expected greater than or equal to 0.1"),
        (["--speed", "nan"], 1, "spec.speed: got nan, expected a finite number"),
        (["--seek", "noon"], 1, "spec.seek.to: got 'noon', expected a time with an offset"),
        (["-p", "spec: {x: 1}"], 1, "spec.x: got 1, expected no field of this name"),
        (["-p", "spec: 1"], 1, "spec: got 1"),
        (["-p", "status: {phase: Complete}"], 1, "status: expected a patch of spec, metadata.labels"),
        (["-p", "text"], 1, "--patch: got 'text', expected a mapping"),
        (["-p", "{"], 1, "--patch, document 1, line 1"),
        (["--speed", "fast"], 2, "Invalid value for '--speed'"),
        (["--speed", "1", "--max"], 2, "expected one of them"),
        ([], 2, "expected either -p or some of --speed"),
        (["-p", "spec: {speed: 1}", "--pause"], 2, "expected either -p or some of --speed"),
    ],
)
def test_patches_that_are_refused(run: Run, objects: Objects, words: list[str], code: int, says: str) -> None:
    answer = run("patch", "replay", "tape", *words)
    assert answer.exit_code == code
    assert says in " ".join(answer.stderr.split())
    assert objects.version == 1


def test_controls_are_a_replays(run: Run, objects: Objects) -> None:
    answer = run("patch", "feed", "x", "--pause")
    assert answer.exit_code == 2
    assert "are a replay's, got a feed" in answer.stderr


def test_delete_by_name_and_by_file(run: Run, tmp_path: Path, objects: Objects) -> None:
    both = tmp_path / "both.yaml"
    both.write_text(manifest() + "---\n" + manifest("other"))
    refused = run("delete", "-f", "both.yaml")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "replay 'other' not found" in refused.stderr
    assert len(objects.list()) == 1
    run("apply", "-f", "both.yaml")
    assert run("delete", "-f", "both.yaml").stdout == "replay/tape deleted\nreplay/other deleted\n"
    run("apply", "-f", "both.yaml")
    assert run("delete", "rp/other").stdout == "replay/other deleted\n"
    assert [o["metadata"]["name"] for o in objects.list()] == ["tape"]
    assert run("delete").exit_code == 2
    assert run("delete", "replay", "tape", "-f", "both.yaml").exit_code == 2


def _with_pods(objects: Objects, folder: Path) -> list[Path]:
    """Two pods of the replay's job: one failed, one runs."""
    logs = [folder / "first.log", folder / "second.log"]
    owner = objects.get("Replay", "default", "tape")
    for kind, name in (("Job", "job"), ("Pod", "first"), ("Pod", "second")):
        made, _ = objects.apply(
            {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": name, "ownerReferences": [{"uid": owner["metadata"]["uid"]}]},
                "spec": {},
            }
        )
        owner = made if kind == "Job" else owner
    logs[0].write_text("one\ntwo\n")
    logs[1].write_text("three\n")
    objects.set_status("Pod", "default", "first", {"phase": "Failed", "exitCode": 1, "log": str(logs[0])})
    objects.set_status("Pod", "default", "second", {"phase": "Running", "log": str(logs[1])})
    return logs


def test_describe_tells_all(run: Run, objects: Objects, tmp_path: Path) -> None:
    logs = _with_pods(objects, tmp_path)
    uid = objects.get("Replay", "default", "tape")["metadata"]["uid"]
    condition = {"type": "Ready", "status": "True", "reason": "Running", "message": "it plays"}
    objects.set_status("Replay", "default", "tape", {"phase": "Running", "conditions": [condition]})
    for _ in range(3):
        objects.add_event({"uid": uid, "kind": "Replay", "name": "tape", "reason": "Restarting", "message": "again"})
    shown = run("describe", "replay", "tape").stdout
    words = [line.split() for line in shown.splitlines()]
    assert ["Name:", "tape"] in words
    assert "  speed: 60.0" in shown.splitlines()
    assert ["Ready", "True", "Running", "it", "plays"] in words
    pods = [w for w in words if w and w[0] in ("first", "second")]
    assert [(p[0], p[1], p[-1]) for p in pods] == [
        ("first", "Failed", str(logs[0])),
        ("second", "Running", str(logs[1])),
    ]
    assert [p[-3] for p in pods] == ["0", "1"]
    assert any(w[:2] == ["Normal", "Restarting"] and "(x3" in w and w[-1] == "again" for w in words)


def test_logs_of_all_pods(run: Run, objects: Objects, tmp_path: Path) -> None:
    _with_pods(objects, tmp_path)
    assert run("logs", "replay/tape").stdout == "one\ntwo\nthree\n"
    assert run("logs", "replay", "tape", "--tail", "1").stdout == "two\nthree\n"
    assert run("logs", "pod/first").stdout == "one\ntwo\n"
    assert run("logs", "deck").exit_code == 1


def test_logs_follow_until_the_end(run: Run, objects: Objects, tmp_path: Path) -> None:
    logs = _with_pods(objects, tmp_path)
    follower = _spawn(tmp_path, "logs", "replay/tape", "-f")
    assert follower.stdout is not None
    assert [follower.stdout.readline() for _ in range(3)] == ["one\n", "two\n", "three\n"]
    with logs[1].open("a") as log:
        log.write("four\n")
    assert follower.stdout.readline() == "four\n"
    with logs[1].open("a") as log:
        log.write("five\n")
    objects.set_status("Replay", "default", "tape", {"phase": "Complete"})
    rest, _ = follower.communicate(timeout=20)
    assert (rest, follower.returncode) == ("five\n", 0)


def test_watch_shows_each_change(run: Run, objects: Objects, tmp_path: Path) -> None:
    watcher = _spawn(tmp_path, "get", "replays", "-w")
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith("NAME")
        assert watcher.stdout.readline().startswith("tape")
        objects.set_status("Replay", "default", "tape", {"phase": "Running"})
        assert watcher.stdout.readline().split()[:2] == ["tape", "Running"]
        objects.apply(yaml.load(manifest("other"), yaml.BaseLoader) | {"spec": objects.list()[0]["spec"]})
        assert watcher.stdout.readline().startswith("other")
    finally:
        watcher.send_signal(2)
        assert watcher.wait(timeout=20) == 130
    assert watcher.stderr is not None
    assert "Traceback" not in watcher.stderr.read()


def _spawn(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from tapedeck_operator.cli import main; main()", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["get", "replays"], 0, ""),
        (["get", "replay", "nope"], 1, "error: replay 'nope' not found"),
        (["apply", "-f", "gone.yaml"], 1, "error: gone.yaml: can't be read: No such file"),
        (["status"], 1, "the deck is not running"),
        (["migrate"], 1, "name a folder of connections in TAPEDECK_CONNECTIONS"),
        (["get", "--home", "elsewhere"], 1, "error: no deck in"),
        (["down"], 0, ""),
        (["apply"], 2, "Missing option '--filename'"),
        (["get", "-o", "xml"], 2, "expected one of table, wide, yaml, json, name"),
        (["up", "--port", "99999"], 2, "Invalid value for '--port'"),
        (["play"], 2, "No such command 'play'"),
    ],
)
def test_exit_codes(objects: Objects, tmp_path: Path, words: list[str], code: int, says: str) -> None:
    process = _spawn(tmp_path, *words)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert says in said
    assert "Traceback" not in said


def test_the_home_is_the_option_else_the_variable_else_here(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEDECK_HOME", str(tmp_path / "variable"))
    run("apply", "-f", "-", text=manifest("v"))
    run("apply", "-f", "-", "--home", str(tmp_path / "option"), text=manifest("o"))
    run("--home", str(tmp_path / "before"), "apply", "-f", "-", text=manifest("b"))
    assert run("get", "-o", "name").stdout == "replay/v\n"
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["before", "option", "variable"]


def test_a_home_of_another_version_is_refused(run: Run, tmp_path: Path, objects: Objects) -> None:
    (tmp_path / ".tapedeck" / "version").write_text("99")
    answer = run("get")
    assert answer.exit_code == 1
    assert "got deck version '99', expected 1" in answer.stderr


def test_status_counts_phases(run: Run, objects: Objects) -> None:
    said = json.loads(run("status", "-o", "json").stdout)
    assert (said["running"], said["resources"]) == (False, {"replays": {"Pending": 1}})


def test_help_teaches_with_examples(run: Run) -> None:
    commands = [c for c in app.registered_commands if c.callback is not None]
    assert len(commands) >= 10
    for name in ("up", "apply", "get", "describe", "patch", "delete", "logs"):
        shown = run(name, "--help")
        assert shown.exit_code == 0
        assert f"\n    tapedeck {name} " in shown.stdout or f"\n    tapedeck {name}\n" in shown.stdout


def test_it_starts_quickly(objects: Objects, tmp_path: Path) -> None:
    def once() -> float:
        began = time.monotonic()
        _spawn(tmp_path, "get").communicate(timeout=30)
        return time.monotonic() - began

    # 0.26 s where this was written; the limit leaves room for busy neighbours.
    assert min(once() for _ in range(5)) < 0.8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"), (600, "10m"), (3600, "60m"),
        (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"),
        (50 * 3600, "2d2h"), (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"), (731 * 86400, "2y1d"),
        (3000 * 86400, "8y"), (-5, "0s"),
    ],
)  # fmt: skip
def test_ages_are_kubectls(seconds: int, text: str) -> None:
    # Expected: k8s.io/apimachinery/pkg/util/duration HumanDuration.
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == text


def test_tables_keep_their_widths() -> None:
    table = Table(["name", "phase"])
    assert table.lines([["a-long-name", "x"]]) == ["NAME          PHASE", "a-long-name   x"]
    assert table.lines([["b", "y"]], header=False) == ["b             y"]
