"""The examples: `tapedeck new examples`, and what commands say where the current folder has none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from decks.command import Run
from tapedeck_deck.cli import examples
from tapedeck_deck.cli.deck import up
from tapedeck_deck.cli.examples import CLONE
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

COURSE = sorted(path.relative_to(CLONE) for path in CLONE.rglob("*") if path.is_file() and path.suffix != ".pyc")
WRITE = "`tapedeck new examples` writes the samples into ./examples"


def test_the_course_is_copied_with_its_data(run: Run, tmp_path: Path) -> None:
    answer = run("new", "examples")
    assert (answer.exit_code, answer.stdout) == (0, "examples\n")
    assert "next: `tapedeck apply -f examples/`" in answer.stderr
    copied = sorted(path.relative_to(tmp_path / "examples") for path in tmp_path.rglob("*") if path.is_file())
    assert [path for path in COURSE if path not in copied] == []
    assert all((tmp_path / "examples" / path).read_bytes() == (CLONE / path).read_bytes() for path in copied)
    applied = run("apply", "-f", "examples/").stdout
    assert applied == "backtest/sma-cross created\nfeed/coinbase-sample created\nreplay/coinbase-sample created\n"


def test_a_folder_with_files_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    assert run("new", "examples").exit_code == 0
    (tmp_path / "examples" / "feed.yaml").write_text("# edited\n")
    answer = run("new", "examples")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "error: examples exists already: give another name, or --force" in answer.stderr
    assert (tmp_path / "examples" / "feed.yaml").read_text() == "# edited\n"
    assert run("new", "examples", "course", "--folder", "a").stdout == "a/course\n"
    assert run("new", "examples", "--force").exit_code == 0
    assert (tmp_path / "examples" / "feed.yaml").read_bytes() == (CLONE / "feed.yaml").read_bytes()
    printed = run("new", "examples", "--stdout")
    assert printed.exit_code == 2
    assert "which is a folder" in printed.stderr


def test_an_installation_without_examples_says_where_it_looked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "CLONE", tmp_path / "clone")
    monkeypatch.setattr("sysconfig.get_path", lambda _name, _scheme: str(tmp_path / "prefix"))
    with pytest.raises(DeckError, match=r"got none in .*clone, .*prefix/share/tapedeck/examples, .*expected them in"):
        examples.installed_examples()
    wheel = tmp_path / "prefix" / "share" / "tapedeck" / "examples"
    wheel.mkdir(parents=True)
    (wheel / "feed.yaml").touch()
    assert examples.installed_examples() == wheel


@pytest.mark.parametrize("command", ["apply", "delete", "check"])
@pytest.mark.parametrize("source", ["examples/", "./examples", "examples/more/sweep.yaml"])
def test_a_missing_example_says_where_they_are(run: Run, objects: Objects, command: str, source: str) -> None:
    answer = run(command, "-f", source)
    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[-1] == f"error: {source}: no such file or folder; {WRITE}"


def test_other_missing_files_have_no_such_hint(run: Run, tmp_path: Path) -> None:
    assert "examples" not in run("apply", "-f", "mine/feed.yaml").stderr
    (tmp_path / "examples").mkdir()
    own = run("apply", "-f", "examples/replay.yaml").stderr
    assert own == f"error: examples/replay.yaml: no such file or folder; the installation has {CLONE / 'replay.yaml'}\n"
    assert run("apply", "-f", "examples/x.yaml").stderr == (
        "error: examples/x.yaml: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["apply", "-f", "https://x.org/a.yaml"], "`curl -fsSL https://x.org/a.yaml | tapedeck apply -f -` reads it"),
        (["delete", "-f", "http://x.org/a?b&c"], "`curl -fsSL 'http://x.org/a?b&c' | tapedeck delete -f -` reads it"),
        (["apply", "-f", "s3://x/a.yaml"], "got the URL s3://x/a.yaml, expected a file, a folder or -; copy it into a"),
    ],
)
def test_a_url_is_refused_with_what_to_do(run: Run, words: list[str], message: str) -> None:
    answer = run(*words)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert message in answer.stderr


def test_a_started_deck_says_how_to_get_the_samples(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = SimpleNamespace(start_background=lambda *_, **__: {"gateway": "http://127.0.0.1:1/"})
    monkeypatch.setitem(sys.modules, "tapedeck_deck.embedded.deck", started)
    home = StateDir.at(tmp_path / ".tapedeck")
    up(home, 0)
    notes = capsys.readouterr().err.splitlines()
    assert notes[0] == f"first: {WRITE}"
    assert notes[1].startswith("next: `tapedeck apply -f examples/` plays the samples")
    run("new", "examples")
    up(home, 0)
    assert "new examples" not in capsys.readouterr().err
