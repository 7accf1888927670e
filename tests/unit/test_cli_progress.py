"""What commands say on standard error while they work, where it is no terminal."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console

from decks.command import Run
from tapedeck_deck.cli import deck, progress, report, rerun, sql
from tapedeck_deck.cli.progress import ProgressLines, shown_progress
from tapedeck_deck.cli.statement import StatementResult
from tapedeck_deck.embedded import jars
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.processes import wait_until
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.progress_bars import ProgressBars

FACTS = {"gateway": "http://127.0.0.1:1/", "dsn": "x"}
BACKTEST = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: cross}
spec: {strategy: {builtin: sma-cross}, data: {store: {exchange: x, symbols: [A]}}}
"""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bool]:
    """Waits until a line of the progress, printed in quick succession here, has a text."""
    lines: list[str] = []
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.01)
    monkeypatch.setattr(progress, "print_note", lines.append)
    return lambda text: wait_until(lambda: any(text in line for line in lines), timeout=20)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """The folder of a deck that runs."""
    monkeypatch.setattr(StateDir, "running", lambda _: FACTS)
    found = StateDir.at(tmp_path / ".tapedeck")
    found.prepare()
    return found


def test_a_line_says_for_how_long_and_what(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(progress, "print_note", lines.append)
    with ProgressLines("quick"):
        pass
    assert lines == []
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.01)
    with ProgressLines("first") as shown:
        assert wait_until(lambda: len(lines) > 1, timeout=20)
        shown.update("second")
        assert wait_until(lambda: lines[-1].endswith("second"), timeout=20)
        shown.end()
        count = len(lines)
    assert re.fullmatch("[0-9]+ s: first", lines[0])
    assert len(lines) == count


def test_a_start_says_what_it_waits_for(
    home: StateDir, monkeypatch: pytest.MonkeyPatch, said: Callable[[str], bool]
) -> None:
    def start(*_: object, on_awaited: Callable[[str], None], **__: object) -> dict[str, str]:
        assert said("s: starting")
        on_awaited("the broker")
        assert said("s: waiting for the broker")
        return FACTS

    def stop(*_: object) -> bool:
        return said("s: stopping the deck")

    monkeypatch.setattr(StateDir, "running", lambda _: None)
    fake = SimpleNamespace(start_background=start, stop=stop)
    monkeypatch.setitem(sys.modules, "tapedeck_deck.embedded.deck", fake)
    deck.up(home, 0)
    deck.down(home)


def test_a_download_says_how_much_has_arrived(monkeypatch: pytest.MonkeyPatch, said: Callable[[str], bool]) -> None:
    def download(on_bytes: Callable[[int], None]) -> bool:
        on_bytes(5 * 2**20)
        return said(f"s: downloading Kafka {jars.KAFKA}: 5 MiB")

    monkeypatch.setattr(jars, "prefetch", download)
    deck.prefetch()


def test_a_terminal_has_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=out, force_terminal=True, width=80))
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress("starting") as show:
        show("waiting for [the] broker")
    assert "waiting for [the] broker …" in out.getvalue()


def test_a_statement_says_that_it_runs_until_its_first_rows(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[str], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    def batches() -> Iterator[list[tuple[Any, ...]]]:
        assert said("s: the statement runs")
        yield [(1,)]
        yield [(2,)]

    @contextmanager
    def running(*_: object) -> Iterator[StatementResult]:
        yield StatementResult(["n"], batches())

    monkeypatch.setattr(sql, "running", running)
    sql.run_sql("x", "SELECT", "csv")
    assert capsys.readouterr().out == "n\n1\n2\n"


def test_a_report_says_that_it_is_made(
    home: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[str], bool]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        assert said("s: the gateway makes the report")
        return httpx.Response(200, text="<html>")

    made = report.gateway_client
    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(report, "gateway_client", lambda address, token: made(address, token, transport))
    home.control_token_file.parent.mkdir(exist_ok=True)
    home.control_token_file.write_text("t")
    report.save_report(home, "run", str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_text() == "<html>"


def test_an_upgrade_of_the_schema_says_that_it_runs(
    home: StateDir, monkeypatch: pytest.MonkeyPatch, said: Callable[[str], bool]
) -> None:
    def upgrade(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        assert said("s: upgrading the schema and the topics")
        return subprocess.CompletedProcess([], 0)

    monkeypatch.delenv("TAPEDECK_CONNECTIONS", raising=False)
    monkeypatch.setattr("subprocess.run", upgrade)
    assert deck.migrate(home) == 0


def test_a_repeated_run_shows_its_progress(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("apply", "-f", "-", text=BACKTEST)
    home = StateDir.at(tmp_path / ".tapedeck")
    objects = Objects(home.objects)
    objects.set_status("Backtest", "default", "cross", {"phase": "Running", "progress": "1/4", "trades": 3})
    uid = objects.get("Backtest", "default", "cross")["metadata"]["uid"]
    answers = iter([None, {"state": "complete", "origin": {}}])
    monkeypatch.setattr(rerun, "_run", lambda *_: next(answers))
    monkeypatch.setattr(rerun, "POLL_SECONDS", 0.0)
    out = io.StringIO()
    with ProgressBars(Console(file=out, width=80)) as shown:
        assert rerun._wait("x", uid, home, 20.0, shown) == {"state": "complete", "origin": {}}
    assert out.getvalue() == "Backtest cross: 1/4 waiting\n"
