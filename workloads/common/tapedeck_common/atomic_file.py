"""Replacing a file so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a temporary file in the same folder, then rename it over ``path``. Raises OSError.

    The content survives a crash of the process, not of the machine: nothing is synced to the disk.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    if isinstance(content, str):
        content = content.encode()
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
