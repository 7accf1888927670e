"""Folders that are made once: an interrupted making leaves nothing that a later run takes for complete."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.reaper import mounts_below, remove_tree
from tapedeck_deck.embedded import jars
from tapedeck_deck.embedded.download_cache import make_once
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.processes import wait_exit
from timescale.chroot import Unavailable, make_chroot
from waits import eventually

TESTS = Path(__file__).parents[1]
# Takes debootstrap's arguments; the first time it is interrupted with /proc mounted.
DEBOOTSTRAP = """#!/bin/sh
root=$4
mkdir -p $root/etc $root/proc $root/var/cache/apt/archives
echo begun
if [ ! -e {marker} ]; then
    {mount}
    echo $$ > {marker}
    sleep 600
fi
test -z "$(ls $root/proc)" || exit 3
echo whole > $root/etc/state
"""
MAKE = """
import sys
import time
from pathlib import Path
from timescale.chroot import make_chroot
make_chroot(Path(sys.argv[1]), sys.argv[2])
"""


def run_python(program: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(TESTS)}, start_new_session=True)


def debootstrap(folder: Path, *, mount: str) -> Path:
    tool = folder / "debootstrap"
    tool.write_text(DEBOOTSTRAP.format(marker=folder / "interrupted", mount=mount))
    tool.chmod(0o755)
    return tool


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("isolated", [True, False])
def test_an_interrupted_chroot_is_removed_with_its_mounts(tmp_path: Path, isolated: bool) -> None:
    home, unfinished = tmp_path / "cache" / "chroot", tmp_path / "cache" / "chroot.new"
    # Outside of the mount namespace of the maker, as where there is no `unshare`, the mount stays.
    outside = "" if isolated else f"nsenter -t {os.getpid()} -m "
    tool = debootstrap(tmp_path, mount=f"{outside}mount -t proc proc $root/proc")
    maker = run_python(MAKE, home, tool)
    eventually(lambda: (tmp_path / "interrupted").exists() or maker.poll() is not None)
    maker.send_signal(signal.SIGKILL)
    wait_exit(maker, 60)
    assert unfinished.exists() and not home.exists()
    assert bool(mounts_below(unfinished)) is not isolated
    assert make_chroot(home, str(tool)) == home
    assert (home / "etc" / "state").read_text() == "whole\n"
    assert not unfinished.exists()
    assert mounts_below(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root isolates the processes of a chroot")
def test_the_making_of_a_chroot_dies_with_its_maker(tmp_path: Path) -> None:
    tool = debootstrap(tmp_path, mount="true")
    maker = run_python(MAKE, tmp_path / "chroot", tool)
    eventually(lambda: (tmp_path / "interrupted").exists() or maker.poll() is not None)
    maker.send_signal(signal.SIGKILL)
    wait_exit(maker, 60)
    eventually(lambda: not _names(str(tool)))


def test_a_chroot_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho no mirror\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(Unavailable, match="debootstrap exited with code 1: no mirror"):
        make_chroot(tmp_path / "chroot", str(tool))
    assert not (tmp_path / "chroot").exists()


def test_two_runs_make_a_folder_once(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from tapedeck_deck.embedded.download_cache import make_once
from tapedeck_deck.embedded.errors import DeckError

def make(folder):
    with Path(sys.argv[2]).open("a") as made:
        made.write("made\\n")
    folder.mkdir()
    time.sleep(0.5)
    (folder / "file").touch()

assert (make_once(Path(sys.argv[1]), make) / "file").exists()
"""
    makers = [run_python(program, tmp_path / "folder", tmp_path / "made") for _ in range(3)]
    assert [wait_exit(maker, 60) for maker in makers] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "made\n"


def test_a_making_that_failed_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        make_once(tmp_path / "folder", fail)
    make_once(tmp_path / "folder", Path.mkdir)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == []


def test_a_mount_that_stays_is_not_deleted_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("harness.reaper.mounts_below", lambda folder: [str(folder / "disk")])
    with pytest.raises(OSError, match=r"cannot unmount .*disk; nothing was deleted"):
        remove_tree(tmp_path)
    assert (tmp_path / "file").exists()


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The jars that a download brings, by file name."""
    served: dict[str, bytes] = {}

    def fetch(endpoint: str, folder: Path) -> None:
        assert not folder.exists(), "an interrupted download was kept"
        (folder / "modules").mkdir(parents=True)
        for name, content in served.items():
            (folder / "modules" / name).write_bytes(content)

    monkeypatch.setattr(jars, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(jars, "fetch", fetch)
    return served


JAR = jars.Jar("org.a", "a", "1", hashlib.sha256(b"tested").hexdigest())


def test_half_a_jar_is_downloaded_again(downloads: dict[str, bytes]) -> None:
    downloads["a-1.jar"] = b"tested"
    path = jars.class_path(("g:a:1",), [JAR])
    folder = Path(path).parents[1]
    folder.rename(folder.with_name(f"{folder.name}.new"))
    assert jars.class_path(("g:a:1",), [JAR]) == path


@pytest.mark.parametrize(
    ("served", "named"),
    [
        (
            {"a-1.jar": b"forged"},
            rf"^a-1.jar: got SHA-256 {hashlib.sha256(b'forged').hexdigest()}, expected .*{JAR.hash};",
        ),
        ({"a-1.jar": b"tested", "more-2.jar": b"x"}, r"^more-2.jar: got SHA-256 [0-9a-f]{64}, expected no such jar;"),
        ({}, r"^a-1.jar: got no such jar, expected SHA-256"),
    ],
)
def test_a_jar_that_is_not_the_tested_one_is_refused_by_name(
    downloads: dict[str, bytes], tmp_path: Path, served: dict[str, bytes], named: str
) -> None:
    downloads |= served
    for _ in range(2):
        with pytest.raises(DeckError, match=named):
            jars.class_path(("g:a:1",), [JAR])
    assert [path.name for path in (tmp_path / "jars").iterdir() if path.suffix not in (".lock", ".new")] == []


def test_jars_of_the_cache_are_compared_with_another_list(downloads: dict[str, bytes]) -> None:
    downloads["a-1.jar"] = b"tested"
    (path,) = jars.class_path(("g:a:1",), [JAR]).split(":")
    (Path(path).parent / "a-1.jar").write_bytes(b"forged")
    with pytest.raises(DeckError, match=r"^a-1.jar: got SHA-256 .*; delete .* to download it again"):
        jars.class_path(("g:a:1",), [JAR, JAR._replace(artifact="b")])


def test_the_list_of_the_broker_names_each_jar_once() -> None:
    listed = jars.read_list()
    assert {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in listed} >= set(jars.BROKER)
    assert len({jar.file_name for jar in listed}) == len(listed)
    assert all(re.fullmatch("[0-9a-f]{64}", jar.hash) for jar in listed)


def _names(word: str) -> list[int]:
    """Living processes with a word in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_a_download_ahead_tells_its_size_and_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_endpoint: str, folder: Path) -> None:
        (folder / "jars").mkdir(parents=True)
        (folder / "jars" / JAR.file_name).write_bytes(b"tested")
        eventually(lambda: len(b"tested") in sizes)

    monkeypatch.setattr(jars, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(jars, "fetch", fetch)
    monkeypatch.setattr(jars, "read_list", lambda: (JAR,))
    sizes: list[int] = []
    assert jars.prefetch(sizes.append)
    assert max(sizes) == len(b"tested")
    assert not jars.prefetch(sizes.append)
    assert jars.jar_folder().is_dir()
