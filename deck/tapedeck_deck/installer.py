"""Which program installed Tapedeck, by what it leaves in the environment, and how the same one installs it again."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

RECEIPTS = {
    "uv-receipt.toml": "uv tool upgrade --reinstall tapedeck",  # as the receipt says: with its further packages
    "pipx_metadata.json": "pipx reinstall tapedeck",
}


def reinstall(environment: Path) -> str:
    """The command that installs Tapedeck and what it needs again into the environment of this process."""
    found = [command for name, command in RECEIPTS.items() if (environment / name).is_file()]
    if found:
        return found[0]
    origin = _origin()
    if origin.get("dir_info", {}).get("editable"):
        return f"make -C {shlex.quote(url2pathname(urlsplit(origin['url']).path))} .venv/.run"
    python = shlex.quote(str(environment / "bin" / "python"))
    return f"{python} -m pip install --force-reinstall {shlex.quote(origin.get('url', 'tapedeck'))}"


def _origin() -> dict[str, Any]:
    """Where pip got the package, as PEP 610 has it; empty where it came from an index."""
    found: dict[str, Any] = json.loads(metadata.distribution("tapedeck").read_text("direct_url.json") or "{}")
    return found
