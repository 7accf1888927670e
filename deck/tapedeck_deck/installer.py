"""Which program installed Tapedeck, by what it leaves in the environment, and how the same one installs it again."""

from __future__ import annotations

from pathlib import Path

RECEIPTS = {
    "uv-receipt.toml": "uv tool install --reinstall tapedeck",
    "pipx_metadata.json": "pipx reinstall tapedeck",
}


def reinstall(environment: Path) -> str:
    """The command that installs Tapedeck and what it needs again into an environment."""
    found = [command for name, command in RECEIPTS.items() if (environment / name).is_file()]
    return found[0] if found else f"{environment / 'bin' / 'python'} -m pip install --force-reinstall tapedeck"
