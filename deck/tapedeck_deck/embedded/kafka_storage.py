"""Formatting the storage of a new broker.

Kafka's storage tool formats the first one on a machine. It writes the feature levels of the Kafka version and two
random ids. The feature levels are cached: starting a JVM only for them would take a third of the start time of a deck.
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


def prepare(data: Path, cached_features: Path, tool: Sequence[str]) -> None:
    """Format ``data`` as a broker's storage with new ids.

    ``cached_features`` is the cache file of this Kafka version, ``tool`` the storage tool's command without the
    cluster id. Raises DeckError if the tool fails.
    """
    if not cached_features.exists():
        _run(tool, data)
        unfinished = cached_features.with_suffix(f".{os.getpid()}")
        cached_features.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / FEATURES, unfinished)
        unfinished.replace(cached_features)
        return
    data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(cached_features, data / FEATURES)
    properties = {"version": 1, "cluster.id": _new_id(), "node.id": NODE, "directory.id": _new_id()}
    (data / IDENTITY).write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def _run(tool: Sequence[str], data: Path) -> None:
    command = [*tool, "-t", _new_id()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, cwd=data.parent)
    if done.returncode:
        raise DeckError(f"cannot format the broker's storage in {data}: {done.stdout}{done.stderr}")


def _new_id() -> str:
    # The storage tool reads an id that begins with a hyphen as an option.
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")
