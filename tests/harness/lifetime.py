"""Nothing that tests start or mount outlives their runner, however that ends."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness import reaper

_CLONE_NEWNS, _MS_REC, _MS_SLAVE = 0x00020000, 1 << 14, 1 << 19


class Reaper:
    """The runner's side of harness/reaper.py: each pytest process has one, xdist's workers too."""

    def __init__(self) -> None:
        self.mark = f"{os.environ.get(reaper.MARK, '')}/{uuid.uuid4().hex[:12]}"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, self.mark, str(os.getpid())],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        os.environ[reaper.MARK] = self.mark

    def delete_after(self, folder: Path) -> None:
        """Delete a folder when the runner has ended."""
        self._send(str(folder))

    def finish(self) -> None:
        """The runner ends by itself now."""
        self._send(reaper.FINISHED)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()


def without_settings(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Variables without Tapedeck's settings, but the mark by which the reaper finds what outlives its runner."""
    dropped = ("TAPEDECK_", *prefixes)
    return {name: value for name, value in environment.items() if name == reaper.MARK or not name.startswith(dropped)}


_REAPER = pytest.StashKey[Reaper]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # The end-to-end tests restart parts of a cluster that is meant to stay.
    if sys.platform == "linux" and not os.environ.get("TAPEDECK_E2E"):
        if "PYTEST_XDIST_WORKER" not in os.environ:
            _enter_mount_namespace()
        config.stash[_REAPER] = Reaper()
        config.add_cleanup(config.stash[_REAPER].finish)
    if config.option.basetemp is None:
        _make_base_folder(config)


def _make_base_folder(config: pytest.Config) -> None:
    """Use a base folder of this run: pytest closes its common one to the user that Postgres runs as."""
    folder = config.option.basetemp = Path(tempfile.mkdtemp(prefix="tapedeck-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    _delete_after(config, folder)


@pytest.fixture(scope="session")
def delete_after(pytestconfig: pytest.Config) -> Callable[[Path], None]:
    """Deletes a folder when this runner has ended, even where it was killed."""
    return lambda folder: _delete_after(pytestconfig, folder)


def _delete_after(config: pytest.Config, folder: Path) -> None:
    if (its := config.stash.get(_REAPER, None)) is not None:
        its.delete_after(folder)


def _enter_mount_namespace() -> None:
    """Let the mounts of this runner and its children vanish with the last of them. Only root can mount at all."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None)
