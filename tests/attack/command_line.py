"""Hostile words on the command line."""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path

from typer.testing import CliRunner

from attack import hostile
from attack.outcome import Outcome
from tapedeck_deck.cli.app import app

# Those that neither start a deck nor wait.
COMMANDS = (
    "get", "describe", "patch", "delete", "apply", "errors", "status", "logs", "rerun", "strategies", "config", "sql",
    "symbols", "export", "rm",
)  # fmt: skip
OPTIONS = (
    "-o", "-n", "-f", "-A", "--speed", "--max", "--pause", "--resume", "--seek", "--step", "--loop", "--until",
    "--namespace", "--output", "--tail", "--exchange", "--symbol", "--interval", "--from", "--to", "--partition",
    "--format", "--run", "--yes", "--help", "--no-such-option", "--", "-",
)  # fmt: skip
KINDS = ("feed", "replay", "backtest", "pod", "all", "feeds/x", "replay/", "/", "secret")
CODES = (0, 1, 2, 130)


def command_line(rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each ends with an exit code of the command line's own, and never with a traceback."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "junk.yaml").write_bytes(b"\xff\xfe\0{[")
        home = str(Path(name) / "home")
        for _ in range(count):
            words = ["--home", home, rng.choice(COMMANDS)]
            words += [_word(rng, name) for _ in range(rng.randrange(6))]
            outcome.attempt(words, partial(_run, words))


def _word(rng: random.Random, folder: str) -> str:
    words = (*KINDS, f"{folder}/junk.yaml", folder)
    how = rng.random()
    if how < 0.4:
        return rng.choice(OPTIONS)
    return rng.choice(words) if how < 0.6 else hostile.text(rng).replace("\0", "")


def _run(words: list[str]) -> str | None:
    ended = CliRunner().invoke(app, words, input="", prog_name="tapedeck")
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        return f"{type(ended.exception).__name__}: {ended.exception}"
    return None if ended.exit_code in CODES else f"exit code {ended.exit_code}"
