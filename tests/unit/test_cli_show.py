"""The output of the command line on the folder of a stopped deck."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from decks.command import NOT_RUNNING, Run, manifest, spawn
from tapedeck_deck.cli.text_table import TextTable, age, number
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.processes import wait_exit


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


BACKTEST = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: ruined}
spec: {strategy: {builtin: sma-cross}, data: {store: {exchange: x, symbols: [A]}}}
"""


def test_get_prints_the_printer_columns(run: Run, objects: Objects) -> None:
    objects.set_status("Replay", "default", "tape", {"phase": "Running", "speed": "60x", "progress": "5/10"})
    answer = run("get", "rp")
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert lines[0] == ["NAME", "PHASE", "SPEED", "POSITION", "PROGRESS", "AGE"]
    assert lines[1][:4] == ["tape", "Running", "60x", "5/10"]
    assert answer.stderr == NOT_RUNNING
    for name in ("replay", "replays", "Replay", "replays.tapedeck.dev"):
        assert run("get", name).stdout.splitlines()[1].split()[:4] == lines[1][:4]
    assert run("get", "rp", "-o", "wide").stdout.splitlines()[0].split()[-1] == "MESSAGE"


def test_get_shows_the_reason_of_a_backtest(run: Run, objects: Objects) -> None:
    run("apply", "-f", "-", text=BACKTEST)
    assert run("get", "bt").stdout.splitlines()[1].split()[0] == "ruined"
    conditions = [{"type": "Ready", "status": "False", "reason": "Bust"}, {"type": "Finished", "reason": "Bust"}]
    objects.set_status("Backtest", "default", "ruined", {"phase": "Complete", "conditions": conditions})
    lines = [line.split() for line in run("get", "bt").stdout.splitlines()]
    assert [line[:3] for line in lines] == [["NAME", "PHASE", "REASON"], ["ruined", "Complete", "Bust"]]


def test_get_all_prints_a_table_for_each_kind(run: Run, objects: Objects) -> None:
    feed = "apiVersion: tapedeck.dev/v1alpha1\nkind: Feed\nmetadata: {name: f}\n" + (
        "spec: {source: {files: {exchange: x, sets: [{symbol: A/B, path: a.csv}]}}}"
    )
    run("apply", "-f", "-", text=feed)
    shown = run("get").stdout
    assert [line.split()[0] for line in shown.splitlines() if line] == ["NAME", "feed/f", "NAME", "replay/tape"]
    assert run("get", "all", "-o", "name").stdout == "feed/f\nreplay/tape\n"


def test_standard_output_holds_only_data(run: Run, objects: Objects) -> None:
    listed = json.loads(run("get", "replays", "-o", "json").stdout)
    assert (listed["kind"], [i["metadata"]["name"] for i in listed["items"]]) == ("List", ["tape"])
    single = yaml.safe_load(run("get", "replay/tape", "-o", "yaml").stdout)
    assert single == objects.get("Replay", "default", "tape")
    assert json.loads(run("get", "feeds", "-o", "json").stdout)["items"] == []
    none = run("get", "feeds")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", NOT_RUNNING + "no feed in namespace default\n")


def test_the_output_of_get_can_be_applied(run: Run, objects: Objects) -> None:
    for form in ("yaml", "json"):
        text = run("get", "replays", "-o", form).stdout
        assert run("apply", "-f", "-", text=text).stdout == "replay/tape unchanged\n"
    objects.set_status("Replay", "default", "tape", {"phase": "Running"})
    stale = run("apply", "-f", "-", text=text)
    assert stale.exit_code == 1
    assert "metadata.resourceVersion: got '1', expected '2'" in stale.stderr


def test_an_unknown_name_suggests_similar_names(run: Run, objects: Objects) -> None:
    for words, message in (
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
        assert answer.exit_code == (2 if words[1] in ("replys", "all") else 1), words
        assert answer.stdout == ""
        assert f"error: {message}" in answer.stderr or message in answer.stderr
        assert "Traceback" not in answer.stderr


def test_describe_shows_everything(run: Run, objects: Objects, tmp_path: Path) -> None:
    logs = _with_pods(objects, tmp_path)
    uid = objects.get("Replay", "default", "tape")["metadata"]["uid"]
    condition = {"type": "Ready", "status": "True", "reason": "Running", "message": "playing 60x"}
    objects.set_status("Replay", "default", "tape", {"phase": "Running", "conditions": [condition]})
    for _ in range(3):
        objects.add_event({"uid": uid, "kind": "Replay", "name": "tape", "reason": "Restarting", "message": "again"})
    shown = run("describe", "replay", "tape").stdout
    words = [line.split() for line in shown.splitlines()]
    assert ["Name:", "tape"] in words
    assert "  speed: 60.0" in shown.splitlines()
    assert ["Ready", "True", "Running", "playing", "60x"] in words
    pods = [w for w in words if w and w[0] in ("first", "second")]
    assert [(p[0], p[1], p[-1]) for p in pods] == [
        ("first", "Failed", str(logs[0])),
        ("second", "Running", str(logs[1])),
    ]
    assert [p[-3] for p in pods] == ["0", "1"]
    assert any(w[:2] == ["Normal", "Restarting"] and "(x3" in w and w[-1] == "again" for w in words)
    (found,) = json.loads(run("describe", "replay", "tape", "-o", "json").stdout)
    assert found["resource"] == objects.get("Replay", "default", "tape")
    assert [pod["metadata"]["name"] for pod in found["pods"]] == ["first", "second"]
    assert [(event["reason"], event["count"]) for event in found["events"]] == [("Restarting", 3)]


def test_describe_shows_a_traceback_as_lines(run: Run, objects: Objects, tmp_path: Path) -> None:
    _with_pods(objects, tmp_path)
    trace = 'File "mine.py", line 3, in next\n    {}["late"]\n    ~~^^^^^^^^\nKeyError: late'
    conditions = [{"type": "Ready", "status": "False", "reason": "StrategyError", "message": trace}]
    objects.set_status("Replay", "default", "tape", {"phase": "Failed", "message": trace, "conditions": conditions})
    shown = run("describe", "replay", "tape").stdout.splitlines()
    at = shown.index("  message: |-")
    assert [line.removeprefix("    ") for line in shown[at + 1 : at + 5]] == trace.splitlines()
    assert any(line.endswith('in next {}["late"] ~~^^^^^^^^ KeyError: late') for line in shown)


def test_logs_of_all_pods(run: Run, objects: Objects, tmp_path: Path) -> None:
    _with_pods(objects, tmp_path)
    assert run("logs", "replay/tape").stdout == "one\ntwo\nthree\n"
    assert run("logs", "replay", "tape", "--tail", "1").stdout == "two\nthree\n"
    assert run("logs", "pod/first").stdout == "one\ntwo\n"
    assert run("logs", "deck").exit_code == 1


def test_logs_follow_until_the_end(run: Run, objects: Objects, tmp_path: Path) -> None:
    logs = _with_pods(objects, tmp_path)
    follower = spawn(tmp_path, "logs", "replay/tape", "-f")
    assert follower.stdout is not None
    assert [follower.stdout.readline() for _ in range(3)] == ["one\n", "two\n", "three\n"]
    with logs[1].open("a") as log:
        log.write("four\n")
    assert follower.stdout.readline() == "four\n"
    with logs[1].open("a") as log:
        log.write("five\n")
    objects.set_status("Replay", "default", "tape", {"phase": "Complete"})
    rest, _ = follower.communicate(timeout=900)
    assert (rest, follower.returncode) == ("five\n", 0)


def test_watch_prints_each_change(run: Run, objects: Objects, tmp_path: Path) -> None:
    watcher = spawn(tmp_path, "get", "replays", "-w")
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
        assert wait_exit(watcher, 20) == 130
    assert watcher.stderr is not None
    assert "Traceback" not in watcher.stderr.read()


def test_status_counts_phases(run: Run, objects: Objects) -> None:
    state = json.loads(run("status", "-o", "json").stdout)
    assert (state["running"], state["resources"]) == (False, {"replays": {"Pending": 1}})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"), (600, "10m"), (3600, "60m"),
        (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"),
        (50 * 3600, "2d2h"), (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"), (731 * 86400, "2y1d"),
        (3000 * 86400, "8y"), (-5, "0s"),
    ],
)  # fmt: skip
def test_ages_are_written_as_by_kubectl(seconds: int, text: str) -> None:
    # Expected: k8s.io/apimachinery/pkg/util/duration HumanDuration.
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == text


def test_tables_keep_their_widths() -> None:
    table = TextTable(["name", "phase"])
    assert table.lines([["a-long-name", "x"]]) == ["NAME          PHASE", "a-long-name   x"]
    assert table.lines([["b", "y"]], header=False) == ["b             y"]


def test_small_numbers_keep_their_digits() -> None:
    shown = {
        7_000.126: "7000.13",
        0.5: "0.50",
        0.0: "0.00",
        0.0000123: "0.0000123",
        -0.0412: "-0.0412",
        -37.63: "-37.63",
    }
    assert {value: number(value) for value in shown} == shown
