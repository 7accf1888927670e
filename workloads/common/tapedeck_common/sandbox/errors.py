"""Errors of the sandbox."""

from __future__ import annotations

from tapedeck_crds.errors import TapedeckError


class SandboxFailed(TapedeckError):
    """A part of the sandbox that the kernel has could not be armed: foreign code must not run."""

    reason = "SandboxFailed"
