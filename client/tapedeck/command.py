"""The command line `tapedeck`, run as a process: for what works on files and processes of this machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tapedeck.errors import CommandFailed

COMMAND = "tapedeck"
INSTALL = "https://github.com/tapedeck/tapedeck/blob/main/docs/operate/install.md"
LINES = 12  # of an error that are told
_PROGRESS = re.compile(r"\d+ s: .*|[A-Z]\w+ \S+: \d+/(\d+|\?) .*|\S+: checking for \d+ s")
"""Lines by which a command says on standard error that it works: they are no part of an error."""


def command_path() -> str:
    """The command beside the running Python, else on PATH. Raises CommandFailed."""
    beside = Path(sys.executable).with_name(COMMAND)
    found = str(beside) if beside.is_file() else shutil.which(COMMAND)
    if found is None:
        raise CommandFailed(f"the command `{COMMAND}` is not installed in this environment: see {INSTALL}")
    return found


def run_command(home: Path, words: Sequence[str], timeout: float | None = None) -> str:
    """Run a command on the deck in ``home``; returns its standard output. Raises CommandFailed."""
    try:
        done = subprocess.run(
            [command_path(), "--home", str(home), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"`tapedeck {words[0]}`: not done after {timeout:g} s; allow more time") from None
    if done.returncode != 0:
        raise CommandFailed(f"`tapedeck {words[0]}`: {_error(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _error(text: str) -> str:
    """The last lines that a command has said, without those that tell its progress."""
    lines = [line for line in text.strip().splitlines() if not _PROGRESS.fullmatch(line)]
    return "\n".join(line.removeprefix("error: ") for line in lines[-LINES:])


def run_json(home: Path, words: Sequence[str], timeout: float | None = None) -> Any:
    """As ``run_command``; the JSON that the command prints."""
    text = run_command(home, [words[0], "-o", "json", *words[1:]], timeout)
    try:
        return json.loads(text)
    except ValueError:
        raise CommandFailed(
            f"`tapedeck {words[0]}`: got {text[:80]!r}, expected JSON; is it of this version?"
        ) from None
