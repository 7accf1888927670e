"""Looks at uploaded files in a process of its own, as `tapedeck import --dry-run` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tapedeck_common.parent_death import parent_death_signal
from tapedeck_crds.errors import InvalidInput, Unavailable
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.errors import DeckError

PROGRAM = "tapedeck_deck.inspection"
SECONDS_MAX = 300.0
AT_ONCE = 2
_WAIT_SECONDS = 30.0
_ERROR_CHARACTERS = 500

_running = threading.BoundedSemaphore(AT_ONCE)


def inspect_files(folder: Path, files: Sequence[str], options: Json, seconds: float = SECONDS_MAX) -> Json:
    """What the files of a folder hold (``found``), and the Feeds that import them (``feeds``).

    Raises InvalidInput with what the user can correct, Unavailable while others are looked at, and DeckError.
    """
    if not _running.acquire(timeout=_WAIT_SECONDS):
        raise Unavailable("the deck looks at other files: try again")
    try:
        answer = _run({"root": str(folder), "files": list(files), "options": options}, seconds)
    finally:
        _running.release()
    if "error" in answer:
        raise InvalidInput(answer["error"])
    return answer


def _run(request: Json, seconds: float) -> Json:
    try:
        done = subprocess.run(
            [sys.executable, "-m", PROGRAM],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
            cwd="/",
            start_new_session=True,
            preexec_fn=parent_death_signal(os.getpid()),
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput(
            f"files: got some that take longer than {seconds:.0f} s to look at; `tapedeck import` has no such limit"
        ) from None
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()[-_ERROR_CHARACTERS:]
        raise DeckError(f"the program that looks at files ended with code {done.returncode}: {told}")
    answer: Json = json.loads(done.stdout)
    return answer
