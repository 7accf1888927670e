"""The forms of `-o` of commands whose rows have a name: wide and name, beside the table and documents."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from decks.command import Run
from reference.command_line import page
from tapedeck_deck.cli import deck, gaps, ingest_errors, symbols
from tapedeck_deck.cli.coverage import CELLS, Coverage, SeriesName
from tapedeck_deck.cli.top import run as top
from tapedeck_deck.cli.top.disk import DiskUse
from tapedeck_deck.cli.top.state import DeckState, GatewayRow, RecorderRow
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

AT = datetime(2024, 1, 1, tzinfo=UTC)
FACTS = {
    "pid": 7, "started": 0.0, "gateway": "http://127.0.0.1:8750/", "broker": "127.0.0.1:9092", "kafka": "reader",
    "dsn": "postgresql://x", "traces": "http://127.0.0.1:4318",
}  # fmt: skip


@pytest.fixture
def running(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deck seems to run."""
    monkeypatch.setattr(StateDir, "running", lambda _: FACTS)


def test_series_have_names_and_blocks(running: None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    half = Coverage(5, 0, 60_000, 5, "bars", 0.5, (0.5,) * CELLS)
    found = [(SeriesName("x", "A/B", "1m"), half), (SeriesName("x", "\x1b[2J", ""), half)]
    monkeypatch.setattr(symbols, "stored_series", lambda *_: found)
    assert run("symbols", "-o", "name").stdout == "x A/B 1m\nx \\x1b[2J trades\n"
    assert "▄" not in run("symbols").stdout
    assert "▄" * CELLS in run("symbols", "-o", "wide").stdout.splitlines()[1]


def test_errors_have_owners_and_times(running: None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(AT, name, "x", "A/B", 1, "a.csv:7", "bad price") for name in ("tape", "gone", "", "tape")]
    monkeypatch.setattr(ingest_errors, "errors_of", lambda *_: rows)
    monkeypatch.setattr(gaps, "lasting_gaps", lambda *_: 0)
    assert run("errors", "-o", "name").stdout == "replay/tape\nfeed/gone\nrecorder\n"
    assert run("errors").stdout.split()[:3] == ["AGE", "FEED", "EXCHANGE"]
    wide = [line.split() for line in run("errors", "-o", "wide").stdout.splitlines()]
    assert wide[0][:3] == ["AGE", "AT", "FEED"]
    assert wide[1][1:3] == ["2024-01-01T00:00:00Z", "tape"]
    assert json.loads(run("errors", "-o", "json").stdout)[0]["at"] == "2024-01-01T00:00:00Z"


def test_gaps_have_series_and_spans(running: None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = "2024-01-01T00:00:00Z", "2024-01-01T02:30:00Z"
    rows = [("x", "A/B", "trades", state, 2, 9, begin, end) for state in ("open", "filled")]
    monkeypatch.setattr(gaps, "rows_of", lambda *_: rows)
    assert run("gaps", "-o", "name").stdout == "x A/B trades\n"
    assert run("gaps").stdout.splitlines()[0].split()[-2:] == ["FROM", "TO"]
    wide = [line.split() for line in run("gaps", "-o", "wide").stdout.splitlines()]
    assert (wide[0][-1], wide[1][-1]) == ("SPAN", "150m")
    monkeypatch.setattr(gaps, "rows_of", lambda *_: [])
    assert run("gaps", "-o", "name").stdout == ""
    assert run("gaps", "-o", "wide").stdout == "no gaps\n"


def test_parts_have_names_and_logs(running: None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deck, "_parts", lambda _: dict.fromkeys(("page", "broker", "database"), "ok"))
    trouble = {f"part {number}": "it waits" for number in range(12)}
    monkeypatch.setattr("tapedeck_deck.embedded.problems.read_problems", lambda _: trouble)
    assert run("status", "-o", "name").stdout == "page\nbroker\ndatabase\nrecorder\ntraces\n"
    plain, wide = run("status").stdout, run("status", "-o", "wide").stdout
    lines = [line.split() for line in plain.splitlines()]
    assert ["broker", "ok", "127.0.0.1:9092", "(account:", "reader)"] in lines
    assert ["recorder", "does", "not", "run"] in lines
    assert "unhealthy: 3 more; `tapedeck status -o wide` lists all\n" in plain
    assert "tapedeck logs" not in plain.partition("unhealthy")[0]
    (page,) = (line for line in wide.splitlines() if line.startswith("page "))
    assert page.endswith("tapedeck logs gateway")
    assert wide.count("unhealthy: part ") == 12


def test_a_stopped_deck_has_no_parts(run: Run, objects: Objects) -> None:
    assert (run("status", "-o", "name").exit_code, run("status", "-o", "name").stdout) == (1, "")


def test_live_states_are_documents_of_yaml(running: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = DeckState(1.0, [], RecorderRow(), GatewayRow(), [], DiskUse(1, 2, 4, {}), {"broker": "a: b"})

    def states(*_: object) -> Iterator[DeckState]:
        yield state
        yield state

    monkeypatch.setattr(top, "_states", states)
    monkeypatch.setattr(top, "DeckMeter", lambda *_: None)
    shown: dict[tuple[str, bool], str] = {}
    for form, once in (("yaml", False), ("yaml", True), ("json", False)):
        with redirect_stdout(io.StringIO()) as out:
            top.show(StateDir.at(tmp_path / ".tapedeck"), form, once=once, interval=1.0)
        shown[form, once] = out.getvalue()
    expected: Any = state.as_json()
    assert list(yaml.safe_load_all(shown["yaml", False])) == [expected, expected]
    assert yaml.safe_load(shown["yaml", True]) == expected
    assert [json.loads(line) for line in shown["json", False].splitlines()] == [expected, expected]


@pytest.mark.parametrize("command", ["symbols", "errors", "gaps", "status"])
def test_the_forms_are_those_of_get(run: Run, command: str) -> None:
    answer = run(command, "-o", "xml")
    assert answer.exit_code == 2
    assert "got 'xml', expected table, wide, yaml, json or name" in " ".join(answer.stderr.split())


def test_the_reference_says_which_commands_have_forms(run: Run) -> None:
    (row,) = (line for line in page().splitlines() if line.startswith("| `-o FORM` |"))
    of_files, _, others = row.partition("it names what they write.")
    assert re.findall(r"`(\w+)` \(", of_files) == ["export", "report"]
    without = [name for name in re.findall(r"`([\w-]+)`", others) if name != "-o"]
    assert {"up", "new", "logs", "psql"} <= set(without)
    for name in without:
        assert "No such option: -o" in run(name, "-o", "json").stderr
