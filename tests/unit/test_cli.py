"""The command line on the folder of a stopped deck: what it stores and rejects, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decks.command import NOT_RUNNING, Run, manifest, spawn
from tapedeck_deck.cli.app import app
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import VERSION

pytestmark = pytest.mark.slow


def test_apply_creates_configures_and_leaves_unchanged(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    file = folder / "replay.yaml"
    file.write_text(manifest())
    first = run("apply", "-f", str(file))
    assert (first.exit_code, first.stdout, first.stderr) == (0, "replay/tape created\n", NOT_RUNNING)
    assert run("apply", "-f", str(folder)).stdout == "replay/tape unchanged\n"
    file.write_text(manifest().replace("speed: 60", "speed: 61"))
    assert run("apply", "-f", str(file)).stdout == "replay/tape configured\n"
    stored = json.loads(run("get", "replay", "tape", "-o", "json").stdout)
    assert stored["spec"]["speed"] == 61
    assert stored["spec"]["source"]["store"]["from"] == "2018-04-04T00:00:00Z"
    assert stored["metadata"]["annotations"] == {"tapedeck.dev/applied-from": str(folder)}
    assert stored["metadata"]["generation"] == 2


def test_apply_is_all_or_nothing_and_reports_every_error(run: Run, tmp_path: Path, objects: Objects) -> None:
    changed = manifest().replace("coinbase", "kraken")
    documents = [manifest("good"), manifest("slow").replace("60", "'60'"), "kind: Tape", "just text", changed]
    (tmp_path / "all.yaml").write_text("\n---\n".join(documents))
    answer = run("apply", "-f", "all.yaml")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.splitlines() == [
        "error: all.yaml, document 2: Replay slow: spec.speed: got '60', expected a valid number",
        "all.yaml, document 3: document: kind: got 'Tape', expected one of Feed, Replay, Backtest",
        "all.yaml, document 4: document: got 'just text', expected a mapping with apiVersion, kind, …",
        "all.yaml, document 5: Replay tape: spec: source is immutable: delete the resource and create a new one",
        "nothing was applied",
    ]
    assert [o["metadata"]["name"] for o in objects.list()] == ["tape"]


def test_a_rejected_resource_creates_no_state_folder(run: Run, tmp_path: Path) -> None:
    answer = run("apply", "-f", "-", text=manifest("slow").replace("60", "'60'"))
    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[1:] == ["nothing was applied"]
    assert not (tmp_path / ".tapedeck").exists()


def test_a_yaml_error_creates_no_state_folder(run: Run, tmp_path: Path) -> None:
    answer = run("apply", "-f", "-", text="spec: {speed: .nan}")
    assert (answer.exit_code, answer.stderr) == (
        1,
        "error: standard input, document 1: spec.speed: got nan, expected a finite number\n",
    )
    assert not (tmp_path / ".tapedeck").exists()


def test_documents_that_lack_parts_of_a_resource(run: Run) -> None:
    for text, message in (
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay", "metadata: missing"),
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay\nmetadata: x", "metadata: got 'x'"),
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay\nmetadata: {name: 1}", "metadata.name: got 1"),
        ("apiVersion: tapedeck.dev/v1alpha1\nkind: Replay\nmetadata: {name: a, annotations: x}", "annotations: got"),
        ("[1]", "got [1], expected a mapping"),
    ):
        answer = run("apply", "-f", "-", text=text)
        assert answer.exit_code == 1
        assert message in answer.stderr


def test_patch_with_the_options_for_controls(run: Run, objects: Objects) -> None:
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
    objects.set_status("Replay", "default", "tape", {"phase": "Complete"})
    note = run("patch", "replay", "tape", "--speed", "60").stderr
    assert note.startswith("note: it is Complete, so the change has no effect: delete it and apply it again\n")
    run("patch", "rp/tape", "--step", "5")
    first = spec()["step"]
    assert (spec()["paused"], first["intervals"]) == (True, 5)
    run("patch", "rp/tape", "--step", "5")
    assert spec()["step"]["id"] != first["id"]
    run("patch", "rp/tape", "--loop", "3", "--until", "2018-04-05T00:00:00Z", "--resume")
    assert (spec()["loop"], spec()["until"], spec()["paused"]) == (3, "2018-04-05T00:00:00Z", False)
    run("patch", "rp/tape", "--loop", "forever")
    assert spec()["loop"] == "forever"
    run("patch", "rp/tape", "--loop", "off", "--until", "off")
    assert {"loop", "until"} & spec().keys() == set()


def test_patch_with_yaml_or_json(run: Run, objects: Objects) -> None:
    for text in ('{"spec": {"atEnd": "hold"}}', "spec: {atEnd: finish}", "metadata: {labels: {a: b}}"):
        assert run("patch", "replay", "tape", "-p", text).exit_code == 0
    stored = objects.get("Replay", "default", "tape")
    assert (stored["spec"]["atEnd"], stored["metadata"]["labels"], stored["metadata"]["generation"]) == (
        "finish",
        {"a": "b"},
        3,
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--speed", "0"], 1, "Replay tape: spec.speed: got 0.0, expected greater than or equal to 0.1"),
        (["--speed", "nan"], 1, "spec.speed: got nan, expected a finite number"),
        (["--seek", "noon"], 1, "spec.seek.to: got 'noon', expected a time with an offset"),
        (["-p", "spec: {x: 1}"], 1, "spec.x: got 1, expected no field of this name"),
        (["-p", "spec: {sped: 1}"], 1, "spec.sped: got 1, expected no field of this name; did you mean speed?"),
        (["-p", "spec: 1"], 1, "spec: got 1"),
        (["-p", "status: {phase: Complete}"], 1, "status: expected a patch of spec, metadata.labels"),
        (["-p", "text"], 1, "--patch: got 'text', expected a mapping"),
        (["-p", "{"], 1, "--patch, document 1, line 1"),
        (["--step", "0"], 1, "spec.step.intervals: got 0, expected greater than or equal to 1"),
        (["--step", "1", "--resume"], 2, "a step ends paused"),
        (["--loop", "-1"], 2, "--loop: got '-1', expected a number of rounds, forever or off"),
        (["--loop", "0"], 1, "spec.loop: got 0, expected a number of rounds from 1 to 1000000, or forever"),
        (["--until", "noon"], 1, "spec.until: got 'noon', expected a time with an offset"),
        (["--speed", "fast"], 2, "Invalid value for '--speed'"),
        (["--speed", "1", "--max"], 2, "expected one of them"),
        ([], 2, "expected either -p or some of --speed"),
        (["-p", "spec: {speed: 1}", "--pause"], 2, "expected either -p or some of --speed"),
    ],
)
def test_rejected_patches(run: Run, objects: Objects, words: list[str], code: int, message: str) -> None:
    answer = run("patch", "replay", "tape", *words)
    assert answer.exit_code == code
    assert message in " ".join(answer.stderr.split())
    assert objects.version == 1


def test_a_patch_copied_from_kubectl(run: Run, objects: Objects) -> None:
    words = ("patch", "replay", "tape", "-p", '{"spec": {"paused": true}}')
    assert run(*words, "--type", "merge").stdout == "replay/tape patched\n"
    for other in ("json", "strategic", "apply"):
        answer = run(*words, "--type", other)
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert f"got '{other}', expected merge: the fields of the patch replace" in " ".join(answer.stderr.split())


def test_only_a_replay_has_controls(run: Run, objects: Objects) -> None:
    answer = run("patch", "feed", "x", "--pause")
    assert answer.exit_code == 2
    assert "control a replay, got a feed" in answer.stderr


def test_delete_by_name_and_by_file(run: Run, tmp_path: Path, objects: Objects) -> None:
    both = tmp_path / "both.yaml"
    both.write_text(manifest() + "---\n" + manifest("other"))
    run("apply", "-f", "both.yaml")
    assert run("delete", "-f", "both.yaml").stdout == "replay/tape deleted\nreplay/other deleted\n"
    run("apply", "-f", "both.yaml")
    assert run("delete", "rp/other").stdout == "replay/other deleted\n"
    assert [o["metadata"]["name"] for o in objects.list()] == ["tape"]
    assert run("delete").exit_code == 2
    assert run("delete", "replay", "tape", "-f", "both.yaml").exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["get", "replays"], 0, ""),
        (["get", "replay", "nope"], 1, "error: replay 'nope' not found"),
        (["apply", "-f", "gone.yaml"], 1, "error: gone.yaml: cannot be read: No such file"),
        (["status"], 1, "the deck is not running"),
        (["page"], 1, "the deck is not running: `tapedeck up` starts it"),
        (["migrate"], 1, "set TAPEDECK_CONNECTIONS to a folder of connection files"),
        (["get", "--home", "elsewhere"], 1, "error: no deck in"),
        (["down"], 0, ""),
        (["apply"], 2, "Missing option '--filename'"),
        (["get", "-o", "xml"], 2, "expected table, wide, yaml, json or name"),
        (["get", "foo"], 2, "error: kind: got 'foo', expected one of feeds"),
        (["up", "--port", "99999"], 2, "Invalid value for '--port'"),
        (["play"], 2, "No such command 'play'"),
    ],
)
def test_exit_codes(objects: Objects, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    process = spawn(tmp_path, *words)
    _, stderr = process.communicate(timeout=900)
    assert process.returncode == code
    assert message in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("origin", ["*", "localhost:5173", "http://a.example/", "http://a b", "null", "file://x", ""])
def test_an_origin_that_is_none_is_refused(run: Run, origin: str) -> None:
    answer = run("up", "--origin", origin)
    assert answer.exit_code == 2
    assert "expected scheme, host and port, like http://localhost:5173" in " ".join(answer.stderr.split())


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "file://x", "http://user:password@x:4318", "http://a b"])
def test_a_receiver_of_traces_that_is_none_is_refused(run: Run, url: str) -> None:
    answer = run("up", "--traces", url)
    assert answer.exit_code == 2
    assert "expected a URL without an account, like http://127.0.0.1:4318" in " ".join(answer.stderr.split())


def test_the_status_says_what_the_sandbox_lacks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run("status", "-o", "json").stdout)["sandbox"] == ""
    monkeypatch.setattr("tapedeck_common.sandbox.landlock.abi", lambda: 0)
    assert "warning: the sandbox of foreign code is incomplete: no Landlock" in run("status").stdout


def test_the_folder_is_the_option_else_the_variable_else_the_default(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEDECK_HOME", str(tmp_path / "variable"))
    run("apply", "-f", "-", text=manifest("v"))
    run("apply", "-f", "-", "--home", str(tmp_path / "option"), text=manifest("o"))
    run("--home", str(tmp_path / "before"), "apply", "-f", "-", text=manifest("b"))
    assert run("get", "-o", "name").stdout == "replay/v\n"
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["before", "option", "variable"]


def test_a_folder_of_another_version_is_rejected(run: Run, tmp_path: Path, objects: Objects) -> None:
    (tmp_path / ".tapedeck" / "version").write_text("99")
    answer = run("get")
    assert answer.exit_code == 1
    assert f"got deck version '99', expected {VERSION}" in answer.stderr


def test_help_shows_examples(run: Run) -> None:
    commands = [c for c in app.registered_commands if c.callback is not None]
    assert len(commands) >= 10
    for name in ("up", "apply", "get", "describe", "patch", "delete", "logs"):
        shown = run(name, "--help")
        assert shown.exit_code == 0
        assert f"\n    tapedeck {name} " in shown.stdout or f"\n    tapedeck {name}\n" in shown.stdout


# Packages that `tapedeck get` does not need and that would slow its start.
HEAVY = "asyncio backtrader ccxt confluent_kafka fastapi httpx jgo jsonschema kopf kubernetes numpy pandas psycopg rich"


def test_get_imports_no_heavy_package(objects: Objects, tmp_path: Path) -> None:
    call = [sys.executable, "-X", "importtime", "-c", "from tapedeck_deck.cli import main; main()", "get"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "tapedeck_deck" in loaded
    assert loaded & set(HEAVY.split()) == set()
