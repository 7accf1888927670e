"""A new folder for the broker.

Kafka's own tool makes the first one of a machine. All that it knows is the features that this version starts with;
they are kept, since a JVM for them alone would take a third of the time in which a deck is up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from tapedeck_deck.embedded.errors import DeckError

FEATURES = "bootstrap.checkpoint"
IDENTITY = "meta.properties"
NODE = 1
_TIMEOUT = 600.0  # seconds; a few on an idle machine


def prepare(data: Path, kept: Path, tool: Sequence[str]) -> None:
    """Make ``data`` a broker's folder with ids of its own.

    ``kept`` is where the features of this Kafka are kept between decks, ``tool`` the command that makes a folder,
    all but its cluster id. Raises DeckError where the tool fails.
    """
    if not kept.exists():
        _run(tool, data)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / FEATURES, unfinished)
        unfinished.replace(kept)
        return
    data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, data / FEATURES)
    identity = {"version": 1, "cluster.id": _new_id(), "node.id": NODE, "directory.id": _new_id()}
    (data / IDENTITY).write_text("".join(f"{name}={value}\n" for name, value in identity.items()))


def _run(tool: Sequence[str], data: Path) -> None:
    done = subprocess.run([*tool, "-t", _new_id()], capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        raise DeckError(f"cannot prepare the broker's folder {data}: {done.stdout}{done.stderr}")


def _new_id() -> str:
    # An id that begins with a hyphen would be taken for an option.
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")
