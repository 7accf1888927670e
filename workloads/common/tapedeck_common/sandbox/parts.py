"""Which parts of the sandbox this system has, in words for a status and a log."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tapedeck_common.sandbox import landlock, seccomp

_ABI_OF_RENAME, _ABI_OF_TRUNCATE, _ABI_OF_SCOPES = 2, 3, 6


@dataclass(frozen=True)
class SandboxParts:
    """``in_force`` are the parts that the kernel keeps; ``missing`` says what foreign code can do without a part."""

    in_force: tuple[str, ...]
    missing: tuple[str, ...]

    def warning(self) -> str:
        """One sentence about what is missing; empty if nothing is."""
        return f"the sandbox of foreign code is incomplete: {'; '.join(self.missing)}" if self.missing else ""


def available() -> SandboxParts:
    """The parts that ``enter`` arms on this system."""
    in_force, missing = ["limits of memory, files and descriptors (rlimits)"], []
    if sys.platform == "linux":
        in_force.append("no capabilities and no new privileges")
    else:
        missing.append("only Linux drops capabilities and ends leftover processes")
    version, no_filter = landlock.abi(), seccomp.missing()
    if version:
        in_force.append(f"files (Landlock ABI {version})")
    else:
        missing.append("no Landlock: foreign code reads and writes the files that this user may")
    if no_filter:
        missing.append(
            f"{no_filter}: foreign code can open connections, start processes, and evade the limit of its folder"
        )
        if 0 < version < _ABI_OF_TRUNCATE:
            missing.append(f"Landlock ABI {version}: foreign code can truncate files that this user may write")
        if version < _ABI_OF_SCOPES:
            missing.append(f"Landlock ABI {version}: foreign code can signal this user's other processes")
    else:
        in_force.append("network, processes and signals (seccomp)")
    if version == _ABI_OF_RENAME - 1:
        missing.append("Landlock ABI 1: foreign code cannot move files between folders")
    return SandboxParts(tuple(in_force), tuple(missing))
