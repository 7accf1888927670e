"""Finding the deck of this machine, and a private one that ends with its program. The command is a stand-in here."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tapedeck
from tapedeck import command, discovery, errors
from tapedeck.imports import import_words
from waits import eventually

ROOT = Path(__file__).parents[2]
COMMAND = """
import fcntl, json, os, sys, time
from pathlib import Path
words = sys.argv[1:]
home = Path(words[words.index("--home") + 1])
with (home.parent / "calls").open("a") as file:
    file.write(json.dumps(words[2:]) + "\\n")
if "up" in words:
    (home / "gateway").mkdir(parents=True)
    (home / "deck.json").write_text(json.dumps({"gateway": "http://127.0.0.1:9"}))
    (home / "gateway" / "control.token").write_text("token-of-the-deck")
    if os.fork() == 0:  # the deck itself, which holds the lock until the folder of its calls says that it is down
        os.setsid()
        [os.close(number) for number in (0, 1, 2)]
        handle = (home / "lock").open("w")
        fcntl.flock(handle, fcntl.LOCK_EX)
        for _ in range(1200):
            if not home.exists() or "down" in (home.parent / "calls").read_text():
                break
            time.sleep(0.05)
        os._exit(0)
    while True:  # until it does
        try:
            with (home / "lock").open() as probe:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            break
        except FileNotFoundError:
            pass
        time.sleep(0.01)
elif "import" in words:
    if "missing.csv" in words:
        sys.exit("error: missing.csv: no such file\\nnothing was imported")
    print(json.dumps({"files": [{"path": words[-1]}], "errors": [], "skipped": []}))
"""


@pytest.fixture
def tapedeck_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "tapedeck"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\n{COMMAND}")
    path.chmod(0o755)
    monkeypatch.setattr(command, "command_path", lambda: str(path))
    monkeypatch.setattr("tapedeck.embedded.command_path", lambda: str(path))
    for name in ("TAPEDECK_HOME", "TAPEDECK_URL", "TAPEDECK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return path


@contextmanager
def running_home(home: Path) -> Iterator[None]:
    """A folder as a running deck has it."""
    (home / "gateway").mkdir(parents=True)
    (home / "version").write_text("2")
    (home / "deck.json").write_text(json.dumps({"pid": 1, "gateway": "http://127.0.0.1:8750"}))
    (home / "gateway" / "control.token").write_text("abcdefghijklmnop\n")
    with (home / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def test_the_deck_of_a_folder_above_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tapedeck_command: Path
) -> None:
    below = tmp_path / "work" / "notebooks"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with running_home(tmp_path / "work" / ".tapedeck"):
        found = discovery.find_deck()
        assert (found.url, found.token) == ("http://127.0.0.1:8750", "abcdefghijklmnop")
        assert tapedeck.connect().home == tmp_path / "work" / ".tapedeck"
        monkeypatch.setenv("TAPEDECK_HOME", str(tmp_path / "other"))
        with pytest.raises(errors.DeckNotFound, match=r"no deck runs in .*other.*tapedeck --home"):
            tapedeck.connect()


def test_a_deck_that_was_killed_does_not_run(tmp_path: Path) -> None:
    """Its file names an address that another program may have by now, and must not get the token."""
    home = tmp_path / ".tapedeck"
    with running_home(home):
        pass
    with pytest.raises(errors.DeckNotFound, match="no deck runs in"):
        tapedeck.connect(home=home)


def test_without_a_deck_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tapedeck_command: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.DeckNotFound, match="tapedeck up"):
        tapedeck.connect()


def test_an_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEDECK_URL", "http://gateway.example")
    assert tapedeck.connect().url == "http://gateway.example"
    assert tapedeck.connect("http://other.example/").url == "http://other.example"
    with pytest.raises(errors.BadRequest, match="beside home"):
        tapedeck.connect("http://other.example", home="here")


def test_files_are_imported_where_the_deck_is_local(tmp_path: Path, tapedeck_command: Path) -> None:
    with running_home(tmp_path / "home"):
        td = tapedeck.connect(home=tmp_path / "home")
        found = td.import_files(tmp_path / "a.csv", exchange="mine", columns=["ts", "-", "close"], map={"open": 3})
        assert found["files"] == [{"path": str(tmp_path / "a.csv")}]
        with pytest.raises(errors.CommandFailed, match=r"missing.csv: no such file\nnothing was imported"):
            td.import_files("missing.csv")
    with pytest.raises(errors.DeckNotLocal, match="expected a deck on this machine"):
        tapedeck.connect("http://other.example").import_files("a.csv")


def test_progress_is_no_part_of_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = [f"{number} s: reading the files" for number in range(2, 40, 2)]
    lines = ["error: a.csv: no such file", "Feed mine: 3/? 1,000 bars", *progress, "nothing was imported"]
    program = tmp_path / "tapedeck"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit({chr(10).join(lines)!r})\n")
    program.chmod(0o755)
    monkeypatch.setattr(command, "command_path", lambda: str(program))
    with pytest.raises(errors.CommandFailed) as failure:
        command.run_command(tmp_path, ["import", "a.csv"])
    assert str(failure.value) == "`tapedeck import`: a.csv: no such file\nnothing was imported"


def test_the_words_of_an_import() -> None:
    words = import_words(["a b.csv"], {"columns": ["ts", "-"], "map": {"open": 3}, "adjust": True}, dry_run=False)
    assert words == ["import", "--yes", "--columns", "ts,-", "--map", "open=3", "--adjust", "--", "a b.csv"]


def test_options_are_those_of_the_command() -> None:
    from typing import get_type_hints

    from tapedeck.imports import ImportOptions
    from tapedeck_deck.cli.commands.files import import_files

    known = set(get_type_hints(import_files)) | {"map"}
    assert set(get_type_hints(ImportOptions)) <= known


def test_a_private_deck_is_gone_after_its_block(tapedeck_command: Path) -> None:
    with tapedeck.deck() as td:
        home = td.home
        assert home is not None and td.url == "http://127.0.0.1:9"
    assert not home.parent.exists()


def test_a_private_deck_in_a_folder_of_ones_own_stays(tmp_path: Path, tapedeck_command: Path) -> None:
    with tapedeck.deck(tmp_path / "kept"):
        pass
    assert (tmp_path / "kept" / "deck.json").exists()
    calls = [json.loads(line)[0] for line in (tmp_path / "calls").read_text().splitlines()]
    assert calls == ["up", "down"]


def test_a_private_deck_ends_where_its_program_is_killed(tmp_path: Path, tapedeck_command: Path) -> None:
    program = textwrap.dedent(f"""
        import time
        from tapedeck import embedded, command
        embedded.command_path = command.command_path = lambda: {str(tapedeck_command)!r}
        with embedded.deck({str(tmp_path / "kept")!r}):
            print("up", flush=True)
            time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: '["down"]' in (tmp_path / "calls").read_text(), timeout=60)


def test_the_plugin_has_the_fixture(tmp_path: Path) -> None:
    """It is found by its entry point where the client is installed; here it is named."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it(request):\n"
        "    assert 'tapedeck.client' not in sys.modules\n"
        "    assert request.config.pluginmanager.hasplugin('tapedeck.pytest_plugin')\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tapedeck.pytest_plugin", "--fixtures", str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    shown = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "embedded_deck [session scope]" in shown.stdout
    done = subprocess.run(
        [w for w in words if w != "--fixtures"], cwd=tmp_path, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0
